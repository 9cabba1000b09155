"""``viewfinder download DATASET``: the authors' archives, unopened, with their checksums."""

from hydra.utils import instantiate

from viewfinder.config import load_dataset
from viewfinder.data.archive import write_checksums
from viewfinder.data.schema import raw_path
from viewfinder.outputs import new_folder
from viewfinder.workspace import project_dir


def main(name: str) -> None:
    """Write ``data/raw/<name>/``."""
    project = project_dir()
    source = instantiate(load_dataset(name, project).source, _convert_="all")
    with new_folder(project / raw_path(name)) as folder:
        source(folder)
        write_checksums(folder)
