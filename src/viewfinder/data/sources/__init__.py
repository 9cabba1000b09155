"""Where archives come from: each source writes them, unopened, into a folder."""
