"""Files from a server, a mirror or this machine: whole, checked, or refused in one line."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import yaml
from conftest import runner, user_environment

from viewfinder.data.archive import Archive, read_checksums, write_checksums
from viewfinder.data.sources.fetch import fetch
from viewfinder.errors import ViewfinderError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
QUICK = {"retries": 3, "wait": 0.001, "timeout": 0.4}


class Server(ThreadingHTTPServer):
    """A file server that can be told to misbehave.

    Attributes:
        files: Content by path.
        faults: What the next requests of a path meet, one each: a status, "truncate" or "hang".
        ranges: Whether it knows Range requests.
        etag: Whether it marks versions.
        conditions: Whether it heeds If-Range.
        requests: Path, Range header and status of each request, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/data.zip": CONTENT}
        self.faults: dict[str, list[int | str]] = {}
        self.ranges = True
        self.etag = True
        self.conditions = True
        self.requests: list[tuple[str, str | None, int]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        faults = self.server.faults.get(path, [])
        fault = faults.pop(0) if faults else None
        content = self.server.files.get(path)
        if isinstance(fault, int) or content is None:
            self.answer(fault if isinstance(fault, int) else 404, b"")
            return
        if path == "/data.zip" and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content)
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"ETag": tag} if self.server.etag else {}
        status, start = 200, 0
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", tag) == tag or not self.server.conditions
        if wanted and self.server.ranges and same:
            start, whole = int(wanted[1]), len(content)
            if start >= whole:
                self.answer(416, b"", {"Content-Range": f"bytes */{whole}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        self.answer(status, content[start:], headers, fault)

    def answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        fault: int | str | None = None,
    ) -> None:
        self.server.requests.append((self.path, self.headers.get("Range"), status))
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if fault is None else body[: len(body) // 2])
        if fault is not None:
            self.wfile.flush()
            time.sleep(1 if fault == "hang" else 0.1)  # the client reads what is there
        if fault is not None:
            self.close_connection = True

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout, which is the current folder."""
    folder = tmp_path / "project"
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "params.yaml").write_text("datasets: []\nexperiments: {}\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("VIEWFINDER_MIRROR", raising=False)
    return folder


@pytest.fixture
def folder(project: Path, tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def cached(project: Path) -> list[int]:
    """Return the sizes of the parts that are kept."""
    cache = project / ".cache" / "viewfinder" / "downloads"
    return [path.stat().st_size for path in cache.glob("*.part")]


def first_byte(request: tuple[str, str | None, int]) -> int:
    """Return where the part begins that was asked for."""
    match = re.fullmatch(r"bytes=(\d+)-", request[1] or "")
    assert match is not None
    return int(match[1])


def test_a_file_arrives_whole_under_its_own_name(server: Server, folder: Path) -> None:
    server.files["/%C3%BCber%20uns.zip"] = b"other"
    fetch(
        folder,
        files=[
            {"url": f"{server.url}/data.zip", "sha256": SHA256.upper()},
            {"url": f"{server.url}/data.zip?token=secret", "md5": MD5, "name": "again.zip"},
            {"url": f"{server.url}/data.zip", "name": "third.zip"},
            {"url": f"{server.url}/über uns.zip"},
        ],
        **QUICK,
    )
    assert (folder / "data.zip").read_bytes() == CONTENT
    assert (folder / "again.zip").read_bytes() == CONTENT
    assert (folder / "third.zip").read_bytes() == CONTENT
    assert (folder / "über uns.zip").read_bytes() == b"other"
    assert len(list(folder.iterdir())) == 4


def test_nothing_is_left_in_the_cache(server: Server, folder: Path, project: Path) -> None:
    fetch(folder, files=[{"url": f"{server.url}/data.zip"}], **QUICK)
    left = [path for path in (project / ".cache").rglob("*") if path.is_file()]
    assert [path.suffix for path in left] in ([], [".lock"])


@pytest.mark.parametrize("fault", ["truncate", "hang"])
def test_a_broken_transfer_goes_on_where_it_broke(
    server: Server, folder: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults["/data.zip"] = [fault, fault]
    fetch(folder, files=[{"url": f"{server.url}/data.zip"}], **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT
    assert [status for _, _, status in server.requests] == [200, 206, 206]
    assert all(0 < first_byte(request) < len(CONTENT) for request in server.requests[1:])
    assert "trying again" in capsys.readouterr().err


def test_a_server_in_trouble_is_asked_again(server: Server, folder: Path) -> None:
    server.faults["/data.zip"] = [500, 503]
    fetch(folder, files=[{"url": f"{server.url}/data.zip", "sha256": SHA256}], **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT


def test_waits_grow_twofold(server: Server, folder: Path) -> None:
    server.faults["/data.zip"] = [500] * 4
    begin = time.monotonic()
    with pytest.raises(ViewfinderError, match="500"):
        options = {**QUICK, "wait": 0.05}
        fetch(folder, files=[{"url": f"{server.url}/data.zip"}], **options)
    assert 0.05 + 0.1 + 0.2 <= time.monotonic() - begin < 2
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_fails_at_once(server: Server, folder: Path, status: int) -> None:
    server.faults["/data.zip"] = [status]
    with pytest.raises(ViewfinderError) as caught:
        fetch(folder, files=[{"url": f"{server.url}/data.zip?key=secret"}], **QUICK)
    assert len(server.requests) == 1
    assert str(status) in str(caught.value)
    assert f"{server.url}/data.zip" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ViewfinderError, match=r"127\.0\.0\.1:9/data\.zip.*4 times in a row"):
        fetch(folder, files=[{"url": "http://127.0.0.1:9/data.zip"}], **QUICK)


def test_the_next_call_goes_on_with_what_arrived(
    server: Server, folder: Path, project: Path
) -> None:
    files = [{"url": f"{server.url}/data.zip", "sha256": SHA256}]
    server.faults["/data.zip"] = ["truncate"]
    with pytest.raises(ViewfinderError, match=r"[1-9][\d,]* bytes have arrived and are kept"):
        fetch(folder, files=files, **{**QUICK, "retries": 0})
    (kept,) = cached(project)
    assert 0 < kept <= 150_000
    assert list(folder.iterdir()) == []
    fetch(folder, files=files, **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT
    assert server.requests[-1][1:] == (f"bytes={kept}-", 206)
    assert cached(project) == []


def test_a_file_that_arrived_outlives_the_failure_of_the_next(
    server: Server, folder: Path, project: Path
) -> None:
    files = [{"url": f"{server.url}/data.zip"}, {"url": f"{server.url}/labels.csv"}]
    with pytest.raises(ViewfinderError, match=r"labels\.csv"):
        fetch(folder, files=files, **QUICK)
    assert cached(project) == [len(CONTENT)]
    server.files["/labels.csv"] = b"id,label\n"
    fetch(folder, files=files, **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT
    assert [status for path, _, status in server.requests if path == "/data.zip"] == [200, 416]


@pytest.mark.parametrize(
    ("lacks", "statuses"),
    [
        ("nothing", [200, 200]),
        ("ranges", [200, 200]),
        ("etag", [200, 200]),
        ("conditions", [200, 206, 200]),
    ],
)
def test_a_file_that_changed_in_between_starts_again(
    server: Server, folder: Path, lacks: str, statuses: list[int]
) -> None:
    setattr(server, lacks, False)
    server.faults["/data.zip"] = ["truncate"]
    files = [{"url": f"{server.url}/data.zip"}]
    with pytest.raises(ViewfinderError):
        fetch(folder, files=files, **{**QUICK, "retries": 0})
    server.files["/data.zip"] = CONTENT[::-1]
    fetch(folder, files=files, **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT[::-1]
    assert [status for _, _, status in server.requests] == statuses


def test_parts_that_do_not_fit_together_are_fetched_anew(server: Server, folder: Path) -> None:
    server.etag = False
    server.faults["/data.zip"] = ["truncate"]
    changed = CONTENT[::-1]
    files = [{"url": f"{server.url}/data.zip", "md5": hashlib.md5(changed).hexdigest()}]
    with pytest.raises(ViewfinderError):
        fetch(folder, files=files, **{**QUICK, "retries": 0})
    server.files["/data.zip"] = changed
    fetch(folder, files=files, **QUICK)
    assert (folder / "data.zip").read_bytes() == changed


def test_a_wrong_checksum_names_both_and_keeps_nothing(
    server: Server, folder: Path, project: Path
) -> None:
    server.files["/data.zip"] = b"something else"
    with pytest.raises(ViewfinderError) as caught:
        fetch(folder, files=[{"url": f"{server.url}/data.zip", "sha256": SHA256}], **QUICK)
    message = str(caught.value)
    assert SHA256 in message
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert "data set's source" in message
    assert list(folder.iterdir()) == cached(project) == []


@pytest.mark.parametrize("checksum", [{}, {"sha256": SHA256}])
def test_a_web_page_in_place_of_an_archive_is_recognised(
    server: Server, folder: Path, checksum: dict[str, str]
) -> None:
    server.files["/data.zip"] = b"\n<!DOCTYPE html><title>Log in</title>"
    with pytest.raises(ViewfinderError, match="web page"):
        fetch(folder, files=[{"url": f"{server.url}/data.zip", **checksum}], **QUICK)


def test_a_mirror_folder_is_looked_in_first(
    server: Server,
    folder: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (project / "mirror").mkdir()
    (project / "mirror" / "data.zip").write_bytes(CONTENT)
    server.files = {"/labels.csv": b"id,label\n"}
    monkeypatch.setenv("VIEWFINDER_MIRROR", "mirror")
    files = [
        {"url": f"{server.url}/data.zip", "sha256": SHA256},
        {"url": f"{server.url}/labels.csv"},
    ]
    fetch(folder, files=files, **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT
    assert (folder / "labels.csv").read_bytes() == b"id,label\n"
    assert [path for path, _, _ in server.requests] == ["/labels.csv"]
    assert "labels.csv: not in VIEWFINDER_MIRROR" in capsys.readouterr().err


@pytest.mark.parametrize("checksum", [{"sha256": SHA256}, {"md5": MD5}])
def test_what_another_data_set_has_is_not_fetched_twice(
    server: Server, folder: Path, project: Path, checksum: dict[str, str]
) -> None:
    for name, content in (("older", b"another content"), ("twin", CONTENT)):
        (project / "data" / "raw" / name).mkdir(parents=True)
        (project / "data" / "raw" / name / "data.zip").write_bytes(content)
    fetch(folder, files=[{"url": f"{server.url}/data.zip", **checksum}], **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT
    assert server.requests == []


def test_a_file_of_the_same_name_without_a_checksum_is_fetched(
    server: Server, folder: Path, project: Path
) -> None:
    (project / "data" / "raw" / "other").mkdir(parents=True)
    (project / "data" / "raw" / "other" / "data.zip").write_bytes(b"another content")
    fetch(folder, files=[{"url": f"{server.url}/data.zip"}], **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT


def test_a_wrong_file_in_a_mirror_is_named(
    folder: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "data.zip").write_bytes(b"old")
    monkeypatch.setenv("VIEWFINDER_MIRROR", str(project))
    with pytest.raises(ViewfinderError, match=re.escape(str(project / "data.zip"))):
        fetch(folder, files=[{"url": "http://127.0.0.1:9/data.zip", "md5": MD5}], **QUICK)
    assert list(folder.iterdir()) == []
    monkeypatch.setenv("VIEWFINDER_MIRROR", "nowhere")
    with pytest.raises(ViewfinderError, match="'nowhere', which is no folder"):
        fetch(folder, files=[{"url": "http://127.0.0.1:9/data.zip"}], **QUICK)


def test_a_file_that_only_a_mirror_has(
    server: Server, folder: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [{"url": "mirror:///data.zip", "sha256": SHA256}]
    for mirror in ("", str(project), f"{server.url}/nowhere"):
        monkeypatch.setenv("VIEWFINDER_MIRROR", mirror)
        with pytest.raises(ViewfinderError, match=f"Set VIEWFINDER_MIRROR.* {mirror or 'not set'}"):
            fetch(folder, files=files, **QUICK)
        assert list(folder.iterdir()) == []
    server.files = {"/mirror/data.zip": CONTENT}
    monkeypatch.setenv("VIEWFINDER_MIRROR", f"{server.url}/mirror")
    fetch(folder, files=files, **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT


def test_a_mirror_server_is_looked_in_first(
    server: Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.files = {"/mirror/my data.zip": b"", "/mirror/data.zip": CONTENT, "/new.zip": b"new"}
    monkeypatch.setenv("VIEWFINDER_MIRROR", f"{server.url}/mirror/")
    files = [{"url": "http://127.0.0.1:9/data.zip"}, {"url": f"{server.url}/new.zip"}]
    fetch(folder, files=files, **QUICK)
    assert (folder / "data.zip").read_bytes() == CONTENT
    assert (folder / "new.zip").read_bytes() == b"new"
    assert "new.zip: not in VIEWFINDER_MIRROR" in capsys.readouterr().err


def test_a_local_file_is_copied_and_checked(folder: Path, project: Path) -> None:
    (project / "my data.zip").write_bytes(CONTENT)
    entries = [
        {"url": "my data.zip", "sha256": SHA256},
        {"url": (project / "my data.zip").as_uri(), "name": "b.zip", "md5": MD5},
    ]
    fetch(folder, files=entries)
    assert (folder / "my data.zip").read_bytes() == (folder / "b.zip").read_bytes() == CONTENT
    with pytest.raises(ViewfinderError, match="wrong content"):
        fetch(folder, files=[{"url": "my data.zip", "name": "c.zip", "md5": "0" * 32}])
    with pytest.raises(ViewfinderError, match=r"nothing\.zip does not exist"):
        fetch(folder, files=[{"url": "nothing.zip"}])


def test_a_local_folder_becomes_the_same_archive_each_time(folder: Path, project: Path) -> None:
    for name in ("hund/b.jpg", "hund/a.jpg", "кот/ü.jpg", ".git/config", "hund/.DS_Store"):
        path = project / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    fetch(folder, files=[{"url": "photos"}])
    first = (folder / "photos.zip").read_bytes()
    shutil.copytree(project / "photos", project / "copy")
    os.utime(project / "copy" / "hund" / "a.jpg", (1e9, 1e9))
    fetch(folder, files=[{"url": "copy/", "name": "photos.zip"}])
    assert (folder / "photos.zip").read_bytes() == first
    write_checksums(folder)
    with Archive(folder) as archive:
        assert archive.names() == ["hund/a.jpg", "hund/b.jpg", "кот/ü.jpg"]
        assert archive.read("кот/ü.jpg") == "кот/ü.jpg".encode()


def test_a_folder_that_cannot_be_packed_is_refused(folder: Path, project: Path) -> None:
    photos = project / "photos"
    photos.mkdir()
    with pytest.raises(ViewfinderError, match="holds no files"):
        fetch(folder, files=[{"url": "photos"}])
    (photos / "a.jpg").symlink_to("missing.jpg")
    with pytest.raises(ViewfinderError, match=r"a\.jpg.*missing\.jpg"):
        fetch(folder, files=[{"url": "photos"}])
    (photos / "a.jpg").unlink()
    (photos / "loop").symlink_to(photos)
    with pytest.raises(ViewfinderError, match="loop is a link"):
        fetch(folder, files=[{"url": "photos"}])


def test_other_file_systems_go_through_fsspec(folder: Path) -> None:
    files = fsspec.filesystem("memory")
    files.pipe({"/set/train/0.parquet": CONTENT, "/set/test/0.parquet": b"test"})
    fetch(folder, files=[{"url": "memory://set/*/0.parquet"}], **QUICK)
    assert (folder / "train-0.parquet").read_bytes() == CONTENT
    assert (folder / "test-0.parquet").read_bytes() == b"test"
    fetch(folder, files=[{"url": "memory://set/train/0.parquet", "md5": MD5}], **QUICK)
    assert (folder / "0.parquet").read_bytes() == CONTENT
    with pytest.raises(ViewfinderError, match=r"memory://set/1\.parquet can't be fetched"):
        fetch(folder, files=[{"url": "memory://set/1.parquet"}], **QUICK)
    with pytest.raises(ViewfinderError, match="no file fits"):
        fetch(folder, files=[{"url": "memory://set/*.csv"}], **QUICK)


@pytest.mark.parametrize(("protocol", "library"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_cloud_library_names_the_extra(
    folder: Path, protocol: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ViewfinderError, match=rf"{library}.*pip install -e '\.\[{protocol}\]'"):
        fetch(folder, files=[{"url": f"{protocol}://bucket/data.zip"}], **QUICK)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"url": "http://h/a.zip", "sha": "1"}, "unknown sha"),
        ({"name": "a.zip"}, "expected `url`"),
        ({"url": "http://h/a.zip", "sha256": "abc"}, "64 hexadecimal digits"),
        ({"url": "http://h/"}, "Give the file a `name`"),
        ({"url": "http://h/a.zip", "name": "../a.zip"}, "Give the file a `name`"),
        ({"url": "http://h/SHA256SUMS"}, "Give the file a `name`"),
        ({"url": "ftpx://h/a.zip"}, "ftpx:// is unknown"),
        ({"url": "hf://datasets/a/b/*.parquet", "md5": MD5}, "stands for several files"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(
    folder: Path, entry: dict[str, str], message: str
) -> None:
    with pytest.raises(ViewfinderError, match=message):
        fetch(folder, files=[entry], **QUICK)


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(ViewfinderError, match=r"several files called a\.zip"):
        fetch(folder, files=[{"url": "http://h/a.zip"}, {"url": "http://h/b/a.zip"}])
    with pytest.raises(ViewfinderError, match="no files"):
        fetch(folder, files=[])


def test_a_file_larger_than_the_disk_is_not_begun(server: Server, folder: Path) -> None:
    fetch_size = 2**60
    original = Handler.send_header

    def lie(handler: Handler, key: str, value: str) -> None:
        original(handler, key, str(fetch_size) if key == "Content-Length" else value)

    Handler.send_header = lie  # type: ignore[method-assign]
    try:
        with pytest.raises(ViewfinderError, match="Make room"):
            fetch(folder, files=[{"url": f"{server.url}/data.zip"}], **QUICK)
    finally:
        Handler.send_header = original  # type: ignore[method-assign]


def configure(project: Path, url: str, **options: Any) -> None:
    source = {
        "_target_": "viewfinder.data.sources.fetch.fetch",
        "_partial_": True,
        "files": [{"url": url, **options}],
        **QUICK,
    }
    path = project / "conf" / "dataset" / "photos.yaml"
    path.write_text(yaml.safe_dump({"name": "photos", "source": source}))


def test_the_command_fetches_and_records_the_checksums(server: Server, project: Path) -> None:
    configure(project, f"{server.url}/data.zip", sha256=SHA256)
    done = runner(project)("viewfinder", "download", "photos")
    raw = project / "data" / "raw" / "photos"
    assert (raw / "SHA256SUMS").read_text() == f"{SHA256}  data.zip\n"
    assert (raw / "data.zip").read_bytes() == CONTENT
    first, last = done.stderr.splitlines()
    assert first.startswith(f"data.zip: fetching from {server.url}/data.zip (300.0 kB)")
    assert re.match(r"data\.zip: 300\.0 kB in .* s \(.*/s\), sha256 as expected", last)


def test_a_pattern_on_the_hugging_face_hub_brings_every_file(server: Server, project: Path) -> None:
    names = ["data/test-0.parquet", "data/train-0.parquet", "data/readme.md"]
    entries = [{"type": "file", "path": name, "size": len(CONTENT), "oid": "0"} for name in names]
    folder = [{"type": "directory", "path": "data", "oid": "1"}]
    server.files = {
        "/api/datasets/me/set": json.dumps({"id": "me/set", "sha": "2"}).encode(),
        "/api/datasets/me/set/tree/main": json.dumps(folder).encode(),
        "/api/datasets/me/set/tree/main/data": json.dumps(entries).encode(),
        **{f"/datasets/me/set/resolve/main/{name}": CONTENT for name in names},
    }
    configure(project, "hf://datasets/me/set/data/*.parquet")
    hub = {"HF_ENDPOINT": server.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(project / "hf")}
    runner(project, **hub)("viewfinder", "download", "photos")
    assert read_checksums(project / "data" / "raw" / "photos") == {
        "test-0.parquet": SHA256,
        "train-0.parquet": SHA256,
    }


def test_a_killed_command_goes_on_where_it_was(server: Server, project: Path) -> None:
    large = CONTENT * 20
    server.files["/data.zip"] = large
    server.faults["/data.zip"] = ["hang"]
    configure(project, f"{server.url}/data.zip")
    command = subprocess.Popen(
        ["viewfinder", "download", "photos"],
        cwd=project,
        env=user_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 20
    while not sum(cached(project)) and time.monotonic() < deadline:
        time.sleep(0.005)
    command.kill()
    command.communicate()
    assert not (project / "data" / "raw" / "photos").exists()
    runner(project)("viewfinder", "download", "photos")
    assert server.requests[-1][2] == 206
    assert (project / "data" / "raw" / "photos" / "data.zip").read_bytes() == large


def test_a_failed_download_leaves_the_last_one_whole(server: Server, project: Path) -> None:
    configure(project, f"{server.url}/data.zip")
    run = runner(project)
    run("viewfinder", "download", "photos")
    server.files["/data.zip"] = b"changed"
    configure(project, f"{server.url}/data.zip", sha256="0" * 64)
    done = run("viewfinder", "download", "photos", status=1)
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    raw = project / "data" / "raw"
    assert [path.name for path in raw.iterdir()] == ["photos"]
    assert (raw / "photos" / "data.zip").read_bytes() == CONTENT


@contextmanager
def unprivileged() -> Iterator[None]:
    """Lay down root's right to write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_target_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from viewfinder.stages import download

    project = Path(tempfile.mkdtemp())
    try:
        (project / "conf" / "dataset").mkdir(parents=True)
        (project / "params.yaml").touch()
        (project / "own.zip").write_bytes(CONTENT)
        (project / "data" / "raw").mkdir(parents=True)
        configure(project, "own.zip")
        project.chmod(0o755)
        (project / "data" / "raw").chmod(0o555)
        monkeypatch.chdir(project)
        with unprivileged(), pytest.raises(ViewfinderError) as caught:
            download.main("photos")
        assert "Permission denied" in str(caught.value)
        assert str(project / "data" / "raw" / "photos") in str(caught.value)
    finally:
        shutil.rmtree(project)


def test_the_terminal_shows_a_bar(server: Server, project: Path) -> None:
    pty = pytest.importorskip("pty")
    configure(project, f"{server.url}/data.zip")
    ours, theirs = pty.openpty()
    environment = user_environment(TERM="xterm", COLUMNS="120")
    done = subprocess.run(
        ["viewfinder", "download", "photos"],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "300.0 kB in" in shown
    assert "━" in shown


def test_an_empty_file_arrives(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe({"/bucket/empty.txt": b""})
    fetch(tmp_path, files=[{"url": "memory://bucket/empty.txt"}], cache=tmp_path / "cache", **QUICK)
    assert (tmp_path / "empty.txt").read_bytes() == b""
