"""What dead processes leave is stored once, by one adopter, and nothing else is touched."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obswriter import LocalStorage, Log, ObservabilityWriter, parse_file_path, spool_directory
from obswriter.adoption import STALE_SECONDS, adopt, adopt_in_child, publish
from obswriter.cli.place import destinations
from obswriter.spool_directory import (
    OWNER,
    boot_id,
    default_home,
    is_local_disk,
    make_family,
    make_owned,
    try_lock,
    unlock,
)
from obswriter_testsupport.faults import run, stored_events
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until

NAME = "20260123T120000Z_0123456789ab.jsonl"
LINE = b'{"type":"log","id":"%d","message":"m","recordedAt":"2026-01-23T12:00:00.000000Z"}\n'


def family_of(root: Path) -> Path:
    [family] = (root / "observability" / ".spool" / str(os.getuid())).iterdir()
    return family


def dead_spool(root: Path, *contents: bytes, name: str = NAME, boot: str | None = None) -> Path:
    """Leave a directory as a killed process does; its lock went with the process."""
    storage = LocalStorage(root)
    home = default_home(storage, "observability", None)
    path, lock, _ = make_owned(make_family(home, storage, "observability"))
    for number, content in enumerate(contents):
        file = Path(path, "log", "p", f"{name[:-7]}{number}.jsonl.open")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    if boot is not None:
        owner = Path(path, OWNER)
        owner.write_text(json.dumps({**json.loads(owner.read_text()), "boot": boot}))
    os.close(lock)
    return Path(path)


def adopt_all(root: Path, storage: object = None) -> object:
    return adopt(str(family_of(root)), storage or LocalStorage(root), "observability")


def test_whole_lines_are_stored_under_the_name_of_the_segment_and_the_spool_is_gone(
    tmp_path: Path,
) -> None:
    spool = dead_spool(tmp_path, LINE % 1 + LINE % 2 + b"\0" * 1000)
    found = adopt_all(tmp_path)
    assert (found.directories, found.files, found.events, found.holes) == (1, 1, 2, 0)
    [file] = tmp_path.glob("observability/log/p/*.jsonl")
    assert file.name == f"{NAME[:-7]}0.jsonl"
    assert file.read_bytes() == LINE % 1 + LINE % 2
    assert not spool.exists()


def test_torn_lines_and_holes_are_counted_and_what_follows_is_kept(tmp_path: Path) -> None:
    hole = b"\0" * 50
    dead_spool(tmp_path, LINE % 1 + hole + LINE % 2 + (LINE % 3)[:20] + hole)
    found = adopt_all(tmp_path)
    assert (found.events, found.holes) == (2, 2)
    assert [event["id"] for event in stored_events(tmp_path)] == ["1", "2"]


def test_an_empty_segment_makes_no_file(tmp_path: Path) -> None:
    dead_spool(tmp_path, b"\0" * 4096)
    found = adopt_all(tmp_path)
    assert (found.directories, found.files) == (1, 0)
    assert list(tmp_path.rglob("*.jsonl")) == []


def test_the_directory_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    spool = dead_spool(tmp_path, LINE % 1)
    lock = os.open(spool, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert adopt_all(tmp_path).directories == 0
    finally:
        os.close(lock)
    assert adopt_all(tmp_path).directories == 1


@pytest.mark.skipif(not boot_id(), reason="this system does not tell its boots apart")
def test_a_directory_of_another_boot_is_adopted_when_its_heartbeat_is_old(tmp_path: Path) -> None:
    spool = dead_spool(tmp_path, LINE % 1, boot="another boot")
    assert adopt_all(tmp_path).directories == 0
    old = time.time() - STALE_SECONDS - 1
    os.utime(spool / OWNER, (old, old))
    assert adopt_all(tmp_path).directories == 1


def test_a_file_that_was_ingested_already_is_not_stored_again(tmp_path: Path) -> None:
    dead_spool(tmp_path, LINE % 1)
    processed = tmp_path / "observability/log/p/processed" / f"{NAME[:-7]}0.jsonl"
    processed.parent.mkdir(parents=True)
    processed.write_bytes(LINE % 1)
    adopt_all(tmp_path)
    assert list(tmp_path.glob("observability/log/p/*.jsonl")) == []


def test_an_adopter_that_died_after_storing_and_before_unlinking_did_no_harm(
    tmp_path: Path,
) -> None:
    dead_spool(tmp_path, LINE % 1)
    target = tmp_path / "observability/log/p" / f"{NAME[:-7]}0.jsonl"
    target.parent.mkdir(parents=True)
    target.write_bytes(LINE % 1)
    adopt_all(tmp_path)
    assert [event["id"] for event in stored_events(tmp_path)] == ["1"]


def test_a_different_file_of_the_same_name_is_not_replaced(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    path = f"observability/log/p/{NAME}"
    storage.write(path, LINE % 1)
    publish(storage, path, LINE % 2)
    assert storage.read(path) == LINE % 1
    assert sorted(event["id"] for event in stored_events(tmp_path)) == ["1", "2"]


def test_garbage_goes_to_quarantine_and_is_not_in_the_way(tmp_path: Path) -> None:
    spool = dead_spool(tmp_path, LINE % 1)
    (spool / "log" / "p" / "notes.txt").write_text("mine")
    (spool / "span").mkdir()
    (spool / "span" / "../escape.jsonl").write_text("x")
    found = adopt_all(tmp_path)
    assert (found.events, found.quarantined, found.directories) == (1, 2, 1)
    kept = {path.read_text() for path in (family_of(tmp_path) / "quarantine").iterdir()}
    assert kept == {"mine", "x"}


def test_a_symbolic_link_in_a_spool_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    spool = dead_spool(root, LINE % 1)
    secret = tmp_path / "secret"
    secret.write_bytes(LINE % 7)
    os.symlink(secret, spool / "log" / "p" / f"{NAME}.open")
    found = adopt_all(root)
    assert (found.quarantined, found.errors) == (1, [])
    assert not spool.exists()
    assert [event["id"] for event in stored_events(root)] == ["1"]
    assert secret.read_bytes() == LINE % 7


def test_a_store_that_refuses_leaves_everything_for_the_next_try(tmp_path: Path) -> None:
    spool = dead_spool(tmp_path, LINE % 1)
    store = FaultyStorage(tmp_path)
    store.refuse()
    found = adopt_all(tmp_path, store)
    assert len(found.errors) == 1
    assert spool.exists()
    store.recover()
    assert adopt_all(tmp_path, store).events == 1


def test_what_an_adopter_reports_tells_no_password(tmp_path: Path) -> None:
    dead_spool(tmp_path, LINE % 1)
    store = FaultyStorage(tmp_path)
    store.refuse(OSError("PUT https://me:hunter2@example/x"))
    [error] = adopt_all(tmp_path, store).errors
    assert "example/x" in error
    assert "hunter2" not in error


def test_a_child_that_adopts_shows_no_url_and_loads_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, where = tmp_path / "store", tmp_path / "anybody's"
    dead_spool(root, LINE % 1)
    where.mkdir()
    monkeypatch.chdir(where)
    (where / "orjson.py").write_text("open('loaded', 'w')")
    program = where / "python"
    program.write_text(f'#!/bin/sh\necho "$@" > arguments\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    adopt_in_child(str(family_of(root)), root.as_uri() + "?password=hunter2", "observability", 30)
    assert not (where / "loaded").exists()
    assert "hunter2" not in (where / "arguments").read_text()
    adopt_in_child(str(family_of(root)), str(root), "observability", 30)
    assert [event["id"] for event in stored_events(root)] == ["1"]


def test_a_spool_for_another_store_is_not_adopted(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    spool_dir = {"OBSWRITER_SPOOL_DIR": str(tmp_path / "spool")}
    killed = run(
        "obswriter.configure()\nrecord('for there')\nos.kill(os.getpid(), 9)", there, **spool_dir
    )
    run("obswriter.configure()\nrecord('for here')\nobswriter.shutdown()", here, **spool_dir)
    assert killed.stored() == {}
    found = dict(destinations(str(tmp_path / "spool" / str(os.getuid()))))
    assert {facts["destination"] for facts in found.values()} == {here.as_uri(), there.as_uri()}
    run(
        "obswriter.configure()\nrecord('x')\n"
        "while obswriter.get_writer().get_stats().recovered < 1: os.sched_yield()",
        there,
        **spool_dir,
    )
    assert killed.missing() == set()


@settings(max_examples=100)
@given(
    pieces=st.lists(
        st.one_of(
            st.integers(0, 999).map(lambda n: LINE % n),
            st.integers(1, 5000).map(lambda n: b"\0" * n),
        )
    ),
    torn=st.integers(0, 60),
)
def test_of_any_mixture_of_lines_and_holes_exactly_the_lines_are_kept(
    pieces: list[bytes], torn: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("store")
    dead_spool(root, b"".join(pieces) + (LINE % 1000)[:torn])
    found = adopt_all(root)
    lines = [piece for piece in pieces if piece.startswith(b"{")]
    assert found.events == len(lines)
    assert b"".join(path.read_bytes() for path in root.glob("*/log/p/*.jsonl")) == b"".join(lines)


def test_the_spool_lies_in_a_local_store_and_elsewhere_for_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = str(os.getuid())
    local = LocalStorage(tmp_path)
    assert is_local_disk(tmp_path / "not" / "there" / "yet")
    assert default_home(local, "b", None) == tmp_path / "b" / ".spool" / user
    assert default_home(local, "b", "/x") == Path("/x") / user
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    remote = FaultyStorage(tmp_path)
    assert default_home(remote, "b", None) == tmp_path / "state" / "obswriter" / "spool" / user


def test_a_spool_directory_is_its_owners_alone(tmp_path: Path) -> None:
    dead_spool(tmp_path, LINE % 1)
    home = tmp_path / "observability" / ".spool" / str(os.getuid())
    assert home.stat().st_mode & 0o777 == 0o700
    assert home.parent.stat().st_mode & 0o1777 == 0o1777


def test_every_name_the_spool_gives_is_one_a_reader_understands(tmp_path: Path) -> None:
    outcome = run("obswriter.configure()\nrecord('a')\nos.kill(os.getpid(), 9)", tmp_path)
    outcome.recover()
    [file] = tmp_path.rglob("*.jsonl")
    parsed = parse_file_path(file.relative_to(tmp_path).as_posix())
    assert parsed is not None
    assert (parsed.type, parsed.project_id, parsed.processed) == ("log", "default", False)


def test_where_the_system_does_not_tell_its_boots_apart_the_heartbeat_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = dead_spool(tmp_path, LINE % 1, boot="")
    monkeypatch.setattr("obswriter.adoption.boot_id", lambda: "")
    assert adopt_all(tmp_path).directories == 0
    old = time.time() - STALE_SECONDS - 1
    os.utime(spool / OWNER, (old, old))
    assert adopt_all(tmp_path).directories == 1


def test_of_one_type_what_follows_a_file_that_the_store_refuses_waits_for_it(
    tmp_path: Path,
) -> None:
    dead_spool(tmp_path, LINE % 1, LINE % 2)
    store = FaultyStorage(tmp_path)

    def refuse_the_first(path: str) -> None:
        if path.endswith("0.jsonl"):
            raise OSError("not this one")

    store.fault = refuse_the_first
    assert len(adopt_all(tmp_path, store).errors) == 1
    assert stored_events(tmp_path) == []
    store.recover()
    assert adopt_all(tmp_path, store).events == 2


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the interpreter's place, which says when it has begun, and of what session."""
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os\n"
        f"os.mkfifo({str(tmp_path / 'go on')!r})\n"
        f"open({str(tmp_path / 'session')!r}, 'w').write(str(os.getsid(0)))\n"
        f"open({str(tmp_path / 'go on')!r}).read()\n"
        f"open({str(tmp_path / 'over')!r}, 'w')\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return program


