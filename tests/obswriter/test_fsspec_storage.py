"""Object stores and fsspec's other file systems keep the same promises as a local directory."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from obswriter import ConfigurationError, FileStorage, FsspecStorage, StorageError
from obswriter.cli import main
from obswriter.storage import destination_of, open_storage
from obswriter_testsupport.servers import GCSServer, S3Server
from obswriter_testsupport.storage_suite import FileStorageSuite, paths

ACROSS_A_FORK = """
import os, sys
from obswriter.storage import open_storage

storage = open_storage(sys.argv[1])
storage.write("parent.jsonl", b"before")
pid = os.fork()
if pid == 0:
    assert storage.read("parent.jsonl") == b"before"
    storage.write("child.jsonl", b"from the child")
    storage.move("child.jsonl", "processed/child.jsonl")
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the child failed"
storage.write("parent.jsonl", b"after")
print(*[info.path for info in storage.list()])
"""

HALF_WRITTEN = """
import sys
from fsspec.implementations.local import LocalFileSystem
from obswriter import FsspecStorage

def never(self, *paths, **options):
    print("the bytes are written", flush=True)
    sys.stdin.read()

LocalFileSystem.mv = never
FsspecStorage(LocalFileSystem(), sys.argv[1]).write("a/x.jsonl", b"1" * 1_000_000)
"""


def unused() -> str:
    return uuid.uuid4().hex


def run(script: str, *arguments: str, environ: dict[str, str] | None = None) -> str:
    """Run a script that must end well; its output is returned."""
    child = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *arguments],
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


class TestMemory(FileStorageSuite):
    @pytest.fixture
    def storage(self) -> FileStorage:
        return open_storage(f"memory://{unused()}")


class TestMemoryByHand(FileStorageSuite):
    @pytest.fixture
    def storage(self) -> FileStorage:
        return FsspecStorage(MemoryFileSystem(), f"{unused()}/below/")


class TestLocalFileSystemByHand(FileStorageSuite):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> FileStorage:
        return FsspecStorage(LocalFileSystem(), str(tmp_path / "x"))

    def test_a_writer_killed_in_the_middle_leaves_no_file_that_looks_stored(
        self, storage: FsspecStorage, tmp_path: Path
    ) -> None:
        command = [sys.executable, "-c", HALF_WRITTEN, storage.root]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout
            assert child.stdout.readline() == b"the bytes are written\n"
            child.kill()
        assert storage.list() == []
        assert list(tmp_path.rglob("*.jsonl")) == []

    def test_a_write_that_fails_leaves_nothing(
        self, storage: FsspecStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*paths: str) -> None:
            raise PermissionError("no")

        monkeypatch.setattr(storage.fs, "mv", refuse)
        with pytest.raises(PermissionError):
            storage.write("a/x.jsonl", b"1")
        assert list((tmp_path / "x" / "a").iterdir()) == []


class TestFolderOfALocalFileSystem(FileStorageSuite):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> FileStorage:
        (tmp_path / "base").mkdir()
        return FsspecStorage(DirFileSystem(str(tmp_path / "base"), LocalFileSystem()))

    def test_files_lie_within_that_folder(self, storage: FileStorage, tmp_path: Path) -> None:
        storage.write("a/x.jsonl", b"1")
        assert (tmp_path / "base" / "a" / "x.jsonl").read_bytes() == b"1"


class TestFolderOfAFolder(FileStorageSuite):
    @pytest.fixture
    def storage(self) -> FileStorage:
        folder = DirFileSystem("a", DirFileSystem(unused(), MemoryFileSystem()))
        return FsspecStorage(folder, "b/c")


class TestS3(FileStorageSuite):
    """moto, with what a user's environment says and nothing else."""

    @pytest.fixture
    def storage(self, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> FileStorage:
        s3_server.set_environ(monkeypatch)
        return FsspecStorage.from_url(s3_server.url(unused()))

    def test_a_file_of_another_client_is_seen_at_once(
        self, storage: FsspecStorage, s3_server: S3Server
    ) -> None:
        other = FsspecStorage(s3_server.filesystem(), storage.root)
        assert paths(storage, "a") == []
        assert not storage.exists("a/x.jsonl")
        other.write("a/x.jsonl", b"1")
        assert paths(storage, "a") == ["a/x.jsonl"]
        assert storage.exists("a/x.jsonl")
        other.delete("a/x.jsonl")
        assert not storage.exists("a/x.jsonl")
        assert storage.list() == []

    def test_a_client_that_caches_listings_sees_it_too(
        self, storage: FsspecStorage, s3_server: S3Server
    ) -> None:
        import s3fs

        options: dict[str, Any] = {"endpoint_url": s3_server.endpoint_url}
        caching = FsspecStorage(s3fs.S3FileSystem(use_listings_cache=True, **options), storage.root)
        assert caching.list() == []
        storage.write("a/x.jsonl", b"1")
        assert paths(caching) == ["a/x.jsonl"]
        storage.delete("a/x.jsonl")
        assert not caching.exists("a/x.jsonl")

    def test_a_bucket_that_is_missing_is_an_error_and_is_not_made(
        self, storage: FsspecStorage
    ) -> None:
        missing = FsspecStorage(storage.fs, f"no-{unused()[:20]}")
        with pytest.raises(FileNotFoundError):
            missing.write("a/x.jsonl", b"1")
        assert missing.root not in storage.fs.ls("")

    def test_a_child_process_may_go_on_with_it(
        self, storage: FsspecStorage, s3_server: S3Server
    ) -> None:
        listed = run(ACROSS_A_FORK, f"s3://{storage.root}", environ=s3_server.environ)
        assert listed == "parent.jsonl processed/child.jsonl"
        assert storage.read("parent.jsonl") == b"after"
        assert storage.read("processed/child.jsonl") == b"from the child"

    def test_its_identity_is_bucket_and_endpoint(
        self, storage: FsspecStorage, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = f"s3://{storage.root}@{s3_server.endpoint_url}"
        assert storage.destination == expected
        assert FsspecStorage(s3_server.filesystem(), storage.root).destination == expected
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(name, "http://elsewhere")
            assert storage.destination == f"s3://{storage.root}@http://elsewhere"

    def test_nothing_it_says_about_itself_is_a_secret(
        self, storage: FsspecStorage, s3_server: S3Server
    ) -> None:
        by_hand = FsspecStorage(s3_server.filesystem(), storage.root)
        for text in map(str, (storage, by_hand, storage.destination, by_hand.destination)):
            assert s3_server.key not in text
            assert s3_server.secret not in text


class TestRcloneS3(FileStorageSuite):
    """Another server, which checks credentials and keeps real files."""

    @pytest.fixture
    def storage(self, rclone_s3_server: S3Server) -> FileStorage:
        return FsspecStorage(rclone_s3_server.filesystem(), f"{rclone_s3_server.bucket}/{unused()}")

    def test_wrong_credentials_are_an_error_and_not_an_absence(
        self, rclone_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rclone_s3_server.set_environ(monkeypatch)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        storage = FsspecStorage.from_url(rclone_s3_server.url(unused()), skip_instance_cache=True)
        with pytest.raises(PermissionError):
            storage.exists("x.jsonl")
        with pytest.raises(PermissionError):
            storage.write("x.jsonl", b"1")


# aiohttp warns gcsfs, in development mode, that it sends more than a mebibyte in one piece.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
class TestGCS(FileStorageSuite):
    @pytest.fixture
    def storage(self, gcs_server: GCSServer, monkeypatch: pytest.MonkeyPatch) -> FileStorage:
        gcs_server.set_environ(monkeypatch)
        return FsspecStorage(gcs_server.filesystem(), f"{gcs_server.bucket}/{unused()}")

    def test_its_identity_is_bucket_and_endpoint(
        self, storage: FsspecStorage, gcs_server: GCSServer
    ) -> None:
        assert storage.destination == f"gs://{storage.root}@{gcs_server.endpoint_url}"


# --- identity -------------------------------------------------------------------------------


class Remote(AbstractFileSystem):
    """A file system with a server, which is never asked anything."""

    protocol = "remote"

    def __init__(self, host: str = "", **options: Any) -> None:
        super().__init__(host=host, **options)


def test_two_servers_are_two_destinations() -> None:
    one, other = (FsspecStorage(Remote(host=host), "/data") for host in ("a", "b"))
    assert one.destination != other.destination
    assert one.destination == FsspecStorage(Remote(host="a"), "/data/").destination


@pytest.mark.parametrize(
    "fs",
    [
        Remote(host="me:hunter2@example", username="me", password="hunter2"),
        Remote(endpoint_url="https://me:hunter2@example:9000"),
        Remote(client_kwargs={"endpoint_url": "https://me:hunter2@example:9000"}),
    ],
    ids=["host", "endpoint", "client option"],
)
def test_a_destination_has_no_credentials(fs: AbstractFileSystem) -> None:
    storage = FsspecStorage(fs, "data")
    assert "example" in storage.destination
    assert "hunter2" not in f"{storage} {storage!r} {storage.destination}"
    assert "me" not in storage.destination.removeprefix("remote")


def test_a_root_with_credentials_is_known_without_them() -> None:
    class Web(Remote):
        protocol = "web"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path

        def unstrip_protocol(self, name: str) -> str:
            return name

    storage = FsspecStorage(Web(), "web://me:hunter2@example/data")
    assert storage.destination == "web://example/data"


class Sulking(MemoryFileSystem):
    """Cannot be opened in a child at first, as one that finds no thread to run in."""

    cachable = False
    parent = os.getpid()
    refusals = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        if os.getpid() != self.parent and Sulking.refusals < 2:
            Sulking.refusals += 1
            raise RuntimeError("can't start new thread")
        super().__init__(*args, **options)
        self.opened_by = os.getpid()


def test_a_child_that_could_not_open_the_file_system_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FsspecStorage(Sulking(), unused())
    monkeypatch.setattr(os, "getpid", lambda: Sulking.parent + 1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="can't start"):
            storage.exists("a/b.jsonl")
    assert not storage.exists("a/b.jsonl")
    assert storage.fs.opened_by == Sulking.parent + 1


@pytest.mark.parametrize(
    "url",
    ["s3://key:hunter2@bucket/x", "gs://me:hunter2@bucket", "simplecache::s3://k:hunter2@b/x"],
)
def test_credentials_in_a_buckets_url_are_refused(url: str) -> None:
    """They would become part of the bucket's name, which every error of the store tells."""
    with pytest.raises(ConfigurationError, match="must hold no credentials: set AWS_") as caught:
        open_storage(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_an_error_about_a_url_does_not_tell_its_password() -> None:
    with pytest.raises(ConfigurationError, match="nosuch://example/x") as caught:
        FsspecStorage.from_url("nosuch://me:hunter2@example/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nosuch://me:hun/hunter2@example/x",
        "ftp://me:hunter2/@example/x",
        "zip://a.zip::nosuch://me:hunter2@example/x",
        "nosuch://me:p@hunter2@example/x",
        "nosuch://example/x?token=hunter2",
        "file://me:hunter2@example/x",
    ],
)
def test_no_error_about_a_url_tells_a_password_however_it_is_written(url: str) -> None:
    with pytest.raises(ConfigurationError, match="example/x") as caught:
        open_storage(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_the_command_line_tells_no_password(capfd: pytest.CaptureFixture[str]) -> None:
    url = "nosuch://me:hunter2@example/x"
    assert main(["ls", "--storage", url]) == main(["ls", url]) == 2
    said = capfd.readouterr().err
    assert said.count("example/x") == 2
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "root", ["/me:hunter2@example/x", "me:hunter2@example/x", "me:p@hunter2@example/x"]
)
def test_a_destination_has_no_credentials_wherever_the_root_has_them(root: str) -> None:
    storage = FsspecStorage(fsspec.filesystem("memory"), root)
    assert "example/x" in storage.destination
    assert "hunter2" not in storage.destination


def test_an_endpoint_of_s3_says_nothing_about_other_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = destination_of(open_storage("memory://x/y"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert destination_of(open_storage("memory://x/y")) == before == "memory:///x/y"


def test_a_folder_is_known_by_what_it_lies_in() -> None:
    folder = FsspecStorage(DirFileSystem("x", MemoryFileSystem()), "y")
    assert folder.destination == FsspecStorage(MemoryFileSystem(), "x/y").destination


# --- trouble --------------------------------------------------------------------------------


class Unreachable(MemoryFileSystem):
    """Swallows errors where fsspec's own file systems do."""

    def info(self, path: str, **options: Any) -> Any:
        raise ConnectionError("no route to host")

    def exists(self, path: str, **options: Any) -> bool:
        return False


def test_a_store_that_cannot_be_asked_is_an_error_and_not_an_absence() -> None:
    with pytest.raises(ConnectionError):
        FsspecStorage(Unreachable(), unused()).exists("x.jsonl")


def test_a_storage_without_a_root_starts_at_the_top(tmp_path: Path) -> None:
    name = unused()
    FsspecStorage(MemoryFileSystem()).write(f"{name}/x.jsonl", b"1")
    assert paths(FsspecStorage(MemoryFileSystem(), name)) == ["x.jsonl"]
    top = FsspecStorage(LocalFileSystem(), "/")
    top.write(f"{tmp_path}/x.jsonl".lstrip("/"), b"1")
    assert (tmp_path / "x.jsonl").read_bytes() == b"1"
    with pytest.raises(StorageError):
        top.write(f"{tmp_path}/x.jsonl", b"1")


def test_a_local_file_system_without_a_root_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = FsspecStorage(LocalFileSystem())
    monkeypatch.chdir("/")
    storage.write("a/x.jsonl", b"1")
    assert (tmp_path / "a" / "x.jsonl").read_bytes() == b"1"
    assert paths(storage) == ["a/x.jsonl"]


def test_a_child_process_has_its_own_file_system(tmp_path: Path) -> None:
    listed = run(ACROSS_A_FORK, f"local://{tmp_path}")
    assert listed == "parent.jsonl processed/child.jsonl"


def test_a_local_file_system_is_confined_too(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "out")
    for storage in (
        FsspecStorage(LocalFileSystem(), str(tmp_path / "root")),
        open_storage(f"local://{tmp_path}/root"),
    ):
        with pytest.raises(StorageError, match="leads out of the store"):
            storage.read("link/secret")
        with pytest.raises(StorageError, match="leads out of the store"):
            storage.write("link/w", b"1")
