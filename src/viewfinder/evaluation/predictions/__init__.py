"""The predictions for a split as a table: every figure and picture is computed from it."""