def test_a_child_that_adopts_goes_on_when_the_timeout_and_the_parents_session_are_over(
    python: Path, tmp_path: Path
) -> None:
    """Ctrl-C and a terminal that is closed reach the whole session; the upload goes on."""
    adopt_in_child("family", "where", "observability", 0.05)
    wait_until(lambda: (tmp_path / "session").exists() and (tmp_path / "session").read_text())
    assert not (tmp_path / "over").exists()
    assert int((tmp_path / "session").read_text()) != os.getsid(0)
    (tmp_path / "go on").write_text("")
    wait_until((tmp_path / "over").exists)


def test_within_another_program_no_child_is_started(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uWSGI's sys.executable is uWSGI: a second server would begin."""
    server = python.rename(tmp_path / "uwsgi")
    monkeypatch.setattr(sys, "executable", str(server))
    adopt_in_child("family", "where", "observability", 0.5)
    assert not (tmp_path / "go on").exists()


def test_spools_of_other_base_paths_and_formats_lie_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path)
    families = {make_family(tmp_path / "spool", storage, base) for base in ("a", "b")}
    monkeypatch.setattr("obswriter.spool_directory.FORMAT_VERSION", 2)
    families.add(make_family(tmp_path / "spool", storage, "a"))
    assert len(families) == 3


