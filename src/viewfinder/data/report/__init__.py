"""The data report: what a data set holds, as JSON and as a page with pictures."""
