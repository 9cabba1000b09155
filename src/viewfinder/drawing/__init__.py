"""What pictures are drawn with: colours, a canvas measured in pixels, frames and mosaics."""
