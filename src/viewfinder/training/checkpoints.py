"""Checkpoint files that are whole or not there."""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from viewfinder.outputs import new_file


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place, where moving it there is one step.

    Lightning's own way leads through the temporary folder. That may be on another disk, from which
    a file is copied, not moved, and a process that is killed meanwhile leaves a part of it.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        with new_file(Path(path)) as draft:
            save(checkpoint, draft)


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values; torch alone hides why a file could not be written.

    Raises:
        OSError: If the file can't be written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(buffer.getbuffer())


def set_aside_unreadable(checkpoint: Path) -> None:
    """Rename a checkpoint that can't be read, and say so, so that the training starts anew."""
    if not checkpoint.is_file():
        return
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # pickle raises any
        aside = checkpoint.with_suffix(".unreadable")
        checkpoint.replace(aside)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        print(
            f"{checkpoint} can't be read ({reason}). It is kept as {aside.name}, and the training "
            "starts anew.",
            file=sys.stderr,
        )
