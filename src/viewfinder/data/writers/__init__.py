"""Writers: a data set's split files in the formats of other tools, one module a format."""
