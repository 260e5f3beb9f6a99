"""Several Unix users on one store: web server, worker, and somebody running a command as root."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from obswriter.config import OPTIONS
from obswriter_testsupport.faults import Outcome, run, stored_events
from obswriter_testsupport.stores import FaultyStorage, folder_for_everybody

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="only root can be several users"
)

GROUP = 12000

AS_USER = f"""
# All that is needed later: where this interpreter lies, other users may not be able to read.
import concurrent.futures.thread, urllib.parse, obswriter.carrier, obswriter.fsspec_storage
import fsspec.core
fsspec.core.url_to_fs("memory://x")
obswriter.configure, obswriter.Log, obswriter.flush, obswriter.context.load()
user, mask = int(os.environ["AS_USER"]), int(os.environ["AS_UMASK"], 8)
os.umask(mask)
os.setgroups([])
if user:
    os.setgid({GROUP})
    os.setuid(user)
"""

RECORD = """
obswriter.configure(flush_interval_ms=0, retry_initial_ms=1)
for number in range(20):
    record(f"{user} {number}")
"""

SHUTDOWN = """
result = obswriter.shutdown()
if result.errors:
    [error] = result.errors
    print(type(error.error).__name__, error.event_count, file=sys.stderr)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_everybody() as folder:
        yield folder


def make_store(folder: Path, mode: int) -> Path:
    store = folder / "store"
    store.mkdir()
    os.chown(store, 0, GROUP)
    store.chmod(mode)
    return store


def run_as(
    user: int, store: Path, script: str = RECORD + SHUTDOWN, *, umask: int = 0o022, **more: str
) -> Outcome:
    environ = {"AS_USER": str(user), "AS_UMASK": f"{umask:o}", "PYTHONDEVMODE": "", **more}
    return run(AS_USER + script, store, **environ)


def assert_stored(*outcomes: Outcome) -> None:
    for outcome in outcomes:
        assert (outcome.status, outcome.stderr) == (0, "")
        assert len(outcome.acknowledged) == 20
        assert outcome.missing() == set()
    assert outcomes[0].stored().total() == 20 * len(outcomes)


@pytest.mark.parametrize(
    ("mode", "umask"),
    [
        pytest.param(0o1777, 0o000, id="sticky, and a umask that keeps nobody out"),
        pytest.param(0o2775, 0o002, id="setgid, and a umask that lets the group in"),
    ],
)
@pytest.mark.parametrize("first", [0, 12001])
def test_users_whose_umask_lets_each_other_in_share_a_store(
    mode: int, umask: int, first: int, folder: Path
) -> None:
    store = make_store(folder, mode)
    users = [first, *({0, 12001, 12002} - {first})]
    assert_stored(*[run_as(user, store, umask=umask) for user in users])


@pytest.mark.skipif("dir_mode" not in OPTIONS, reason="there is no option dir_mode")
@pytest.mark.parametrize(
    ("mode", "dir_mode", "file_mode"), [(0o1777, "1777", "644"), (0o2775, "2775", "664")]
)
def test_with_dir_mode_users_share_a_store_whatever_their_umask(
    mode: int, dir_mode: str, file_mode: str, folder: Path
) -> None:
    store = make_store(folder, mode)
    modes = {"OBSWRITER_DIR_MODE": dir_mode, "OBSWRITER_FILE_MODE": file_mode}
    outcomes = [run_as(user, store, umask=0o027, **modes) for user in (0, 12001, 12002)]
    assert_stored(*outcomes)
    data = store / "observability" / "log" / "default"
    assert {path.stat().st_mode & 0o7777 for path in (data, data.parent, data.parent.parent)} == {
        int(dir_mode, 8)
    }
    assert {path.stat().st_mode & 0o777 for path in data.glob("*.jsonl")} == {int(file_mode, 8)}


