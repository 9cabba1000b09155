"""Which record belongs to which split: the authors' word, or a stratified draw."""

from collections import defaultdict
from collections.abc import Sequence

from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.splits.bundles import bundle
from viewfinder.data.splits.stratify import stratify
from viewfinder.errors import ViewfinderError

Assignment = dict[Split, list[Record]]


def official_split(
    records: Sequence[Record], *, val: float | None = None, test: float | None = None, seed: int = 0
) -> Assignment:
    """Keep the authors' own split; draw what it lacks from its training images.

    Args:
        records: Records, of which those with a split of their authors are taken.
        val: Share of the training images for validation, where the authors give none.
        test: Share of the training images for testing, where the authors give none.
        seed: Seed of the draw, which is stratified and keeps bundles together.

    Raises:
        ViewfinderError: If a split has no images and no share, or images and a share.
    """
    assignment: Assignment = {split: [] for split in SPLITS}
    for record in records:
        if record.split is not None:
            assignment[record.split].append(record)
    shares: dict[Split, float] = {}
    asked: tuple[tuple[Split, float | None], ...] = (("val", val), ("test", test))
    for split, share in asked:
        if share is not None and assignment[split]:
            raise ViewfinderError(
                f"The data set's own split has {len(assignment[split])} images for {split}, and "
                f"the split config asks to draw {split}={share}. Leave {split} out of the config."
            )
        if share is not None:
            shares[split] = share
    empty = [split for split in SPLITS if not assignment[split] and split not in shares]
    if empty:
        raise ViewfinderError(
            f"The data set's own split has no images for {', '.join(empty)}. "
            "Give shares to draw from its training images, such as val: 0.1, or "
            "choose a split method that makes them, such as `method: stratified`."
        )
    return assignment | draw(assignment["train"], shares, seed) if shares else assignment


def stratified_split(
    records: Sequence[Record], *, val: float, test: float, seed: int
) -> Assignment:
    """Draw splits that each hold the classes in the same proportion.

    Groups, exact and near duplicates are not divided. With several classes an image, or objects,
    the classes are those present in the image; without any the draw is plain.

    Args:
        records: The images.
        val: Share of the images for validation, in (0, 1).
        test: Share of the images for testing, in (0, 1).
        seed: Seed of the draw.

    Raises:
        ViewfinderError: If the shares leave nothing to train on, or each image has one class and
            one of them is too small to be in every split.
    """
    return draw(records, {"val": val, "test": test}, seed)


def draw(records: Sequence[Record], shares: dict[Split, float], seed: int) -> Assignment:
    """Draw parts of the given shares; the rest is for training.

    Raises:
        ViewfinderError: As :func:`stratified_split` does.
    """
    check_shares(shares)
    bundles = bundle(records)
    if len(bundles) <= len(shares):
        raise ViewfinderError(
            f"The {len(records)} images form no more than {len(bundles)} that can be told apart, "
            f"by groups, copies and near duplicates; {len(shares) + 1} or more are needed for "
            f"{len(shares) + 1} splits. `near_duplicates: false` under `split:` lets the last go."
        )
    check_classes(bundles, len(shares) + 1)
    names: list[Split] = ["train", *shares]
    parts = stratify(bundles, [1 - sum(shares.values()), *shares.values()], seed)
    return {name: in_order(part, records) for name, part in zip(names, parts, strict=True)}


def check_shares(shares: dict[Split, float]) -> None:
    """Refuse shares that leave a split empty.

    Raises:
        ViewfinderError: Naming them.
    """
    if not (all(share > 0 for share in shares.values()) and sum(shares.values()) < 1):
        named = " and ".join(f"{split}={share}" for split, share in shares.items())
        raise ViewfinderError(
            f"The split shares {named} must be above 0 and add up to less than 1."
        )


def check_classes(bundles: Sequence[Sequence[Record]], parts: int) -> None:
    """Refuse a class, of those that stand alone in an image, with too few bundles.

    Raises:
        ViewfinderError: Naming the class.
    """
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for item in bundles:
        first = {record.label: record.id for record in reversed(item) if record.label is not None}
        for label, name in first.items():
            holders[label].append(name)
    few = [names for names in holders.values() if len(names) < parts]
    if few:
        named = "; ".join(f"the class of {names[0]!r} has {len(names)}" for names in few[:5])
        raise ViewfinderError(
            f"The data set can't be split by class: {len(few)} "
            f"{'classes have' if len(few) > 1 else 'class has'} fewer than {parts} images (or "
            f"groups of images that must not be divided), such as {named}. {parts} or more are "
            "needed to be in every split. Add images, or take the classes out."
        )


def in_order(part: Sequence[Record], records: Sequence[Record]) -> list[Record]:
    """Return the records of a part in the order of all records."""
    chosen = {record.id for record in part}
    return [record for record in records if record.id in chosen]
