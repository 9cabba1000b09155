"""Zip archives whose bytes depend on their members alone."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip archive without the clock or compression in it.

    Images are compressed already, so members are stored as they are.

    Args:
        path: The archive to write.
        members: Name and content of each member, in order.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, date_time=EPOCH), content)
