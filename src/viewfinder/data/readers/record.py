"""What a reader finds in an archive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from viewfinder.data.archive import Archive
from viewfinder.data.schema import Split

Content = Callable[[], bytes]


@dataclass(frozen=True)
class Object:
    """One annotated object.

    Attributes:
        bbox: Left, top, right, bottom in pixels of the image.
        category: Class index.
        rle: The object's mask as COCO's compressed run lengths.
        crowd: Whether the box holds a crowd that was not annotated one by one.
    """

    bbox: tuple[float, float, float, float]
    category: int
    rle: bytes | None = None
    crowd: bool = False


@dataclass(frozen=True)
class MaskFile:
    """An image whose pixel values are classes.

    Attributes:
        path: The file's path in the archive.
        values: Class index of each pixel value, 255 for pixels to ignore; None takes the values
            as they are.
        content: Makes the encoded mask where it is no file of its own; ``path`` then only names
            it.
    """

    path: str
    values: Mapping[int, int] | None = None
    content: Content | None = field(default=None, repr=False, compare=False)

    def read(self, archive: Archive) -> bytes:
        """Return the encoded mask.

        Raises:
            ViewfinderError: If the archive has no such file, or it is damaged.
        """
        return self.content() if self.content is not None else archive.read(self.path)


@dataclass(frozen=True)
class Record:
    """One image and its annotations; the pixels stay in the archive.

    Attributes:
        id: The image's path in the archive: unique and stable.
        size: Width and height that the annotations were made for, pixels, if they tell.
        label: Class index, if the image has exactly one class.
        labels: Class indices, if the image has any number of classes.
        objects: The objects, if the data set has boxes or instances.
        mask: The image's semantic mask, if the data set has such files.
        group: What must not be divided between splits.
        split: The authors' own split, if there is one.
        fingerprint: Hash of the decoded pixels, once the image was looked at: exact duplicates
            share it.
        cluster: What near duplicates share, once they were searched.
        in_mask: The classes of its mask's pixels, once the mask was looked at.
        content: Makes the encoded image where it is no file of its own; None reads the file that
            ``id`` names.
    """

    id: str
    size: tuple[int, int] | None = None
    label: int | None = None
    labels: tuple[int, ...] | None = None
    objects: tuple[Object, ...] | None = None
    mask: MaskFile | None = None
    group: str | None = None
    split: Split | None = None
    fingerprint: str | None = None
    cluster: str | None = None
    in_mask: frozenset[int] = frozenset()
    content: Content | None = field(default=None, repr=False, compare=False)

    def classes(self) -> frozenset[int]:
        """Return the classes that its label, labels, objects or mask name."""
        named = {item.category for item in self.objects or ()} | set(self.labels or ())
        return self.in_mask | (named if self.label is None else named | {self.label})

    def read(self, archive: Archive) -> bytes:
        """Return the encoded image.

        Raises:
            ViewfinderError: If the archive has no such file, or it is damaged.
        """
        return self.content() if self.content is not None else archive.read(self.id)


@dataclass(frozen=True)
class LeftOut:
    """A sample that is not used, by its image (or annotation, if it has no image), and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """All that a reader found.

    Attributes:
        classes: Class names.
        annotations: Names of the annotation columns that the records fill.
        records: The images that can be used, in the archive's order.
        left_out: The others; the split stage decides what becomes of them.
    """

    classes: list[str]
    annotations: list[str]
    records: list[Record] = field(repr=False)
    left_out: list[LeftOut] = field(default_factory=list, repr=False)
