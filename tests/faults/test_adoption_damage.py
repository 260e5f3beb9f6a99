"""What an adopter cannot read, or must not touch, has an outcome of its own.

It is left alone or goes to ``quarantine/``; it is never deleted and never in the way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from obswriter import LocalStorage, parse_jsonl
from obswriter.adoption import STALE_SECONDS, adopt
from obswriter.cli import main
from obswriter.cli.rights import adopt_as_owner
from obswriter.spool_directory import DESTINATION, MARKS, OWNER
from obswriter_testsupport.driving import Nursery, nursery
from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.scenes import Scene

OLD = time.time() - STALE_SECONDS - 60
NAME = "20260123T120000Z_0123456789ab.jsonl"
LINE = b'{"type":"log","id":"%d","message":"m","recordedAt":"2026-01-23T12:00:00.000000Z"}\n'

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def forked() -> Iterator[Nursery]:
    with nursery() as found:
        yield found


@pytest.fixture
def scene(forked: Nursery, tmp_path: Path) -> Iterator[Scene]:
    yield Scene(forked, tmp_path, controlled=False)
    forked.kill_all()


def dead_spool(scene: Scene) -> Path:
    scene.leave_dead("a")
    [spool] = scene.spools
    return spool


def put(spool: Path, content: bytes, path: str = f"log/p/{NAME}.open") -> None:
    file = spool / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def quarantined(scene: Scene) -> list[bytes]:
    return sorted(path.read_bytes() for path in (scene.family / "quarantine").iterdir())


# -- what lies in a process's directory -----------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"neither a line nor zeros", b"\xff\xfe" * 3000, b"<a/>\n<b/>\n"], ids=range(3)
)
def test_a_segment_of_which_nothing_can_be_read_is_kept_in_quarantine(
    content: bytes, scene: Scene
) -> None:
    spool = dead_spool(scene)
    put(spool, content)
    assert scene.adopt().quarantined == 1
    assert quarantined(scene) == [content]
    assert not spool.exists()
    scene.assert_exact()


def test_a_damaged_line_among_good_ones_is_not_stored_as_if_it_were_whole(scene: Scene) -> None:
    spool = dead_spool(scene)
    put(spool, LINE % 1 + b'{"type":"log","id":"2"\xff\xfe\n' + LINE % 3)
    assert scene.adopt().holes == 1
    stored = scene.root / "observability" / "log" / "p" / NAME
    assert [event["id"] for event in parse_jsonl(stored.read_bytes())] == ["1", "3"]


def test_a_link_to_a_directory_is_not_followed_and_not_in_the_way(scene: Scene) -> None:
    spool = dead_spool(scene)
    elsewhere = scene.root.with_name("elsewhere")
    put(elsewhere, LINE % 1, f"p/{NAME}.open")
    (spool / "span").symlink_to(elsewhere)
    scene.adopt()
    assert (elsewhere / "p" / f"{NAME}.open").read_bytes() == LINE % 1
    assert not spool.exists()
    scene.assert_exact()


def test_a_pipe_that_bears_a_segments_name_is_not_read(scene: Scene) -> None:
    spool = dead_spool(scene)
    os.mkfifo(spool / "log" / "p" / f"{NAME}.open")
    assert scene.adopt().quarantined == 1
    assert not spool.exists()
    scene.assert_exact()


def test_a_directory_that_bears_a_segments_name_is_not_in_the_way(scene: Scene) -> None:
    spool = dead_spool(scene)
    put(spool, b"mine", f"log/p/{NAME}.open/notes.txt")
    assert scene.adopt().quarantined == 1
    assert quarantined(scene) == [b"mine"]
    assert not spool.exists()
    scene.assert_exact()


def test_garbage_with_a_very_long_name_is_not_in_the_way(scene: Scene) -> None:
    spool = dead_spool(scene)
    put(spool, b"mine", "x" * 250)
    scene.adopt()
    assert quarantined(scene) == [b"mine"]
    assert not spool.exists()
    scene.assert_exact()


def test_garbage_whose_long_name_is_of_long_characters_is_not_in_the_way(scene: Scene) -> None:
    spool = dead_spool(scene)
    put(spool, b"mine", "\N{EURO SIGN}" * 85)
    scene.adopt()
    assert quarantined(scene) == [b"mine"]
    assert not spool.exists()


@pytest.mark.parametrize("name", [OWNER, MARKS])
@pytest.mark.parametrize("kind", ["pipe", "link", "link to a device"])
def test_what_is_no_plain_file_is_not_read_whatever_its_name(
    kind: str, name: str, scene: Scene
) -> None:
    """A pipe would hold up its reader for ever, and a device fill the memory."""
    spool = dead_spool(scene)
    elsewhere = scene.root.with_name("elsewhere")
    (spool / name).rename(elsewhere)
    mark = {"type": "span", "name": "foreign", "projectId": "p", "startTime": 1}
    if name == MARKS:
        elsewhere.write_bytes(b"\1" + json.dumps(mark).encode() + b"\n")
    if kind == "pipe":
        os.mkfifo(spool / name)
    else:
        (spool / name).symlink_to(elsewhere if kind == "link" else "/dev/zero")
    os.utime(spool, (OLD, OLD))
    scene.adopt()
    assert not spool.exists()
    assert elsewhere.exists()
    assert "foreign" not in str(stored_events(scene.root))
    scene.assert_exact()


def test_a_file_with_a_huge_hole_in_it_does_not_fill_the_memory(scene: Scene) -> None:
    spool = dead_spool(scene)
    put(spool, LINE % 1)
    for path in (spool / "log" / "p" / f"{NAME}.open", spool / OWNER, spool / MARKS):
        os.truncate(path, 1 << 40)
    with (spool / "log" / "p" / f"{NAME}.open").open("rb+") as file:
        file.seek(1 << 39)
        file.write(LINE % 2)
    os.utime(spool, (OLD, OLD))
    code = f"""
