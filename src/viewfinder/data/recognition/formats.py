"""Which format a data set has, judged by the names of its files."""

from collections import Counter
from pathlib import PurePosixPath

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import is_image
from viewfinder.data.recognition.class_folders import recognise_class_folders
from viewfinder.data.recognition.coco import recognise_coco
from viewfinder.data.recognition.masks import recognise_index_masks, recognise_instance_masks
from viewfinder.data.recognition.names import Format
from viewfinder.data.recognition.parquet import recognise_parquet
from viewfinder.data.recognition.published import recognise_published
from viewfinder.data.recognition.tables import recognise_table
from viewfinder.data.recognition.voc import recognise_voc
from viewfinder.data.recognition.yolo import recognise_yolo
from viewfinder.errors import ViewfinderError


def recognise(archive: Archive) -> Format:
    """Tell the format of a data set.

    Args:
        archive: The data set's archive.

    Raises:
        ViewfinderError: If it has none that can be told from the names of its files, or has
            annotations that can't be read without more being said.
    """
    names = archive.names()
    unread: list[ViewfinderError] = []
    for look in (
        recognise_published,
        recognise_parquet,
        recognise_coco,
        recognise_yolo,
        recognise_voc,
    ):
        try:
            found = look(archive, names)
        except ViewfinderError as error:
            unread.append(error)
            continue
        if found is not None:
            return found
    if unread:
        # Without its annotations the data set would pass for another one.
        raise unread[0]
    if any(map(is_image, names)):
        for look in (
            recognise_instance_masks,
            recognise_index_masks,
            recognise_table,
            recognise_class_folders,
        ):
            found = look(archive, names)
            if found is not None:
                return found
    suffixes = Counter(PurePosixPath(name).suffix.lower() or "none" for name in names)
    kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in suffixes.most_common(5))
    raise ViewfinderError(
        f"{archive.path} holds {len(names)} files ({kinds}) in no format that can be told from "
        "their names. Expected one folder a class, COCO JSON, Pascal VOC, YOLO, a CSV list, "
        "Hugging Face parquet, or masks beside their images. Name the reader yourself: copy a "
        "file of conf/dataset/ and adapt it."
    )
