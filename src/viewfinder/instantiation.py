"""What a group of the config names, built."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from viewfinder.errors import ViewfinderError


def build_augmentations(config: DictConfig) -> dict[str, Any]:
    """Build the transforms of ``config.augment``, by their names and in their order.

    Raises:
        ViewfinderError: If one can't be built.
    """
    if not isinstance(config.augment, DictConfig):
        raise ViewfinderError(cannot_build("augment", config.augment, "it is no mapping"))
    return {str(name): _build_transform(str(name), node) for name, node in config.augment.items()}


def _build_transform(name: str, node: Any) -> Any:
    if not isinstance(node, DictConfig):
        reason = f"{name!r} is no mapping with a `_target_`"
        raise ViewfinderError(cannot_build("augment", node, reason))
    return build_group(node, "augment")


def build_group(node: Any, group: str, **options: Any) -> Any:
    """Build one group of the config; a wrong option is the user's mistake, not a bug.

    Args:
        node: The group, with its ``_target_``; None builds nothing.
        group: Its name, for messages.
        options: Options besides those of the group.

    Raises:
        ViewfinderError: If what it names does not exist or does not take its options.
    """
    if node is None:
        return None
    try:
        return instantiate(node, _convert_="all", **options)
    except InstantiationException as error:
        if isinstance(error.__cause__, ViewfinderError):
            raise error.__cause__ from error
        raise ViewfinderError(cannot_build(group, node, error.__cause__ or error)) from error


def cannot_build(group: str, node: Any, reason: BaseException | str) -> str:
    """Return what to say of a group that can't be built."""
    target = node.get("_target_", "no _target_") if isinstance(node, DictConfig) else node
    return (
        f"The config group {group!r} ({target}) can't be built: {str(reason).strip().rstrip('.')}. "
        f"Correct its options in conf/{group}/ or in the overrides."
    )
