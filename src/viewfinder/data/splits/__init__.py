"""Records to splits: which image goes where, the files, and a report on them."""
