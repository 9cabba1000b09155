"""``viewfinder configure EXPERIMENT``: conf/ and params.yaml to one resolved config."""

from viewfinder.config import compose_experiment, pin_weights, to_yaml
from viewfinder.outputs import new_file
from viewfinder.workspace import project_dir


def main(name: str) -> None:
    """Write ``configs/<name>.yaml``."""
    project = project_dir()
    config = compose_experiment(name, project)
    pin_weights(config)
    with new_file(project / "configs" / f"{name}.yaml") as path:
        path.write_text(to_yaml(config))
