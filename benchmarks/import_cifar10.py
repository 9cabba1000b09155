"""Seconds to import 60,000 JPEG images of 32 x 32 pixels from one tar.xz: `viewfinder split`.

Every image is read and decoded, exact and near duplicates are searched, the split files and the
data report are written. Without --archive the images are made by code.
"""

import argparse
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import yaml
from rounds import print_surroundings
from small_images import jpeg, small_images

from viewfinder.data.archive import write_checksums

ROOT = Path(__file__).resolve().parents[1]


def write_archive(path: Path, count: int) -> None:
    """Write pieces of photos as train/<class>/ and test/<class>/ into a tar.xz."""
    with tarfile.open(path, "w:xz", preset=1) as archive:
        for number, pixels in enumerate(small_images(count)):
            split = "test" if number // 10 % 6 == 5 else "train"
            content = jpeg(pixels)
            member = tarfile.TarInfo(f"{split}/class_{number % 10}/{number:06d}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def main() -> None:
    """Print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, help="cifar10_images.tar.xz of YoongiKim")
    parser.add_argument("--images", type=int, default=60_000)
    options = parser.parse_args()
    print_surroundings("pyarrow", "pillow", "opencv-python-headless")
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        shutil.copytree(ROOT / "conf", project / "conf")
        config = yaml.safe_load((ROOT / "conf/dataset/cifar10_images.yaml").read_text())
        config["name"] = "benchmark"
        (project / "conf/dataset/benchmark.yaml").write_text(yaml.safe_dump(config))
        (project / "params.yaml").write_text("datasets: {}\nexperiments: {}\n")
        raw = project / "data/raw/benchmark"
        raw.mkdir(parents=True)
        if options.archive:
            shutil.copy(options.archive, raw / "images.tar.xz")
        else:
            write_archive(raw / "images.tar.xz", options.images)
        write_checksums(raw)
        before, start = os.times(), time.perf_counter()
        subprocess.run(["viewfinder", "split", "benchmark"], cwd=project, check=True)
        seconds, after = time.perf_counter() - start, os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    print(f"viewfinder split: {seconds:.0f} s, {used:.0f} s of processor time")


if __name__ == "__main__":
    main()