def test_what_is_stored_is_of_the_stores_group_as_if_it_had_been_written_there(
    folder: Path,
) -> None:
    """A user has a group of his own, and is one of the store's group besides."""
    store = make_store(folder, 0o2775)
    member = AS_USER.replace(f"os.setgid({GROUP})", f"os.setgroups([{GROUP}]); os.setgid(user)")
    modes = {"OBSWRITER_DIR_MODE": "2775", "OBSWRITER_FILE_MODE": "660"}
    environ = {"AS_USER": "12001", "AS_UMASK": "022", "PYTHONDEVMODE": "", **modes}
    assert_stored(run(member + RECORD + SHUTDOWN, store, **environ))
    [file] = store.glob("observability/log/default/*.jsonl")
    assert (file.stat().st_uid, file.stat().st_gid) == (12001, GROUP)
    assert file.stat().st_mode & 0o777 == 0o660


def test_the_spool_of_each_user_is_closed_to_the_others_whatever_the_umask(folder: Path) -> None:
    store = make_store(folder, 0o777)
    for user in (0, 12001, 12002):
        run_as(user, store, umask=0o000)
    spool = store / "observability" / ".spool"
    assert spool.stat().st_mode & 0o7777 == 0o1777
    homes = {int(path.name): path.stat() for path in spool.iterdir()}
    assert set(homes) == {0, 12001, 12002}
    assert all(status.st_uid == user for user, status in homes.items())
    assert {status.st_mode & 0o777 for status in homes.values()} == {0o700}


def test_who_may_not_write_in_the_store_keeps_the_events_in_the_spool_until_he_may(
    folder: Path,
) -> None:
    """Root's command came first, with an ordinary umask: its directories are root's alone."""
    store = make_store(folder, 0o777)
    assert_stored(run_as(0, store))
    refused = {user: run_as(user, store) for user in (12001, 12002)}
    for outcome in refused.values():
        assert outcome.status == 0, outcome.stderr
        assert outcome.stderr.startswith(f"obswriter: {store.as_uri()} refused a file")
        assert outcome.stderr.endswith("PermissionError 20\n")
        assert outcome.missing() == set(outcome.acknowledged)
    for folder in (store / "observability" / "log", store / "observability" / "log" / "default"):
        folder.chmod(0o777)
    for user, outcome in refused.items():
        next_start = "obswriter.configure()\nrecord(f'{user} again')\nobswriter.flush()"
        assert run_as(user, store, next_start).status == 0
        assert outcome.missing() == set()
        assert outcome.duplicated() == []


def test_who_cannot_even_have_a_spool_in_the_store_is_told_so_and_runs_on(folder: Path) -> None:
    """Another program made ``observability`` before, as root, and no spool in it."""
    store = make_store(folder, 0o777)
    (store / "observability").mkdir(mode=0o755)
    outcome = run_as(12001, store)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stderr.startswith("obswriter: events are kept in memory"), outcome.stderr
    assert outcome.stderr.endswith("PermissionError 20\n")
    assert outcome.stored() == {}


def test_a_spool_directory_planted_by_another_user_is_not_used(folder: Path) -> None:
    store = make_store(folder, 0o777)
    home = store / "observability" / ".spool" / "12001"
    home.mkdir(parents=True)
    for path in (home, *home.parents[:2]):
        path.chmod(0o1777)
    os.chown(home, 12002, GROUP)
    assert run_as(12001, store, umask=0).status == 0
    assert list(home.iterdir()) == []


