"""Local directories, and how a path or a URL becomes a storage."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import fsspec.asyn
import pytest

import obswriter
from obswriter import ConfigurationError, FileStorage, FsspecStorage, LocalStorage, StorageError
from obswriter.storage import destination_of, is_storing, open_storage, storing
from obswriter_testsupport.storage_suite import FileStorageSuite, paths

HALF_WRITTEN = """
import os, sys
from obswriter import LocalStorage

def never(fd):
    print("the bytes are written", flush=True)
    sys.stdin.read()

os.fsync = never
LocalStorage(sys.argv[1]).write("a/x.jsonl", b"1" * 1_000_000)
"""


class TestLocalStorage(FileStorageSuite):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> FileStorage:
        return LocalStorage(tmp_path / "made when needed")

    @pytest.mark.parametrize("link", ["out", "out/x.jsonl", "file.jsonl", "loop/x.jsonl"])
    def test_symbolic_links_that_lead_out_are_refused(
        self, storage: LocalStorage, tmp_path: Path, link: str
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "x.jsonl").write_bytes(b"secret")
        storage.write("x.jsonl", b"1")
        (storage.root / "out").symlink_to(outside)
        (storage.root / "file.jsonl").symlink_to(outside / "x.jsonl")
        (storage.root / "loop").symlink_to("../outside")
        for call in (
            lambda: storage.write(link, b"2"),
            lambda: storage.read(link),
            lambda: storage.delete(link),
            lambda: storage.exists(link),
            lambda: storage.list(link),
            lambda: storage.move("x.jsonl", link),
            lambda: storage.move(link, "y.jsonl"),
        ):
            with pytest.raises(StorageError, match=r"leads out of the store .* to "):
                call()
        assert (outside / "x.jsonl").read_bytes() == b"secret"
        assert sorted(outside.iterdir()) == [outside / "x.jsonl"]
        assert paths(storage) == ["x.jsonl"]

    def test_a_link_to_itself_is_no_file(self, storage: LocalStorage) -> None:
        storage.write("x.jsonl", b"1")
        (storage.root / "loop").symlink_to("loop")
        assert paths(storage) == ["x.jsonl"]

    def test_making_one_makes_no_directory(self, storage: LocalStorage) -> None:
        assert storage.list() == []
        assert not storage.root.exists()

    def test_a_writer_killed_in_the_middle_leaves_no_file_that_looks_stored(
        self, storage: LocalStorage
    ) -> None:
        command = [sys.executable, "-c", HALF_WRITTEN, str(storage.root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout
            assert child.stdout.readline() == b"the bytes are written\n"
            child.send_signal(signal.SIGKILL)
        assert storage.list() == []
        assert list(storage.root.rglob("*.jsonl")) == []
        assert not storage.exists("a/x.jsonl")

    def test_a_write_that_fails_leaves_nothing(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(fd: int) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            storage.write("a/x.jsonl", b"1")
        assert list((storage.root / "a").iterdir()) == []

    def test_links_within_the_store_and_to_its_root_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        storage = LocalStorage(tmp_path / "link")
        storage.write("a/x.jsonl", b"1")
        (storage.root / "b").symlink_to("a")
        assert storage.read("b/x.jsonl") == b"1"
        assert paths(storage) == ["a/x.jsonl"]

    def test_a_file_of_this_machine_is_taken_by_renaming_it(
        self, storage: LocalStorage, tmp_path: Path
    ) -> None:
        for number in range(2):
            given = tmp_path / "given"
            given.write_bytes(b"1")
            inode = given.stat().st_ino
            storage.put_file(str(given), f"a/{number}.jsonl")
            assert not given.exists()
            assert storage.local_path(f"a/{number}.jsonl").stat().st_ino == inode

    def test_taking_a_file_never_replaces_another(
        self, storage: LocalStorage, tmp_path: Path
    ) -> None:
        storage.write("x.jsonl", b"theirs")
        (tmp_path / "given").write_bytes(b"ours")
        with pytest.raises(FileExistsError, match=r"x\.jsonl"):
            storage.put_file(str(tmp_path / "given"), "x.jsonl")
        assert storage.read("x.jsonl") == b"theirs"
        assert (tmp_path / "given").read_bytes() == b"ours"

    def test_a_file_of_another_file_system_is_copied(
        self, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def other_device(source: str, target: object) -> None:
            raise OSError(errno.EXDEV, "cross-device link")

        monkeypatch.setattr(os, "rename", other_device)
        (tmp_path / "given").write_bytes(b"1")
        storage.put_file(str(tmp_path / "given"), "a/x.jsonl")
        assert storage.read("a/x.jsonl") == b"1"

    def test_a_root_is_fixed_when_the_storage_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        storage = LocalStorage("data")
        monkeypatch.chdir("/")
        assert storage.root == tmp_path / "data"
        monkeypatch.setenv("HOME", str(tmp_path))
        assert LocalStorage("~/data").root == tmp_path / "data"


# --- from a path or a URL to a storage ------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "root"),
    [
        ("/tmp/x", "/tmp/x"),
        (Path("/tmp/x"), "/tmp/x"),
        ("file:///tmp/x", "/tmp/x"),
        ("file://localhost/tmp/x", "/tmp/x"),
        ("file:/tmp/x", "/tmp/x"),
        ("file:///tmp/a%20b/%C3%A4", "/tmp/a b/ä"),
    ],
)
def test_a_path_or_file_url_is_a_local_directory(where: Any, root: str) -> None:
    storage = open_storage(where)
    assert isinstance(storage, LocalStorage)
    assert storage.root == Path(root)


def test_a_relative_path_is_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage("data:1/x")
    assert isinstance(storage, LocalStorage)
    assert storage.root == tmp_path / "data:1" / "x"


@pytest.mark.parametrize("where", ["file://data/obs", "file://host.example/share"])
def test_a_file_url_that_names_a_host_is_refused(where: str) -> None:
    with pytest.raises(ConfigurationError, match="file:///a/folder"):
        open_storage(where)


@pytest.mark.parametrize("where", ["s3:/bucket/x", "S3:bucket", "gs:/b", "memory:x", "file:store"])
def test_a_url_without_its_slashes_is_no_folder(where: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{where}' needs two slashes"):
        open_storage(where)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    for where in (str(tmp_path / "app.py"), (tmp_path / "app.py").as_uri()):
        for wrong in (where, f"{where}/data"):
            with pytest.raises(ConfigurationError, match=r"must be a folder; '.*app.py' is a file"):
                open_storage(wrong)


@pytest.mark.parametrize("where", ["nosuch://bucket/x", "nosuch::memory://x"])
def test_a_url_that_nobody_knows_is_refused_with_the_remedy(where: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"'{where}' cannot be opened .*pip install"):
        open_storage(where)


def test_a_storage_is_taken_as_it_is() -> None:
    storage = LocalStorage("/tmp/x")
    assert open_storage(storage) is storage


def test_stores_are_known_by_where_they_are() -> None:
    assert destination_of(LocalStorage("/tmp/a b")) == "file:///tmp/a%20b"
    assert destination_of(LocalStorage("/tmp/a")) == destination_of(open_storage("file:///tmp/a"))
    assert destination_of(LocalStorage("/tmp/a")) != destination_of(LocalStorage("/tmp/b"))


def test_a_store_that_does_not_say_where_it_is_is_known_by_its_class() -> None:
    class Own:
        destination = None

    own: Any = Own()
    assert destination_of(own).endswith(".Own")


# --- storing makes no events ----------------------------------------------------------------


def test_a_thread_that_stores_is_known_as_such_and_no_other_is() -> None:
    seen: list[bool] = []
    with storing():
        with storing():
            assert is_storing()
        assert is_storing()
        other = threading.Thread(target=lambda: seen.append(is_storing()))
        other.start()
        other.join()
    assert seen == [False]
    assert not is_storing()


def test_storing_ends_with_an_exception_too() -> None:
    with pytest.raises(OSError, match="gone"), storing():
        raise OSError("gone")
    assert not is_storing()


def test_fsspecs_own_thread_stores_when_it_does_so_on_our_behalf() -> None:
    async def ask() -> bool:
        assert threading.current_thread() is not threading.main_thread()
        return is_storing()

    with storing():
        assert fsspec.asyn.sync(fsspec.asyn.get_loop(), ask)
    assert not fsspec.asyn.sync(fsspec.asyn.get_loop(), ask)


def test_other_stores_are_fsspecs() -> None:
    assert isinstance(open_storage("memory://x"), FsspecStorage)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_is_made_in_a_local_store_has_the_permissions_asked_for(
    tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        for name in ("shared", "other"):
            options = {"dir_mode": 0o2775, "file_mode": 0o664} if name == "shared" else {}
            writer = obswriter.ObservabilityWriter(
                file_storage=tmp_path / name, project_id="p", **options
            )
            writer.record_log(obswriter.Log(level="info", message="m"))
            writer.shutdown()
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*")}
    data = {path: mode for path, mode in modes.items() if ".spool" not in path.parts}
    assert {mode for path, mode in data.items() if "shared" in path.parts} == {0o2775, 0o664}
    assert {mode for path, mode in data.items() if "other" in path.parts} == {
        0o777 & ~umask,
        0o666 & ~umask,
    }
    # The set-group-id bit goes on to the spool: what is sealed there is of the store's group.
    assert modes[tmp_path / "shared" / "observability" / ".spool"] == 0o3777
    assert modes[tmp_path / "shared" / "observability" / ".spool" / str(os.getuid())] == 0o2700
    assert modes[tmp_path / "other" / "observability" / ".spool"] == 0o1777
    assert modes[tmp_path / "other" / "observability" / ".spool" / str(os.getuid())] == 0o700


def test_a_folder_that_may_not_be_read_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("a/x.jsonl", b"1")

    def deny(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(PermissionError):
        storage.list("a")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_file_that_is_written_has_the_permissions_asked_for_as_a_renamed_one_has(
    tmp_path: Path,
) -> None:
    """What was in memory, was adopted or comes from another file system."""
    storage = LocalStorage(tmp_path / "store", file_mode=0o664)
    storage.write("a/written.jsonl", b"")
    (tmp_path / "renamed").touch()
    storage.put_file(str(tmp_path / "renamed"), "a/renamed.jsonl")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "store" / "a").iterdir()}
    assert modes == {0o664}
