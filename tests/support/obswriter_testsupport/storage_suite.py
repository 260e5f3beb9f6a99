"""What every `FileStorage` must do; a backend's tests inherit it and say which storage is meant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from obswriter import FileStorage, StorageError

BAD_PATHS = ["", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/./b", "a//b", "a/", ".", "a\0b",
             "a\\b", "..\\x"]  # fmt: skip


def paths(storage: FileStorage, prefix: str = "") -> list[str]:
    return [info.path for info in storage.list(prefix)]


class FileStorageSuite:
    """Subclasses have a fixture `storage`: an empty one."""

    def test_is_a_file_storage(self, storage: FileStorage) -> None:
        assert isinstance(storage, FileStorage)

    @pytest.mark.parametrize("data", [b"", b"{}\n", bytes(range(256)) * 16], ids=len)
    def test_reads_what_was_written(self, storage: FileStorage, data: bytes) -> None:
        storage.write("a.jsonl", data)
        assert storage.read("a.jsonl") == data

    def test_makes_the_folders_a_path_needs(self, storage: FileStorage) -> None:
        storage.write("a/b/c/d.jsonl", b"1")
        assert storage.read("a/b/c/d.jsonl") == b"1"

    def test_replaces_a_file_of_the_same_name(self, storage: FileStorage) -> None:
        storage.write("a/x.jsonl", b"long before")
        storage.write("a/x.jsonl", b"now")
        assert storage.read("a/x.jsonl") == b"now"
        assert [(info.path, info.size) for info in storage.list()] == [("a/x.jsonl", 3)]

    def test_stores_a_file_larger_than_any_the_writer_makes(self, storage: FileStorage) -> None:
        data = bytes(range(251)) * 44_000
        assert len(data) > 10 * 1024 * 1024
        storage.write("big.jsonl", data)
        assert storage.read("big.jsonl") == data
        assert storage.list()[0].size == len(data)

    @pytest.mark.parametrize(
        "name", ["ä ß.jsonl", "日本/語.jsonl", "a b+c.jsonl", "100%20#1.jsonl", "a=b&c@d,e;f.jsonl",
                 "x'\"(1)[2]{3}.jsonl", "a*b.jsonl", "~a.jsonl", "a:b.jsonl", "..a/b..jsonl"]
    )  # fmt: skip
    def test_keeps_names_as_they_are(self, storage: FileStorage, name: str) -> None:
        storage.write(name, b"1")
        assert storage.read(name) == b"1"
        assert storage.exists(name)
        assert paths(storage) == ([] if name.startswith(".") else [name])
        storage.delete(name)
        assert not storage.exists(name)

    def test_a_missing_file_cannot_be_read(self, storage: FileStorage) -> None:
        storage.write("a/x.jsonl", b"1")
        for path in ("a/y.jsonl", "b/x.jsonl", "x.jsonl"):
            with pytest.raises(FileNotFoundError):
                storage.read(path)

    def test_lists_every_file_below_a_folder_in_order(self, storage: FileStorage) -> None:
        written = ["a/b/2.jsonl", "a/1.jsonl", "a/b/1.jsonl", "c.jsonl", "a-b/1.jsonl"]
        for path in written:
            storage.write(path, path.encode())
        assert paths(storage) == sorted(written)
        assert paths(storage, "a") == ["a/1.jsonl", "a/b/1.jsonl", "a/b/2.jsonl"]
        assert paths(storage, "a/b") == ["a/b/1.jsonl", "a/b/2.jsonl"]

    def test_lists_sizes_and_times(self, storage: FileStorage) -> None:
        before = datetime.now(UTC) - timedelta(seconds=5)
        storage.write("a/x.jsonl", b"12345")
        (info,) = storage.list()
        assert info.size == 5
        assert info.last_modified is not None
        assert info.last_modified.utcoffset() is not None
        assert before <= info.last_modified <= datetime.now(UTC) + timedelta(seconds=5)

    @pytest.mark.parametrize("prefix", ["", "a", "a/b"])
    def test_lists_nothing_where_there_is_nothing(self, storage: FileStorage, prefix: str) -> None:
        assert storage.list(prefix) == []

    def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(
        self, storage: FileStorage
    ) -> None:
        storage.write("ab/x.jsonl", b"1")
        storage.write("abc.jsonl", b"1")
        assert storage.list("a") == []
        assert storage.list("ab/x") == []
        assert storage.list("abc.jsonl") == []

    def test_lists_nothing_hidden(self, storage: FileStorage) -> None:
        for path in (".spool/a/x.jsonl", "a/.x.jsonl.tmp", "a/.b/x.jsonl", "a/x.jsonl"):
            storage.write(path, b"1")
        assert paths(storage) == ["a/x.jsonl"]
        assert paths(storage, "a") == ["a/x.jsonl"]
        assert paths(storage, ".spool") == [".spool/a/x.jsonl"]
        assert storage.read("a/.b/x.jsonl") == b"1"

    def test_deletes_a_file_and_no_other(self, storage: FileStorage) -> None:
        storage.write("a/x.jsonl", b"1")
        storage.write("a/xy.jsonl", b"2")
        storage.delete("a/x.jsonl")
        assert not storage.exists("a/x.jsonl")
        assert paths(storage) == ["a/xy.jsonl"]
        with pytest.raises(FileNotFoundError):
            storage.read("a/x.jsonl")

    def test_deleting_what_is_not_there_is_no_error(self, storage: FileStorage) -> None:
        storage.delete("a/x.jsonl")
        storage.write("a/x.jsonl", b"1")
        storage.delete("a/y.jsonl")
        assert paths(storage) == ["a/x.jsonl"]

    def test_only_files_exist(self, storage: FileStorage) -> None:
        assert not storage.exists("a/x.jsonl")
        storage.write("a/x.jsonl", b"1")
        assert storage.exists("a/x.jsonl")
        assert not storage.exists("a")
        assert not storage.exists("a/x")

    def test_moves_a_file(self, storage: FileStorage) -> None:
        storage.write("a/x.jsonl", b"1")
        storage.move("a/x.jsonl", "a/processed/x.jsonl")
        assert paths(storage) == ["a/processed/x.jsonl"]
        assert storage.read("a/processed/x.jsonl") == b"1"

    def test_moving_replaces_what_is_there(self, storage: FileStorage) -> None:
        storage.write("a.jsonl", b"new")
        storage.write("b.jsonl", b"older")
        storage.move("a.jsonl", "b.jsonl")
        assert [(path, storage.read(path)) for path in paths(storage)] == [("b.jsonl", b"new")]

    def test_moving_to_where_it_is_keeps_a_file(self, storage: FileStorage) -> None:
        storage.write("a.jsonl", b"1")
        storage.move("a.jsonl", "a.jsonl")
        assert storage.read("a.jsonl") == b"1"

    def test_moving_what_is_not_there_changes_nothing(self, storage: FileStorage) -> None:
        storage.write("b.jsonl", b"1")
        with pytest.raises(FileNotFoundError):
            storage.move("a.jsonl", "b.jsonl")
        assert storage.read("b.jsonl") == b"1"

    @pytest.mark.parametrize("path", BAD_PATHS, ids=repr)
    def test_no_path_leaves_the_store(self, storage: FileStorage, path: str) -> None:
        storage.write("good.jsonl", b"1")
        calls: list[Callable[[], Any]] = [
            lambda: storage.write(path, b"1"),
            lambda: storage.read(path),
            lambda: storage.delete(path),
            lambda: storage.exists(path),
            lambda: storage.move(path, "x.jsonl"),
            lambda: storage.move("good.jsonl", path),
        ]
        for call in [*calls, *([lambda: storage.list(path)] if path else [])]:
            with pytest.raises(StorageError, match="must be relative"):
                call()
        assert paths(storage) == ["good.jsonl"]

    def test_a_reader_sees_whole_files_only(self, storage: FileStorage) -> None:
        contents = [bytes([65 + number]) * (200_000 + 100_000 * number) for number in range(4)]
        done = threading.Event()

        def write() -> None:
            try:
                for number, data in enumerate(contents * 2):
                    storage.write(f"a/{number}.jsonl", data)
                    storage.write("a/same.jsonl", data)
            finally:
                done.set()

        sizes = {len(data) for data in contents}
        writer = threading.Thread(target=write)
        writer.start()
        last_round = False
        while not last_round:
            last_round = done.is_set()
            for info in storage.list("a"):
                assert info.size in sizes, info
                assert storage.read(info.path) in contents
        writer.join()
        assert len(storage.list("a")) == 9

    def test_several_threads_may_use_it_at_once(self, storage: FileStorage) -> None:
        def work(number: int) -> bool:
            path, moved = f"{number}/x.jsonl", f"{number}/processed/x.jsonl"
            storage.write(path, str(number).encode())
            storage.move(path, moved)
            same = storage.read(moved) == str(number).encode()
            return same and paths(storage, str(number)) == [moved] and storage.exists(moved)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(24)))
        assert len(storage.list()) == 24
