"""A look inside a trained network: where it looks, what its layers answer to, what they cost."""

from viewfinder.explain.look import PARTS, Part, look_inside
from viewfinder.explain.subject import Subject, picture_subject, subjects_of_batch

__all__ = ["PARTS", "Part", "Subject", "look_inside", "picture_subject", "subjects_of_batch"]
