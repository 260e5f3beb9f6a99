"""Segments: windows that move along a file, in memory where there is no disk for them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from obswriter.segment import STEP, MappedSegment, Segment, read_plain

MIB = 1024 * 1024


def append(segment: Segment, data: bytes) -> None:
    if segment.position + len(data) > segment.room:
        segment.advance(len(data))
    start = segment.position
    segment.position = start + len(data)
    segment.window[start : start + len(data)] = data
    segment.count += 1


@pytest.fixture(params=["mapped", "memory"])
def segment(request: pytest.FixtureRequest, tmp_path: Path) -> Segment:
    if request.param == "memory":
        return Segment("log", "p", 10 * MIB)
    return MappedSegment("log", "p", 10 * MIB, str(tmp_path))


def test_what_is_appended_across_windows_is_read_back(segment: Segment) -> None:
    pieces = [os.urandom(size) for size in (1, 10, STEP - 5, 7, STEP * 3 + 1, 0, 100, STEP)]
    for piece in pieces:
        append(segment, piece)
    assert segment.read() == b"".join(pieces)
    assert segment.size == sum(map(len, pieces))
    segment.discard()


def test_a_window_opened_while_somebody_else_appends_is_opened_again(segment: Segment) -> None:
    append(segment, b"first\n")
    real = segment._open_window
    interrupted = []

    def interrupting(used: int, size: int) -> tuple[int, object]:
        result = real(used, size)
        if not interrupted:
            interrupted.append(True)
            append(segment, b"interrupt\n")
        return result

    # Slots have no per-instance methods: the class of this one instance is replaced.
    segment.__class__ = type(
        "Interrupted",
        (type(segment),),
        {"__slots__": (), "_open_window": staticmethod(interrupting)},
    )
    append(segment, b"x" * STEP)
    assert segment.read() == b"first\ninterrupt\n" + b"x" * STEP
    segment.discard()


def test_a_mapped_file_takes_disk_space_in_steps(tmp_path: Path) -> None:
    segment = MappedSegment("log", "p", 10 * MIB, str(tmp_path))
    assert os.stat(segment.path).st_blocks * 512 >= STEP
    append(segment, b"x" * (STEP + 1))
    assert os.stat(segment.path).st_blocks * 512 >= 2 * STEP
    segment.discard()
    assert list(tmp_path.iterdir()) == []


def test_only_one_window_is_mapped_however_long_the_file(tmp_path: Path) -> None:
    segment = MappedSegment("log", "p", 100 * MIB, str(tmp_path))
    for _ in range(20):
        append(segment, b"x" * (STEP - 1))
    maps = Path("/proc/self/maps").read_text()
    assert maps.count(segment.path) == 1
    segment.discard()


def test_a_file_deleted_or_replaced_under_the_owner_is_noticed(tmp_path: Path) -> None:
    segment = MappedSegment("log", "p", MIB, str(tmp_path))
    assert segment.is_in_place()
    os.unlink(segment.path)
    assert not segment.is_in_place()
    Path(segment.path).touch()
    assert not segment.is_in_place()
    segment.discard()


@pytest.mark.skipif(os.name != "posix", reason="file-size limits are POSIX's")
def test_where_the_disk_has_no_room_creating_a_segment_is_an_error_and_no_signal(
    tmp_path: Path,
) -> None:
    """A file-size limit stands in for a full disk: both refuse the preallocation."""
    pid = os.fork()
    if pid == 0:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            MappedSegment("log", "p", MIB, str(tmp_path))
        except OSError:
            os._exit(42 if not list(tmp_path.iterdir()) else 43)
        os._exit(44)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


def test_a_descriptor_that_is_another_files_by_now_is_left_open(tmp_path: Path) -> None:
    """A daemon has closed all of them, and opened its own."""
    segment = MappedSegment("log", "p", MIB, str(tmp_path))
    fd = segment.fd
    with open(os.devnull) as other:
        os.dup2(other.fileno(), fd)
    segment.close()
    os.fstat(fd)
    os.close(fd)


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices are POSIX's")
@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_only_plain_files_are_read_of_a_spool(kind: str, tmp_path: Path) -> None:
    """Whatever was there when the spool was listed."""
    path = tmp_path / "x"
    if kind == "link":
        (tmp_path / "secret").write_bytes(b"1")
        path.symlink_to("secret")
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(OSError):  # noqa: PT011 (whichever it is)
        read_plain(os.devnull if kind == "device" else path)


def test_where_nothing_can_be_preallocated_zeros_take_the_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    segment = MappedSegment("log", "p", 10 * MIB, str(tmp_path))
    assert os.stat(segment.path).st_blocks * 512 >= STEP
    append(segment, b"x" * (STEP + 1))
    assert os.stat(segment.path).st_blocks * 512 >= 2 * STEP
    assert segment.read() == b"x" * (STEP + 1)
    segment.discard()
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:4096], at))
    with pytest.raises(OSError, match="No space left"):
        MappedSegment("log", "p", 10 * MIB, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
