"""Which format a data set of the user's own has."""
