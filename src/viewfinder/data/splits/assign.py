"""Which record belongs to which split."""

from collections.abc import Sequence

from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError

Assignment = dict[Split, list[Record]]


def official_split(records: Sequence[Record]) -> Assignment:
    """Keep the authors' own split.

    Raises:
        ViewfinderError: If the data set has no complete split of its authors.
    """
    assignment: Assignment = {split: [] for split in SPLITS}
    for record in records:
        if record.split is not None:
            assignment[record.split].append(record)
    empty = [split for split in SPLITS if not assignment[split]]
    if empty:
        raise ViewfinderError(
            f"The data set's own split has no images for {', '.join(empty)}. "
            "Choose a split method that makes them, such as stratified_split."
        )
    return assignment


def stratified_split(
    records: Sequence[Record], *, val: float, test: float, seed: int
) -> Assignment:
    """Draw splits that each hold the classes in the same proportion.

    Args:
        records: Records with one label each.
        val: Share of the images for validation, in (0, 1).
        test: Share of the images for testing, in (0, 1).
        seed: Seed of the draw.

    Raises:
        ViewfinderError: If the shares leave nothing to train on, or a class is too small to be in
            every split.
    """
    from sklearn.model_selection import train_test_split

    if not (val > 0 and test > 0 and val + test < 1):
        raise ViewfinderError(
            f"The split shares val={val} and test={test} must be above 0 and add up to less than 1."
        )
    labels = [record.label for record in records]
    if None in labels:
        raise ViewfinderError(
            f"A stratified split needs one class label an image; {labels.count(None)} of "
            f"{len(labels)} have none. Use official_split if the data set has its own split."
        )
    try:
        rest, test_part, rest_labels, _ = train_test_split(
            records, labels, test_size=test, random_state=seed, stratify=labels
        )
        train_part, val_part = train_test_split(
            rest, test_size=val / (1 - test), random_state=seed, stratify=rest_labels
        )
    except ValueError as error:
        raise ViewfinderError(f"The data set can't be split by class: {error}") from error
    order = {record.id: number for number, record in enumerate(records)}
    parts = {"train": train_part, "val": val_part, "test": test_part}
    return {split: sorted(parts[split], key=lambda record: order[record.id]) for split in SPLITS}
