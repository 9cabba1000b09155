"""Keep an ONNX file as the one MLflow model of a run."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from importlib import metadata as packages
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viewfinder.tracking.store import Store

if TYPE_CHECKING:
    import onnx
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature
    from mlflow.types import TensorSpec

_DIGEST_TAG = "viewfinder.sha256"
_RUNTIME = ("mlflow", "numpy", "onnx", "onnxruntime")


def log_onnx_model(
    store: Store,
    run_id: str,
    path: Path,
    name: str,
    metadata: dict[str, Any],
) -> str:
    """Log ``path`` as model ``name`` of the run and return its id; one model remains.

    MLflow's ``log_model`` is not used: it works on the process's active run and loads the model
    to guess its requirements.
    """
    digest = _digest(path, metadata)
    earlier = _models(store, run_id, name)
    for model in earlier:
        if model.tags.get(_DIGEST_TAG) == digest and model.status == "READY":
            return str(model.model_id)
    model_id = _create(store, run_id, name, digest)
    try:
        _upload(store, run_id, model_id, path, metadata)
    except BaseException:
        store.client.finalize_logged_model(model_id, "FAILED")
        raise
    store.client.finalize_logged_model(model_id, "READY")
    kept = _registered_sources(store, run_id)
    for model in earlier:
        if not any(model.model_id in source for source in kept):
            store.client.delete_logged_model(model.model_id)
    return model_id


def _digest(path: Path, metadata: Mapping[str, Any]) -> str:
    facts = json.dumps(metadata, sort_keys=True, default=str).encode()
    return hashlib.sha256(path.read_bytes() + facts).hexdigest()


def _models(store: Store, run_id: str, name: str) -> list[LoggedModel]:
    experiment = store.client.get_run(run_id).info.experiment_id
    return list(
        store.client.search_logged_models(
            [experiment], f"source_run_id = '{run_id}' AND name = '{name}'"
        )
    )


def _registered_sources(store: Store, run_id: str) -> list[str]:
    """Return what the registered versions of this run's models were made from."""
    versions = store.client.search_model_versions(f"run_id = '{run_id}'")
    return [f"{version.model_id} {version.source}" for version in versions]


def _create(store: Store, run_id: str, name: str, digest: str) -> str:
    from mlflow.entities import LoggedModelOutput

    run = store.client.get_run(run_id)
    model = store.client.create_logged_model(
        experiment_id=run.info.experiment_id,
        name=name,
        source_run_id=run_id,
        tags={_DIGEST_TAG: digest},
        params=run.data.params,
        model_type="onnx",
    )
    store.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id)


def _upload(
    store: Store,
    run_id: str,
    model_id: str,
    path: Path,
    metadata: dict[str, Any],
) -> None:
    import mlflow.onnx
    import onnx
    from mlflow.models import Model

    graph = onnx.load(path)
    location = store.client.get_logged_model(model_id).artifact_location
    with tempfile.TemporaryDirectory() as folder:
        mlflow.onnx.save_model(
            graph,
            f"{folder}/model",
            mlflow_model=Model(
                artifact_path=location,
                model_uuid=model_id,
                run_id=run_id,
                model_id=model_id,
            ),
            signature=_signature(graph),
            pip_requirements=[f"{package}=={packages.version(package)}" for package in _RUNTIME],
            metadata=metadata or None,
            save_as_external_data=False,
        )
        store.client.log_model_artifacts(model_id, f"{folder}/model")


def _signature(model: onnx.ModelProto) -> ModelSignature:
    """Read the signature off the graph: inference would freeze the example's batch size."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    return ModelSignature(
        inputs=Schema([_tensor_spec(value) for value in inputs]),
        outputs=Schema([_tensor_spec(value) for value in model.graph.output]),
    )


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    from mlflow.types import TensorSpec
    from onnx.helper import tensor_dtype_to_np_dtype

    tensor = value.type.tensor_type
    shape = [size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim]
    return TensorSpec(tensor_dtype_to_np_dtype(tensor.elem_type), tuple(shape), value.name)
