"""Mistakes in a data set's config: each names the file, the section, the key and what there is."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from split_project import STRATIFIED, encode, make_project, members, pets, picture

from viewfinder.cli import main

SHARES = {"val": 0.2, "test": 0.2, "seed": 0}
SLICES = {"train": "[:4]", "val": "[4:6]", "test": "[6:]", "each_class": True}


@pytest.mark.parametrize(
    "split",
    [
        {"method": "kfold", "k": 5, "fold": 2},
        {"method": "stratified", **SHARES},
        {"method": "stable", **SHARES},
        {"method": "slices", **SLICES},
    ],
    ids=lambda split: split["method"],
)
def test_a_method_is_named_by_one_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: dict[str, Any]
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(10), split))
    assert main(["split", "pets"]) == 0
    assert sum(map(len, members(tmp_path).values())) == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vall": 0.1}, ["split", "'vall'", "val, test, seed", "Did you mean 'val'"]),
        ({"on_eror": "skip"}, ["'on_eror'", "Did you mean 'on_error'"]),
        ({"val": "0.1x"}, ["split.val", "'0.1x'", "a number"]),
        ({"seed": 1.5}, ["split.seed", "1.5", "a whole number"]),
        ({"seed": None}, ["split.seed", "None", "a whole number"]),
        ({"_target_": "viewfinder.data.splits.assign.stratifed_split"}, ["stratifed_split"]),
        ({"_target_": None}, ["does not say", "official | stratified | stable | kfold | slices"]),
        ({"method": "kfold"}, ["split.method", "'kfold'", "alone"]),
        ({"val": "${oc.env:NO_SUCH_VARIABLE}"}, ["NO_SUCH_VARIABLE"]),
        ({"val": "???"}, ["split.val"]),
    ],
)
def test_a_mistake_in_the_split_section_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    words: list[str],
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), STRATIFIED | change))
    assert_refused(["split", "pets"], words, capsys)


def test_a_method_that_there_is_not_is_named_with_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), {"method": "stratify", **SHARES}))
    words = ["split.method", "official, stratified, stable, kfold, slices", "mean 'stratified'"]
    assert_refused(["split", "pets"], words, capsys)


def test_a_missing_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), {"method": "stratified", "val": 0.2}))
    assert_refused(["split", "pets"], ["split lacks test, seed"], capsys)


def test_a_mistake_in_the_reader_section_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), STRATIFIED, roott="pets"))
    assert_refused(["split", "pets"], ["reader", "'roott'", "Did you mean 'root'"], capsys)


@pytest.mark.parametrize(("command", "key"), [("split", "split"), ("download", "source")])
def test_a_missing_section_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    key: str,
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), STRATIFIED))
    path = tmp_path / "conf" / "dataset" / "pets.yaml"
    config = {k: v for k, v in yaml.safe_load(path.read_text()).items() if k != key}
    path.write_text(yaml.safe_dump(config))
    assert_refused([command, "pets"], [f"no mapping `{key}:`", "name, reader"], capsys)


def test_all_classes_that_are_too_small_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {**pets(4), "cow/1.png": encode(picture(5)), "hen/1.png": encode(picture(6))}
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED))
    assert main(["split", "pets"]) == 1
    said = capsys.readouterr().err
    assert "2 classes have fewer than 3 images" in said
    assert "the class of 'cow/1.png' has 1; the class of 'hen/1.png' has 1" in said


@pytest.mark.parametrize("text", ["name: [x\n", "- a\n- b\n", "just words\n"])
def test_a_file_that_is_no_mapping_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), STRATIFIED))
    (tmp_path / "conf" / "dataset" / "pets.yaml").write_text(text)
    assert_refused(["split", "pets"], [], capsys)


def assert_refused(
    command: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert all(word in said for word in ["conf/dataset/pets.yaml", *words]), said
