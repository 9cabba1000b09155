"""The front door: ``viewfinder <stage> …``. It imports nothing heavy."""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from viewfinder import __version__
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import NO_ROOM
from viewfinder.process import prepare, start_with_code_of_checkout

_INTERRUPTED = 130
_MENDS = {
    errno.EACCES: "Make it writable, or run as its owner.",
    errno.EPERM: "Make it writable, or run as its owner.",
    errno.EROFS: "Work in a folder on a disk that can be written to.",
}
_HYDRA_HELP = """\
usage: viewfinder train [-m] [+experiment=NAME] [group=option …] [key=value …]

Train one model, or with -m a sweep. The options are Hydra's:

  viewfinder train +experiment=segmentation
  viewfinder train +experiment=segmentation optimizer.lr=1e-3 trainer.max_epochs=2
  viewfinder train -m +experiment=segmentation model=fpn,unet optimizer.lr=1e-3,3e-3
  viewfinder train +experiment=segmentation --cfg job     show the composed config
  viewfinder train --hydra-help                           Hydra's own flags
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after the program's name; None takes them from the process.

    Returns:
        The exit status: 0 for success, 1 for an error, 130 after Ctrl-C.
    """
    prepare()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except ViewfinderError as error:
        return _fail(str(error), error)
    except KeyboardInterrupt as stop:
        return _fail("Interrupted. The same command goes on where it can.", stop, _INTERRUPTED)
    except OSError as error:
        return _fail(_of_the_system(error), error)


def run() -> NoReturn:
    """Run the command line and leave the process with its exit status."""
    start_with_code_of_checkout()
    sys.exit(main())


def _dispatch(words: list[str]) -> int:
    # Lightning starts the further processes of a distributed training without the word.
    if words[:1] != ["train"] and os.environ.get("LOCAL_RANK", "0") != "0":
        words = ["train", *words]
    if words[:1] == ["train"]:
        if words[1:] in (["--help"], ["-h"]):
            print(_HYDRA_HELP)
            return 0
        from viewfinder.stages import train

        train.main(words[1:])
        return 0
    options = _parser().parse_args(words)
    arguments = vars(options)
    stage = importlib.import_module(f"viewfinder.stages.{arguments.pop('stage')}")
    stage.main(**arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="viewfinder",
        description="Computer-vision pipelines: each command is one stage of `dvc repro`.",
        epilog="`dvc repro` runs them all in order. Set VIEWFINDER_DEBUG=1 for tracebacks, "
        "VIEWFINDER_MLFLOW=0 to run without tracking, VIEWFINDER_MIRROR to a folder or an address "
        "that downloads are looked for in first.",
    )
    parser.add_argument("--version", action="version", version=f"viewfinder {__version__}")
    stages = parser.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for stage, what, help_text in (
        ("configure", "EXPERIMENT", "compose an experiment's config from conf/ and params.yaml"),
        ("download", "DATASET", "fetch a data set's archives"),
        ("split", "DATASET", "divide a data set into train, val and test files"),
        ("evaluate", "EXPERIMENT", "judge a trained model on the test split"),
        ("export", "EXPERIMENT", "write a trained model as ONNX and certify it"),
    ):
        command = stages.add_parser(stage, help=help_text, description=help_text.capitalize())
        command.add_argument("name", metavar=what)
    _add_data(stages)
    add = stages.add_parser(
        "add",
        help="bring a data set of your own",
        description="Look at a folder, an archive or an address, say what was found, and add the "
        "data set with an experiment to conf/dataset/ and params.yaml.",
    )
    add.add_argument("name", metavar="NAME", help="what to call the data set")
    add.add_argument("source", metavar="PATH_OR_URL", help="a folder, an archive or an address")
    add.add_argument(
        "--task",
        help="the experiment's task, such as detection, if the data set can serve several",
    )
    convert = stages.add_parser(
        "convert",
        help="write a data set's splits for another tool",
        description="Write a data set's boxes and images as COCO, Pascal VOC or YOLO.",
    )
    convert.add_argument("name", metavar="DATASET")
    convert.add_argument("format", metavar="FORMAT", choices=("coco", "voc", "yolo"))
    convert.add_argument("folder", metavar="FOLDER", help="a new folder")
    _add_predict(stages)
    _add_explain(stages)
    _add_compare(stages)
    stages.add_parser("results", help="show the test metrics of all experiments")
    stages.add_parser("train", help="train a model (a Hydra application; see train --help)")
    return parser


