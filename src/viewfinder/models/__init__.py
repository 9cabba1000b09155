"""Plain torch networks: normalised images to raw outputs."""
