"""Cross-validation: one fold of a data set at a time."""

from collections.abc import Sequence

from viewfinder.data.readers.record import Record
from viewfinder.data.splits.assign import Assignment, check_classes, draw, in_order
from viewfinder.data.splits.bundles import bundle
from viewfinder.data.splits.stratify import stratify
from viewfinder.errors import ViewfinderError


def kfold_split(
    records: Sequence[Record], *, k: int, fold: int, val: float = 0.1, seed: int = 0
) -> Assignment:
    """Divide the images into ``k`` stratified folds and test on one of them.

    The folds of one seed have no image in common and together hold every image. Groups, exact and
    near duplicates are not divided.

    Args:
        records: The images.
        k: Number of folds, 2 or more.
        fold: The fold to test on, from 0 to ``k - 1``.
        val: Share of the other folds' images for validation, in (0, 1).
        seed: Seed of the draw.

    Raises:
        ViewfinderError: If there is no such fold, or too few images for so many.
    """
    if k < 2 or not 0 <= fold < k:
        raise ViewfinderError(
            f"There is no fold {fold} of k={k}; expected k of 2 or more and a fold from 0 to k - 1."
        )
    bundles = bundle(records)
    if len(bundles) < k:
        raise ViewfinderError(
            f"The {len(records)} images form {len(bundles)} groups that must not be divided, "
            f"too few for {k} folds."
        )
    check_classes(bundles, k)
    parts = stratify(bundles, [1 / k] * k, seed)
    rest = [record for number, part in enumerate(parts) if number != fold for record in part]
    assignment = draw(in_order(rest, records), {"val": val}, seed)
    return assignment | {"test": in_order(parts[fold], records)}