def _add_data(stages: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    data = stages.add_parser(
        "data",
        help="show what a data set holds, once it was split",
        description="Print what a data set holds, once it was split. With --augment, draw some of "
        "its training images under augmentations instead.",
    )
    data.add_argument("name", metavar="DATASET")
    data.add_argument(
        "--augment",
        metavar="OPTION",
        nargs="+",
        help="options of conf/augment/ to draw, such as flip_color",
    )


def _add_predict(stages: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    predict = stages.add_parser(
        "predict",
        help="say what is in pictures",
        description="Predict for pictures, with the trained model of an experiment or with a timm "
        "model that learned the 1,000 classes of ImageNet.",
    )
    predict.add_argument(
        "images", metavar="IMAGE", nargs="+", help="pictures, or folders of pictures"
    )
    which = predict.add_mutually_exclusive_group()
    which.add_argument("--experiment", metavar="NAME", help="an experiment, or a model's folder")
    which.add_argument(
        "--model", metavar="TIMM_NAME", help="a timm model (tf_efficientnet_lite0 if none is given)"
    )
    predict.add_argument(
        "--weights", metavar="WHERE", help="the timm model's weights: hub, package or a file"
    )
    predict.add_argument("--top", metavar="N", type=int, default=5, help="classes to print")
    predict.add_argument(
        "--threshold",
        metavar="SCORE",
        type=float,
        help="tell classes and detections from this score on (0 to 1); by default from the "
        "threshold of each class that was found on validation images",
    )
    predict.add_argument("--output", metavar="FOLDER", help="write pictures of the predictions")


def _add_explain(stages: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = stages.add_parser(
        "explain",
        help="look inside a trained model",
        description="Draw where a trained model looks, what its layers make of an image and what "
        "its filters answer to, and list what its layers cost. Everything is written to "
        "reports/EXPERIMENT/explain/; docs/explain.md says how to read it.",
    )
    explain.add_argument("experiment", metavar="EXPERIMENT", help="a trained one, in models/")
    explain.add_argument(
        "images",
        metavar="IMAGE",
        nargs="*",
        help="pictures, or folders of them; images of the test split if none",
    )
    explain.add_argument(
        "--layer", metavar="NAME", help="the heatmaps' layer (the last one with feature maps)"
    )
    explain.add_argument(
        "--cam",
        dest="cams",
        metavar="METHOD",
        action="append",
        default=[],
        choices=("grad-cam", "hirescam", "score-cam"),
        help="a method of the heatmaps, may be given several times: grad-cam, hirescam, score-cam "
        "(the first and the last; of detectors the other two)",
    )
    explain.add_argument(
        "--filters",
        metavar="N|LAYER",
        action="append",
        default=[],
        help="show filters of N convolutions, spread over the depth (4), or of one by its name; "
        "names may be given several times",
    )
    explain.add_argument(
        "--count", metavar="N", type=int, default=8, help="images of the test split (8)"
    )
    explain.add_argument(
        "--batch", metavar="N", type=int, default=32, help="reckon memory for N images (32)"
    )
    explain.add_argument(
        "--only",
        metavar="PART",
        action="append",
        choices=("heatmaps", "activations", "filters", "layers", "kernels"),
        help="write this part only; may be given several times: heatmaps, activations, filters, "
        "layers, kernels",
    )


def _add_compare(stages: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    compare = stages.add_parser(
        "compare",
        help="say whether a model is better than another, where, and at what cost",
        description="Compare models on the same test images: metrics with intervals, differences "
        "with p-values, images and classes that changed, costs, and a page with pictures.",
    )
    compare.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="an experiment, REVISION:EXPERIMENT, a revision beside an experiment, or an MLflow "
        "run id; the first is the baseline",
    )
    compare.add_argument("--output", metavar="FILE", help="the page to write")
    compare.add_argument(
        "--json", dest="as_json", action="store_true", help="print a document for machines"
    )


def _of_the_system(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    mend = f" {_MENDS[error.errno]}" if error.errno in _MENDS else ""
    if error.errno in NO_ROOM:
        where = f"that holds {Path(error.filename).parent}" if error.filename else "written to"
        mend = f" Make room on the disk {where}, or raise your quota."
    return f"{name}{error.strerror or error}.{mend}"


def _fail(message: str, error: BaseException, status: int = 1) -> int:
    if os.environ.get("VIEWFINDER_DEBUG") == "1":
        raise error
    notes = getattr(error, "__notes__", ())
    print("\n".join([f"error: {message}", *notes]), file=sys.stderr)
    return status