def test_a_directory_is_locked_before_it_bears_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename
    renamed = []

    def rename(source: str, target: str) -> None:
        with try_lock(source) as free:
            renamed.append(free)
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    _, lock, _ = make_owned(make_family(tmp_path / "spool", LocalStorage(tmp_path), "b"))
    unlock(lock)
    assert renamed == [False]


def test_a_lock_is_free_once_it_is_given_up_though_a_child_has_its_descriptor(
    tmp_path: Path,
) -> None:
    """A child that was forked before the lock was noted; a duplicate stands for its own."""
    others = set(spool_directory._locks)
    with try_lock(str(tmp_path)) as ours:
        assert ours
        [lock] = spool_directory._locks - others
        childs = os.dup(lock)
    with try_lock(str(tmp_path)) as free:
        assert free
    os.close(childs)


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="the mounts are Linux's")
@pytest.mark.parametrize(
    ("kind", "local"),
    [("ext4", True), ("tmpfs", True), ("nfs4", False), ("cifs", False), ("fuse.sshfs", False)],
)
def test_the_spool_lies_in_the_store_only_on_a_file_system_known_to_be_local(
    kind: str, local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a mount"
    place.mkdir()
    point = str(place).replace(" ", "\\040")
    mounts = f"/dev/a / ext4 rw 0 0\nserver:/b {point} {kind} rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda path: mounts)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    home = default_home(LocalStorage(place / "store"), "b", None)
    assert home.is_relative_to(place if local else tmp_path / "state")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can")
def test_a_process_of_roots_adopts_nothing_of_others_while_it_runs(tmp_path: Path) -> None:
    """For that it would take on their rights, in all of its threads."""
    spool = dead_spool(tmp_path, LINE % 1)
    os.chown(spool, 65534, 65534)
    writer = ObservabilityWriter(file_storage=tmp_path, project_id="p", flush_interval_ms=0)
    writer.record_log(Log(level="info", message="a"))
    writer.flush()
    writer._batcher.carrier.spool._due_at = 0.0
    writer._batcher.carrier.spool.look_after()
    assert spool.exists()
    writer.shutdown()


def test_a_large_spool_is_adopted_in_turns_with_our_own_files(tmp_path: Path) -> None:
    """Else a flush, or the end of this process, would wait for all of it."""
    dead_spool(tmp_path, *[LINE % number for number in range(5)])
    where = str(family_of(tmp_path)), LocalStorage(tmp_path), "observability"
    first = adopt(*where, seconds=-1)
    assert (first.unfinished, first.files, first.errors) == (1, 1, [])
    second = adopt(*where)
    assert (second.unfinished, second.files, second.directories) == (0, 4, 1)


def test_a_writer_goes_on_with_what_it_had_no_time_to_adopt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ObservabilityWriter(file_storage=tmp_path, project_id="p", flush_interval_ms=0)
    writer.record_log(Log(level="info", message="own"))
    writer.flush()
    spool = writer._batcher.carrier.spool
    dead = dead_spool(tmp_path, LINE % 1)
    monkeypatch.setattr("obswriter.spool.MOST_SECONDS", -1)
    with writer._batcher.carrier._round_lock:  # the thread's next round comes later
        spool._due_at = 0.0
        assert spool.look_after() <= 0
        assert dead.exists()
        monkeypatch.setattr("obswriter.spool.MOST_SECONDS", 60)
        assert spool.look_after() > 0
    assert not dead.exists()
    writer.shutdown()


def test_a_directory_that_cannot_be_walked_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Python 3.12, os.walk() recurses, and a thousand nested folders are too many."""
    deep = min(dead_spool(tmp_path, LINE % number) for number in range(2))
    walk = os.walk

    def recurse(top: Any, **options: Any) -> Any:
        if str(top) == str(deep):
            raise RecursionError
        return walk(top, **options)

    monkeypatch.setattr(os, "walk", recurse)
    found = adopt(str(family_of(tmp_path)), LocalStorage(tmp_path), "observability")
    assert (found.directories, found.files, len(found.errors)) == (1, 1, 1)
