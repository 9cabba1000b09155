"""MLflow tracking: the only package that imports ``mlflow``, and only once a run is opened.

A stage asks for a run and logs into it, whether or not tracking is on::

    with tracking.open_run(task="segmentation", name="unet", tags=tracking.lineage_tags()) as run:
        trainer = Trainer(logger=run.logger() or False)
        run.log_params(config)

``VIEWFINDER_MLFLOW=0`` switches tracking off; ``MLFLOW_TRACKING_URI`` sends it elsewhere.
"""

from viewfinder.tracking.kept import KeptRun, find_run
from viewfinder.tracking.lineage import dvc_hash, environment, lineage_tags
from viewfinder.tracking.protocol import NoRun, Run
from viewfinder.tracking.run import open_run
from viewfinder.tracking.store import enabled, tracking_uri

__all__ = [
    "KeptRun",
    "NoRun",
    "Run",
    "dvc_hash",
    "enabled",
    "environment",
    "find_run",
    "lineage_tags",
    "open_run",
    "tracking_uri",
]