import resource
from obswriter import LocalStorage
from obswriter.adoption import adopt
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
found = adopt({str(scene.family)!r}, LocalStorage({str(scene.root)!r}), "observability")
assert found.errors == [], found
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not spool.exists()
    assert (scene.root / "observability" / "log" / "p" / NAME).read_bytes() == LINE % 1 + LINE % 2


def test_a_mark_of_the_first_century_is_no_obstacle(scene: Scene) -> None:
    spool = dead_spool(scene)
    mark = {"type": "span", "id": "1", "traceId": "t", "name": "old", "projectId": "p"}
    mark["startTime"] = "0099-01-01T00:00:00Z"
    (spool / MARKS).write_bytes(b"\1" + json.dumps(mark).encode() + b"\n")
    scene.adopt()
    assert not spool.exists()
    assert [event["name"] for event in stored_events(scene.root, "span")] == ["old"]


def test_garbage_of_the_same_name_found_later_does_not_replace_the_first(scene: Scene) -> None:
    spool = dead_spool(scene)
    put(spool, b"first", "notes.txt")
    blocker = scene.root / "observability" / "log"
    blocker.write_text("a file where a directory must be")
    assert adopt(str(scene.family), scene.storage, "observability").errors
    put(spool, b"second", "notes.txt")
    blocker.unlink()
    scene.adopt()
    assert quarantined(scene) == [b"first", b"second"]
    scene.assert_exact()


@pytest.mark.parametrize("refused", ["log", "score"])
def test_a_file_that_the_store_refuses_holds_up_no_other_types(refused: str, scene: Scene) -> None:
    dead_spool(scene)
    (scene.root / "observability" / refused).write_text("a file where a directory must be")
    assert adopt(str(scene.family), scene.storage, "observability").errors
    stored = {id.split("-")[1] for id in scene.stored()}
    assert stored == {"log", "score"} - {refused}