def test_a_folder_planted_for_the_spool_among_temporary_files_is_not_used(folder: Path) -> None:
    """Who owns it could put another in the spool's place at any moment."""
    planted = folder / "obswriter-spool-12001"
    planted.mkdir()
    planted.chmod(0o777)
    os.chown(planted, 12002, GROUP)
    store = make_store(folder, 0o777)
    script = """
obswriter.configure(file_storage="memory://x", flush_interval_ms=0)
record("a")
obswriter.flush()
"""
    environ = {"TMPDIR": str(folder), "HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent"}
    outcome = run_as(12001, store, script, **environ)
    assert outcome.status == 0, outcome.stderr
    assert "events are kept in memory" in outcome.stderr
    assert [path for path in planted.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("swapped", ["log/default", "log", ""])
def test_who_swaps_his_spool_for_a_link_while_root_adopts_it_has_root_delete_nothing(
    swapped: str, folder: Path
) -> None:
    from obswriter.cli.rights import adopt_as_owner

    store = make_store(folder, 0o777)
    outcome = run_as(12001, store, RECORD + "os.kill(os.getpid(), 9)", umask=0)
    [family] = (store / "observability" / ".spool" / "12001").iterdir()
    [spool] = [path for path in family.iterdir() if path.is_dir()]
    victim = folder / "of root"
    shutil.copytree(spool, victim)
    storage = FaultyStorage(store)

    def swap(path: str) -> None:
        place = spool / swapped
        place.rename(folder / "away")
        place.symlink_to(victim / swapped)

    storage.after = swap
    assert adopt_as_owner(str(family), storage, "observability").errors
    assert list(victim.glob("log/default/*"))
    assert outcome.missing() == set()


def test_root_may_adopt_what_another_user_left_and_no_other_user_may(folder: Path) -> None:
    from obswriter.cli.rights import adopt_as_owner
    from obswriter.storage import LocalStorage

    store = make_store(folder, 0o777)
    outcome = run_as(12001, store, RECORD + "os.kill(os.getpid(), 9)", umask=0)
    assert outcome.status == -9
    other = run_as(12002, store, umask=0)
    assert outcome.missing() == set(outcome.acknowledged)
    [family] = (store / "observability" / ".spool" / "12001").iterdir()
    assert adopt_as_owner(str(family), LocalStorage(store), "observability").events == 20
    assert outcome.missing() == other.missing() == set()


def test_roots_recover_does_not_lock_the_stores_owner_out(folder: Path) -> None:
    from obswriter.cli import main

    store = make_store(folder, 0o755)
    os.chown(store, 12001, GROUP)
    outcome = run_as(12001, store, RECORD + "os.kill(os.getpid(), 9)")
    assert main(["recover", "--storage", str(store)]) == 0
    assert outcome.missing() == set()
    assert {path.stat().st_uid for path in store.rglob("*")} == {12001}
    again = run_as(12001, store)
    assert (again.status, again.stderr) == (0, "")
    assert again.stored().total() == 40


def test_recover_gives_the_permissions_that_a_writer_gives(folder: Path, monkeypatch) -> None:
    from obswriter.cli import main

    store = make_store(folder, 0o2775)
    outcome = run_as(12001, store, RECORD + "os.kill(os.getpid(), 9)")
    monkeypatch.setenv("OBSWRITER_DIR_MODE", "2770")
    monkeypatch.setenv("OBSWRITER_FILE_MODE", "640")
    assert main(["recover", "--storage", str(store)]) == 0
    [file] = store.glob("observability/log/default/*.jsonl")
    assert file.parent.stat().st_mode & 0o7777 == 0o2770
    assert file.stat().st_mode & 0o777 == 0o640
    assert outcome.missing() == set()


CHANGE = f"""
obswriter.configure(flush_interval_ms=0)
for number in range(20):
    record(f"as root {{number}}")
os.setgid({GROUP})
os.setuid(12001)
for number in range(20):
    record(f"as a user {{number}}")
"""


@pytest.mark.parametrize("ending", ["assert obswriter.flush().errors == []", "os._exit(0)"])
def test_what_was_open_when_a_process_became_another_user_is_stored_once(
    ending: str, folder: Path
) -> None:
    """As gunicorn's workers do with --user, after their first line in the log."""
    store = make_store(folder, 0o777)
    outcome = run_as(0, store, CHANGE + ending, umask=0)
    assert outcome.status == 0, outcome.stderr
    outcome.recover()
    assert len(outcome.acknowledged) == 40
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


def test_root_does_not_take_for_dead_who_has_become_another_user(folder: Path) -> None:
    store = make_store(folder, 0o777)
    script = """
[family] = Path(disk, "observability", ".spool", "0").iterdir()
reader, writer = os.pipe()
back, done = os.pipe()
if os.fork() == 0:  # stays root, and adopts when told to
    os.read(reader, 1)
    found = adopt(str(family), LocalStorage(disk), "observability")
    os.write(done, b"%d" % found.events)
    os._exit(0)
"""
    later = """
obswriter.get_writer().record_score({"name": "n", "value": 1.0})  # begins a spool of its own
os.write(writer, b"x")
assert os.read(back, 9) == b"0"
assert obswriter.flush().errors == []
"""
    setup = """
from pathlib import Path
from obswriter.adoption import adopt
from obswriter.storage import LocalStorage
disk = os.environ["OBSWRITER_FILE_STORAGE"]
obswriter.configure(flush_interval_ms=0)
record("first")
"""
    outcome = run_as(0, store, setup + script + CHANGE + later, umask=0)
    assert outcome.status == 0, outcome.stderr
    outcome.recover()
    assert outcome.missing() == set()
    assert outcome.duplicated() == []


@pytest.mark.parametrize("user", [0, 12001])
@pytest.mark.parametrize("planted", ["another user's", "writable by others", "a link"])
def test_a_spool_directory_that_is_not_the_users_own_alone_is_not_used(
    planted: str, user: int, folder: Path
) -> None:
    """Root could write in another user's, whatever its mode."""
    store = make_store(folder, 0o777)
    home = store / "observability" / ".spool" / str(user)
    real = folder / "elsewhere" if planted == "a link" else home
    real.mkdir(parents=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    if planted == "a link":
        home.symlink_to(real)
    for path in (home.parent, home.parent.parent):
        path.chmod(0o1777)
    os.chown(real, 12002 if planted == "another user's" else user, GROUP)
    real.chmod(0o720 if planted == "writable by others" else 0o700)
    outcome = run_as(user, store, umask=0)
    assert outcome.status == 0
    assert "must be a directory of this user's own" in outcome.stderr
    assert list(real.iterdir()) == []


@pytest.mark.parametrize("home", ["/nonexistent", "of root"])
def test_who_has_no_state_directory_has_the_spool_among_temporary_files(
    home: str, folder: Path
) -> None:
    """Root's own may not even be looked into: gunicorn's --user leaves HOME as it is."""
    (folder / "of root").mkdir(mode=0o700)
    script = """
obswriter.configure(file_storage="memory://x", flush_interval_ms=0)
record("a")
os._exit(0)
"""
    environ = {"TMPDIR": str(folder), "HOME": str(folder / home), "XDG_STATE_HOME": ""}
    run_as(12001, make_store(folder, 0o777), script, **environ)
    assert list(folder.glob("obswriter-spool-12001/12001/*/*/log/*/*.open"))


def test_root_stores_what_its_owner_may_not(folder: Path) -> None:
    """The spool is read with its owner's rights, and the store is written with root's."""
    from obswriter.cli.rights import adopt_as_owner
    from obswriter.storage import LocalStorage

    store = make_store(folder, 0o777)
    assert_stored(run_as(0, store))
    dying = "\nobswriter.span('going on').__enter__()\nos.kill(os.getpid(), 9)"
    outcome = run_as(12001, store, RECORD + dying)
    [family] = (store / "observability" / ".spool" / "12001").iterdir()
    assert adopt_as_owner(str(family), LocalStorage(store), "observability").errors == []
    assert outcome.missing() == set()
    assert [span["name"] for span in stored_events(store, "span")] == ["going on"]


def test_a_spool_that_others_can_reach_is_still_adopted_by_nobody_else(folder: Path) -> None:
    """Its owner has opened it to everybody, to look for something."""
    store = make_store(folder, 0o777)
    outcome = run_as(12001, store, RECORD + "os.kill(os.getpid(), 9)", umask=0)
    home = store / "observability" / ".spool" / "12001"
    for path in (home, *home.rglob("*/")):
        path.chmod(0o755)
    [family] = home.iterdir()
    script = f"""
from obswriter.adoption import adopt
from obswriter.storage import LocalStorage
found = adopt({str(family)!r}, LocalStorage({str(store)!r}), "observability")
assert (found.directories, found.events, found.errors) == (0, 0, []), found
"""
    other = run_as(12002, store, "import obswriter.adoption\n" + script, umask=0)
    assert other.status == 0, other.stderr
    assert outcome.missing() == set(outcome.acknowledged)
