"""A look inside a trained network: where it looks, what its layers answer to, what they cost."""

from viewfinder.explain.errors import NothingToDrawError
from viewfinder.explain.look import look_inside, write_heatmaps
from viewfinder.explain.options import Cam, Choices, Part
from viewfinder.explain.subject import Subject, picture_subject, subjects_of_batch

__all__ = [
    "Cam",
    "Choices",
    "NothingToDrawError",
    "Part",
    "Subject",
    "look_inside",
    "picture_subject",
    "subjects_of_batch",
    "write_heatmaps",
]
