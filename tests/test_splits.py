"""Split methods: shares, groups, growth, folds and slices."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from split_project import STRATIFIED, encode, make_project, members, pets, picture, report, sides

from viewfinder.cli import main
from viewfinder.data.readers.record import Object, Record
from viewfinder.data.schema import SPLITS
from viewfinder.data.splits.assign import Assignment, official_split, stratified_split
from viewfinder.data.splits.kfold import kfold_split
from viewfinder.data.splits.slices import slice_split
from viewfinder.data.splits.stable import stable_split
from viewfinder.errors import ViewfinderError


def labelled(counts: Sequence[int]) -> list[Record]:
    return [
        Record(id=f"{label}/{index}.png", label=label)
        for label, count in enumerate(counts)
        for index in range(count)
    ]


def ids(assignment: Assignment) -> dict[str, set[str]]:
    return {split: {record.id for record in assignment[split]} for split in SPLITS}


def share_of(assignment: Assignment, label: int) -> dict[str, float]:
    counts = {
        split: sum(label in record.classes() for record in assignment[split]) for split in SPLITS
    }
    return {split: count / sum(counts.values()) for split, count in counts.items()}


def test_several_classes_an_image_are_held_in_the_same_shares() -> None:
    records = [
        Record(
            id=str(number),
            labels=tuple(k for k, step in enumerate((2, 3, 7, 25)) if number % step == 0),
        )
        for number in range(1000)
    ]
    parts = stratified_split(records, val=0.1, test=0.2, seed=0)
    for label in range(4):
        shares = share_of(parts, label)
        assert shares["test"] == pytest.approx(0.2, abs=0.026), label
        assert shares["val"] == pytest.approx(0.1, abs=0.026), label
    assert [len(parts[split]) for split in SPLITS] == pytest.approx([700, 100, 200], abs=10)
    assert sum(map(len, ids(parts).values())) == 1000


def test_masks_are_drawn_by_the_classes_they_hold() -> None:
    for seed in range(5):
        records = [
            Record(id=str(number), in_mask=frozenset({0, 1} if number % 9 == 0 else {0}))
            for number in range(90)
        ]
        parts = stratified_split(records, val=0.2, test=0.2, seed=seed)
        held = {split: sum(1 in record.in_mask for record in parts[split]) for split in SPLITS}
        assert held == {"train": 6, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("classes", "images", "val", "test"),
    [(102, 10, 0.05, 0.2), (1000, 10, 0.04, 0.04), (200, 15, 0.03, 0.03), (60, 4, 0.1, 0.1)],
)
def test_shares_are_held_however_small_the_classes(
    classes: int, images: int, val: float, test: float
) -> None:
    parts = stratified_split(labelled([images] * classes), val=val, test=test, seed=1)
    total = classes * images
    for split, share in (("val", val), ("test", test)):
        assert len(parts[split]) == pytest.approx(share * total, abs=1)
        held = Counter(record.label for record in parts[split])
        spread = [held[label] for label in range(classes)]
        assert max(spread) - min(spread) <= 1


def test_an_official_split_of_small_classes_lends_some_images_for_validation() -> None:
    records = [replace(record, split="train") for record in labelled([9] * 50)]
    records += [Record(id=f"test/{label}", label=label, split="test") for label in range(50)]
    assert len(official_split(records, val=0.05)["val"]) in (22, 23)


def test_folds_of_small_classes_leave_images_for_validation() -> None:
    for fold in range(5):
        parts = kfold_split(labelled([5] * 10), k=5, fold=fold)
        assert [len(parts[split]) for split in SPLITS] == [36, 4, 10]


def test_images_with_objects_are_drawn_by_the_classes_they_hold() -> None:
    box = (0.0, 0.0, 4.0, 4.0)
    records = [
        Record(
            id=str(number),
            objects=(Object(box, 0),) * 3 + ((Object(box, 1),) if number % 20 == 0 else ()),
        )
        for number in range(400)
    ]
    parts = stratified_split(records, val=0.25, test=0.25, seed=3)
    rare = {split: sum(1 in record.classes() for record in parts[split]) for split in SPLITS}
    assert rare == {"train": 10, "val": 5, "test": 5}


def test_groups_are_not_divided_and_classes_stay_balanced() -> None:
    records = [
        replace(record, group=f"patient {number // 7}")
        for number, record in enumerate(labelled((210, 210)))
    ]
    for divide in (
        lambda: stratified_split(records, val=0.2, test=0.2, seed=1),
        lambda: kfold_split(records, k=5, fold=0, val=0.25, seed=1),
    ):
        parts = divide()
        groups = [{record.group for record in parts[split]} for split in SPLITS]
        assert sum(map(len, groups)) == 60
        assert len(parts["test"]) == pytest.approx(84, abs=7)
        assert Counter(record.label for record in parts["test"])[0] == pytest.approx(42, abs=7)


def test_a_missing_validation_split_is_drawn_from_the_authors_training_images() -> None:
    records = [
        replace(record, split="test" if number % 5 == 0 else "train")
        for number, record in enumerate(labelled((100, 50)))
    ]
    parts = official_split(records, val=0.1)
    assert {record.split for record in parts["val"]} == {"train"}
    assert Counter(record.label for record in parts["val"]) == {0: 8, 1: 4}
    assert ids(parts)["test"] == {record.id for record in records if record.split == "test"}
    assert len(parts["train"]) == 108


def test_drawing_what_the_authors_gave_is_refused() -> None:
    records = [replace(record, split="train") for record in labelled((10, 10))]
    records[0] = replace(records[0], split="val")
    with pytest.raises(ViewfinderError, match=r"has 1 images for val.*val=0\.1"):
        official_split(records, val=0.1, test=0.1)


def test_a_stable_split_never_moves_an_image() -> None:
    grown = labelled((900, 900))
    before = ids(stable_split(grown[::3], val=0.1, test=0.2, seed=4))
    after = ids(stable_split(grown, val=0.1, test=0.2, seed=4))
    assert all(before[split] <= after[split] for split in SPLITS)
    assert len(after["test"]) == pytest.approx(360, abs=60)
    assert len(after["val"]) == pytest.approx(180, abs=45)
    assert ids(stable_split(grown, val=0.1, test=0.2, seed=5)) != after


def test_a_stable_split_keeps_groups_and_equal_pixels_together() -> None:
    records = [
        *(Record(id=f"a{n}", group=f"g{n % 30}", fingerprint=str(n)) for n in range(90)),
        *(Record(id=f"b{n}", fingerprint=f"same {n // 2}") for n in range(90)),
    ]
    parts = stable_split(records, val=0.3, test=0.3)
    for key in ("group", "fingerprint"):
        values = [{getattr(r, key) for r in parts[split]} - {None} for split in SPLITS]
        assert all(values)
        assert sum(map(len, values)) == len(set.union(*values))


def test_folds_hold_every_image_once_and_all_classes() -> None:
    records = labelled((50, 25))
    folds = [kfold_split(records, k=5, fold=fold, val=0.2, seed=0) for fold in range(5)]
    tested = [name for parts in folds for name in ids(parts)["test"]]
    assert sorted(tested) == sorted(record.id for record in records)
    for parts in folds:
        assert Counter(record.label for record in parts["test"]) == {0: 10, 1: 5}
        assert Counter(record.label for record in parts["val"]) == {0: 8, 1: 4}
        assert len(parts["train"]) == 48


@pytest.mark.parametrize(("k", "fold"), [(5, 5), (5, -1), (1, 0)])
def test_a_fold_that_does_not_exist_is_refused(k: int, fold: int) -> None:
    with pytest.raises(ViewfinderError, match=f"no fold {fold} of k={k}"):
        kfold_split(labelled((20, 20)), k=k, fold=fold)


def test_slices_of_each_class_follow_the_numbers_in_the_names() -> None:
    records = [
        Record(id=f"{name}.{index}.jpg", label=label)
        for label, name in enumerate(("cat", "dog"))
        for index in range(30)
    ]
    records.sort(key=lambda record: record.id)
    parts = ids(slice_split(records, train="[:10]", val="[10:15]", test="[15:25]", each_class=True))
    assert parts["val"] == {f"{name}.{n}.jpg" for name in ("cat", "dog") for n in range(10, 15)}
    assert [len(parts[split]) for split in SPLITS] == [20, 10, 20]


def test_slices_by_fraction_take_the_authors_split_they_name() -> None:
    records = [
        Record(id=f"{number:03}", split="train" if number < 100 else "test")
        for number in range(140)
    ]
    parts = ids(slice_split(records, test="train[:10%]", val="train[10%:25%]", train="train[25%:]"))
    assert parts["test"] == {f"{number:03}" for number in range(10)}
    assert parts["val"] == {f"{number:03}" for number in range(10, 25)}
    assert parts["train"] == {f"{number:03}" for number in range(25, 100)}
    shuffled = slice_split(records, test="[:10%]", val="[10%:25%]", train="[25%:]", shuffle=1)
    assert [len(shuffled[split]) for split in SPLITS] == [105, 21, 14]
    assert ids(shuffled)["test"] != {f"{number:03}" for number in range(14)}


def test_train_is_every_image_where_the_authors_made_no_split() -> None:
    parts = slice_split(labelled((20, 20)), train="train[:10%]", val="[10%:25%]", test="[25%:]")
    assert [len(parts[split]) for split in SPLITS] == [4, 6, 30]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("test[:5]", "is of the data set's own split, and it has none"),
        ("[:50%]", "overlap"),
        ("[-5:]", "not understood"),
        ("", "not understood"),
        ("valid[:5]", "not understood"),
        ("[500:]", "holds none of the 40 images"),
    ],
)
def test_slices_that_make_no_split_are_refused(train: str, message: str) -> None:
    with pytest.raises(ViewfinderError, match=message):
        slice_split(labelled((20, 20)), train=train, val="[:10]", test="[30:]")


def test_a_pattern_in_the_path_groups_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        f"{name}/video{index // 4}_{index}.png": encode(picture(50 * label + index))
        for label, name in enumerate(("cat", "dog"))
        for index in range(40)
    }
    split = STRATIFIED | {"group_by": r"/(video\d+)_"}
    monkeypatch.chdir(make_project(tmp_path, files, split))
    assert main(["split", "pets"]) == 0
    for number in range(10):
        video = [name for name in files if f"/video{number}_" in name]
        assert len(video) == 8
        assert len(sides(tmp_path, *video)) == 1


@pytest.mark.parametrize("pattern", [r"/(?:video(\d+)|scan(\d+))_", r"/((?:video|scan)\d+)_"])
def test_a_pattern_of_alternatives_groups_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    files = {
        f"{name}/{kind}{2 * (index // 4) + (kind == 'scan')}_{index}.png": encode(
            picture(100 * label + 50 * (kind == "scan") + index)
        )
        for label, name in enumerate(("cat", "dog"))
        for kind in ("video", "scan")
        for index in range(20)
    }
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED | {"group_by": pattern}))
    assert main(["split", "pets"]) == 0
    for number in range(10):
        same = [name for name in files if f"{number}_" in name]
        assert len(same) == 8
        assert len(sides(tmp_path, *same)) == 1


def test_a_method_that_divides_a_group_is_stopped_at_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slices = {
        "_target_": "viewfinder.data.splits.slices.slice_split",
        "_partial_": True,
        "train": "[:20]",
        "val": "[20:30]",
        "test": "[30:]",
        "group_by": r"/(\d+)\.png",
    }
    monkeypatch.chdir(make_project(tmp_path, pets(), slices))
    assert main(["split", "pets"]) == 1
    error = capsys.readouterr().err
    assert "leaks: 20 groups of images: group in train 'cat/0.png' and val 'dog/0.png'" in error
    assert "leaks: warn" in error
    assert not (tmp_path / "data" / "splits").exists()
    config = tmp_path / "conf" / "dataset" / "pets.yaml"
    config.write_text(config.read_text() + "  leaks: warn\n")
    assert main(["split", "pets"]) == 0
    assert len(members(tmp_path)["train"]) == 20
    assert len(report(tmp_path)["duplicates"]["on_two_sides"]) == 20


def without_validation(records: Sequence[Record]) -> dict[str, list[Record]]:
    return {"train": list(records[:20]), "test": list(records[20:])}


def with_a_fourth_part(records: Sequence[Record]) -> dict[str, list[Record]]:
    parts = {"train": records[:10], "val": records[10:20], "test": records[20:30]}
    return {split: list(part) for split, part in parts.items()} | {"more": list(records[30:])}


def in_generators(records: Sequence[Record]) -> dict[str, Iterator[Record]]:
    return {split: iter(records[10 * part :][:10]) for part, split in enumerate(SPLITS)}


def in_a_list(records: Sequence[Record]) -> list[Record]:
    return list(records)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (without_validation, "returned ['train', 'test']; expected a dictionary"),
        (with_a_fourth_part, "returned ['train', 'val', 'test', 'more']; expected a dictionary"),
        (in_generators, "for train; expected a list"),
        (in_a_list, "returned list; expected a dictionary"),
    ],
)
def test_what_a_split_function_of_ones_own_returns_is_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    function: Callable[..., object],
    found: str,
) -> None:
    split = {"_target_": f"{__name__}.{function.__name__}", "_partial_": True}
    monkeypatch.chdir(make_project(tmp_path, pets(), split))
    assert main(["split", "pets"]) == 1
    assert found in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"on_error": "ignore"}, "split.on_error is 'ignore'; expected fail or skip"),
        ({"leaks": "off"}, "split.leaks is 'off'; expected fail or warn"),
        ({"group_by": "["}, "split.group_by is '['"),
        ({"group_by": "nowhere"}, "matches nothing in the path 'cat/0.png'"),
        ({"group_by": "cat(x)?"}, "matches nothing in the path 'cat/0.png'"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: dict[str, str],
    named: str,
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), STRATIFIED | option))
    assert main(["split", "pets"]) == 1
    assert named in capsys.readouterr().err
