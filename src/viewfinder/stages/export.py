"""``viewfinder export EXPERIMENT``: an ONNX file, and proof that it predicts the same."""

import json

from viewfinder.config import load_composed
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_folder
from viewfinder.process import importing
from viewfinder.workspace import project_dir


def main(name: str) -> None:
    """Write ``exports/<name>/``."""
    project = project_dir()
    config = load_composed(name, project)
    settings = config.export
    with importing():
        from viewfinder import tracking
        from viewfinder.export.certificate import certify
        from viewfinder.export.graph import export_onnx
        from viewfinder.export.predictor import OnnxPredictor
        from viewfinder.stages.trained import open_trained

    model = open_trained(project / "models" / name, project)
    if config.predict.flip:
        model.task.mirror()
    exports = project / "exports" / name
    with tracking.open_run(
        task=model.task.name,
        name=name,
        run_id=model.run_id,
        tags=tracking.lineage_tags(config=model.settings),
    ) as run:
        with new_folder(exports) as folder:
            export_onnx(
                model.task,
                folder / "model.onnx",
                size=model.data.transform.size,
                metadata={"name": name},
                interpolation=model.config.image.interpolation,
                opset=settings.opset,
            )
            certificate = certify(
                model.task,
                OnnxPredictor(folder / "model.onnx"),
                model.data.test_dataloader(),
                tolerance=settings.tolerance,
                metric_tolerance=settings.metric_tolerance,
            )
            disagreement = certificate.disagreement()
            if disagreement:
                raise ViewfinderError(
                    f"The export of {name!r} was refused: {disagreement} "
                    "The tolerances are export.tolerance and export.metric_tolerance."
                )
            document = json.dumps(certificate.to_dict(), indent=2)
            (folder / "certificate.json").write_text(document + "\n")
        run.log_artifact(exports / "certificate.json", "export")
        run.log_onnx_model(exports / "model.onnx", name, metadata={"classes": model.task.classes})
    print(f"{name}: exports/{name}/model.onnx agrees with PyTorch")
