"""The files that ``download`` wrote, checked against their checksums and read in place."""

from viewfinder.data.archive.archive import Archive
from viewfinder.data.archive.checksums import (
    CHECKSUMS,
    how_to_fetch,
    read_checksums,
    write_checksums,
)

__all__ = ["CHECKSUMS", "Archive", "how_to_fetch", "read_checksums", "write_checksums"]
