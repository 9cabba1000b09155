"""Where a model fails: confused classes, mistakes it is sure of, weak slices, suspected labels."""