# -- who owned it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"\xff\xfe", b"[]", b"{}", b'{"boot": 3}', b"[" * 100_000, None],
    ids=["empty", "text", "bytes", "list", "object", "number", "deep", "missing"],
)
def test_a_directory_that_does_not_say_whose_it_was_is_adopted_when_it_is_old(
    content: bytes | None, scene: Scene
) -> None:
    spool = dead_spool(scene)
    owner = spool / OWNER
    if content is None:
        owner.unlink()
    else:
        owner.write_bytes(content)
    assert scene.adopt().directories == 0
    for path in (owner, spool):
        if path.exists():
            os.utime(path, (OLD, OLD))
    assert scene.adopt().directories == 1
    scene.assert_exact()


@pytest.mark.parametrize("says", [True, False], ids=["with its owner", "without"])
def test_a_directory_whose_maker_died_before_naming_it_is_cleared_away(
    says: bool, scene: Scene
) -> None:
    spool = dead_spool(scene)
    new = spool.with_name(".new-0123456789abcdef")
    new.mkdir()
    if says:
        (new / OWNER).write_bytes((spool / OWNER).read_bytes())
    scene.adopt()
    assert new.exists() != says
    if not says:
        os.utime(new, (OLD, OLD))
        scene.adopt()
    assert not new.exists()
    scene.assert_exact()


@pytest.fixture
def shared(forked: Nursery) -> Iterator[Scene]:
    """A store that every user may write to and reach."""
    with tempfile.TemporaryDirectory(prefix="obswriter-shared-") as folder:
        os.chmod(folder, 0o755)
        found = Scene(forked, Path(folder), controlled=False)
        found.root.chmod(0o777)
        yield found
        forked.kill_all()


@needs_root
def test_another_users_spool_is_left_alone_except_by_root(shared: Scene) -> None:
    process = shared.processes.start()
    process.ask("become 65534")
    process.ask(f"configure {json.dumps({'file_storage': str(shared.root), 'project_id': 'p'})}")
    process.ask("record log a 0 10")
    shared.kill(process)
    [family] = (shared.root / "observability" / ".spool" / "65534").iterdir()
    other = shared.adopter()
    other.ask("become 65533")
    found = other.ask(f"adopt {json.dumps({'family': str(family), 'root': str(shared.root)})}")
    assert (found["directories"], found["errors"]) == (0, [])
    assert shared.stored() == []
    assert adopt_as_owner(str(family), LocalStorage(shared.root), "observability").directories == 1
    shared.assert_exact()


# -- whole families -----------------------------------------------------------------------------


def recover(scene: Scene, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capfd.readouterr()
    status = main(["recover", "--storage", str(scene.root)])
    said = capfd.readouterr()
    return status, said.out + said.err


def test_a_spool_of_another_format_is_left_as_it_is(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    spool = dead_spool(scene)
    family = scene.family
    facts = json.loads((family / DESTINATION).read_text())
    (family / DESTINATION).write_text(json.dumps({**facts, "format": 99}))
    put(spool, b"of a later version", "index.bin")
    before = {path: path.read_bytes() for path in family.rglob("*") if path.is_file()}
    status, said = recover(scene, capfd)
    assert {path: path.read_bytes() for path in family.rglob("*") if path.is_file()} == before
    assert (status, "99" in said) == (0, True)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"3", None], ids=["empty", "bytes", "list", "3", "missing"]
)
def test_a_family_that_does_not_say_for_which_store_waits_for_the_next_writer(
    content: bytes | None, scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    dead_spool(scene)
    destination = scene.family / DESTINATION
    whole = destination.read_bytes()
    if content is None:
        destination.unlink()
    else:
        destination.write_bytes(content)
    status, said = recover(scene, capfd)
    assert "Error" not in said
    assert status == 0
    writer = scene.owner()
    writer.ask("record log b 0 1")
    writer.ask("flush 20")
    writer.ask("close 20")
    scene.assert_exact(writer)
    assert destination.read_bytes() == whole
