"""Vision pipelines: DVC stages that train Lightning modules, configured with Hydra."""

__version__ = "0.1.0"
