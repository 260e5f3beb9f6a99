"""What dead processes leave is stored once, by one adopter, and nothing else is touched."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obswriter import LocalStorage, parse_file_path
from obswriter.adoption import STALE_SECONDS, adopt, adopt_in_child, publish
from obswriter.cli.place import destinations
from obswriter.spool_directory import (
    OWNER,
    boot_id,
    default_home,
    is_local_disk,
    make_family,
    make_owned,
)
from obswriter_testsupport.faults import run, stored_events
from obswriter_testsupport.stores import FaultyStorage

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
    adopt_all(root)
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
