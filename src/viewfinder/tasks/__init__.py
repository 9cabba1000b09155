"""Lightning modules, one a task."""

from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.classification import Classification
from viewfinder.tasks.detection import Detection
from viewfinder.tasks.instances import InstanceSegmentation
from viewfinder.tasks.localization import Localization
from viewfinder.tasks.measuring import Predictions, TaskMetrics
from viewfinder.tasks.multilabel import MultilabelClassification
from viewfinder.tasks.segmentation import SemanticSegmentation

__all__ = [
    "Classification",
    "Detection",
    "InstanceSegmentation",
    "Localization",
    "MultilabelClassification",
    "Predictions",
    "SemanticSegmentation",
    "TaskMetrics",
    "VisionTask",
]
