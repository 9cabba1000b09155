"""A label that may be wrong."""

from dataclasses import dataclass

from viewfinder.evaluation.analysis.regions import Region


@dataclass(frozen=True, slots=True)
class Suspect:
    """An annotation that a model disagrees with so surely that it may be wrong.

    Attributes:
        row: Row of the image.
        given: The label that there is, in words.
        suggested: What the model takes it for.
        quality: How likely the given label is right, in [0, 1].
        true: Number of the object in doubt among the image's, if it is one.
        predicted: Number of the detection that speaks against it, if it is one.
        region: The pixels in doubt, if it is the label of such.
    """

    row: int
    given: str
    suggested: str
    quality: float
    true: int | None = None
    predicted: int | None = None
    region: Region | None = None
