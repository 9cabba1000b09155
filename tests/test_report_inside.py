"""The report's look inside the network."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import Scheme, check_page
from made_predictions import FACTS

from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.page import write_page
from viewfinder.explain import Subject
from viewfinder.explain.summary import write_summary
from viewfinder.models.layers import LayerNetwork
from viewfinder.models.timm_models import timm_classifier
from viewfinder.tasks import Classification

SIDE = 32
METRICS = {"accuracy": Figure(0.9, 0.85, 0.95)}


def summary(folder: Path, network: torch.nn.Module) -> None:
    """Write what a report on this network reads."""
    task = Classification(network, ["cat", "dog"], mean=[0.5] * 3, std=[0.25] * 3).eval()
    image = torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8)
    subject = Subject("noise", image, np.zeros((0, 4), np.float32))
    size = (SIDE, SIDE)
    write_summary(task, subject, folder / "plots", folder / "tables", size=size, batch_size=16)
    (folder / "tables" / "per_class.csv").write_text("class,count\ncat,80\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a network with many layers of long names."""
    folder = tmp_path_factory.mktemp("inside")
    summary(folder, timm_classifier(2, name="test_efficientnet", image_size=(SIDE, SIDE)))
    write_page(folder / "report.html", FACTS, METRICS, folder)
    return folder / "report.html"


def test_the_page_has_the_layer_table_and_two_pictures_folded(whole: Path) -> None:
    (inside,) = re.findall(r"<details>.*?</details>", whole.read_text(), re.DOTALL)
    assert inside.count("data:image/webp;base64,") == 2
    rows = re.findall(r"<tr><td.*?</tr>", inside)
    *layers, total = csv.DictReader((whole.parent / "tables" / "layers.csv").open())
    assert len(rows) == len(layers) + 1
    assert "MiB, batch of 16" in inside
    largest = max(layers, key=lambda row: int(row["parameters"]))
    (row,) = (row for row in rows if f">{largest['layer']}<" in row)
    assert f">{int(largest['parameters']):,}<" in row
    assert f">{largest['output']}<" in row
    assert f">{int(total['multiply_adds']):,}<" in rows[-1]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_it_shows_well_unfolded(whole: Path, width: int, scheme: Scheme) -> None:
    check_page(whole, width=width, scheme=scheme)


def test_pictures_that_a_network_has_nothing_for_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "first_kernels.png").write_text("of an earlier network")
    layers = ["flatten", {"dense": "classes"}]
    summary(tmp_path, LayerNetwork(2, layers=layers, image_size=(SIDE, SIDE)))
    assert not list((tmp_path / "plots").iterdir())
    printed = capsys.readouterr().out
    assert "No silent_channels.png: " in printed
    assert "No first_kernels.png: " in printed
    write_page(tmp_path / "report.html", FACTS, METRICS, tmp_path)
    assert f">{3 * SIDE * SIDE * 2 + 2:,}<" in (tmp_path / "report.html").read_text()


def test_a_report_without_a_look_inside_has_no_such_section(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "per_class.csv").write_text("class,count\ncat,80\n")
    write_page(tmp_path / "report.html", FACTS, METRICS, tmp_path)
    assert "A look inside" not in (tmp_path / "report.html").read_text()
