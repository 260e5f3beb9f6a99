"""Several adopters, adopters that die half-way, adopters that take a living process for dead.

Nothing is stored twice, nothing is lost, and a living process goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from obswriter.adoption import STALE_SECONDS, Recovery
from obswriter.spool_directory import OWNER, try_lock
from obswriter_testsupport.driving import Nursery, nursery
from obswriter_testsupport.scenes import Scene
from obswriter_testsupport.wait import wait_until

ROUNDS = 25
OLD = time.time() - STALE_SECONDS - 60


@pytest.fixture(scope="module")
def forked() -> Iterator[Nursery]:
    with nursery() as found:
        yield found


@pytest.fixture
def processes(forked: Nursery) -> Iterator[Nursery]:
    yield forked
    forked.kill_all()


@pytest.fixture(params=[False, True], ids=["local store", "another store"])
def scene(request: pytest.FixtureRequest, processes: Nursery, tmp_path: Path) -> Scene:
    return Scene(processes, tmp_path, controlled=request.param)


@pytest.fixture
def local(processes: Nursery, tmp_path: Path) -> Scene:
    return Scene(processes, tmp_path, controlled=False)


def pretend_other_boot(spool: Path, beat: float = OLD) -> None:
    owner = spool / OWNER
    owner.write_text(json.dumps({**json.loads(owner.read_text()), "boot": "another"}))
    os.utime(owner, (beat, beat))


def adopt_as_if_dead(scene: Scene, events: int) -> None:
    """Adopt from a living process, whose first heartbeat may come in between."""

    def is_adopted() -> bool:
        pretend_other_boot(scene.spools[0])
        return bool(scene.adopter().ask(scene.adopting(locks=False))["events"] == events)

    wait_until(is_adopted)


# -- adopters side by side, and one after the other -------------------------------------------


def test_of_two_adopters_racing_for_the_same_spools_each_spool_has_one(scene: Scene) -> None:
    adopters = [scene.adopter(), scene.adopter()]
    adopted = 0
    for number in range(ROUNDS):
        scene.leave_dead(f"a{number}", f"b{number}")
        begin = scene.root.with_name(f"begin-{number}")
        for adopter in adopters:
            adopter.tell(scene.adopting(begin=str(begin)))
        begin.touch()
        answers = [adopter.answer() for adopter in adopters]
        assert [answer["errors"] for answer in answers] == [[], []]
        # Fewer where one of the dead had adopted the other in its last moment.
        adopted += sum(answer["directories"] for answer in answers)
        assert adopted <= 2 * (number + 1)
    assert adopted > ROUNDS
    assert scene.spools == []
    scene.assert_exact()


def test_wherever_an_adopter_is_killed_the_next_one_finishes(scene: Scene) -> None:
    died, step = True, 0
    while died:
        step += 1
        scene.leave_dead(f"s{step}", count=3)
        died = scene.adopt_and_die(step)
        scene.adopt()
        scene.assert_exact()
        assert scene.adopt() == Recovery()
    assert step > 10
    assert scene.spools == []


def test_an_adopter_that_hangs_in_the_store_is_not_joined_but_followed(
    processes: Nursery, tmp_path: Path
) -> None:
    scene = Scene(processes, tmp_path, controlled=True)
    scene.leave_dead("a")
    scene.say("hang")
    first, second = scene.adopter(), scene.adopter()
    first.tell(scene.adopting())
    [spool] = scene.spools
    wait_until(lambda: is_locked(spool))
    assert second.ask(scene.adopting())["directories"] == 0
    first.end_by(signal.SIGKILL)
    processes.forget(first)
    scene.say("accept")
    assert second.ask(scene.adopting())["directories"] == 1
    scene.assert_exact()


@pytest.mark.parametrize("killed", [False, True], ids=["it fails", "it is killed"])
def test_a_child_forked_in_the_midst_of_an_adoption_does_not_keep_others_from_it(
    killed: bool, processes: Nursery, tmp_path: Path
) -> None:
    """The store hangs, and a server puts a new worker in the dead one's place."""
    scene = Scene(processes, tmp_path, controlled=True)
    scene.leave_dead("a")
    [spool] = scene.spools
    scene.say("hang")
    parent = scene.owner(flush_interval_ms=60_000)
    parent.ask("record log b 0 1")
    wait_until(lambda: is_locked(spool))
    child = processes.fork(parent)
    if killed:
        scene.kill(parent)
    scene.say("refuse")
    wait_until(lambda: not is_locked(spool), 10)
    scene.say("accept")
    scene.adopt()
    assert not spool.exists()
    if not killed:
        assert parent.ask("close 20")["errors"] == []
    child.end_by(signal.SIGKILL)
    scene.assert_exact(*([] if killed else [parent]))


def is_locked(spool: Path) -> bool:
    with try_lock(str(spool)) as free:
        return not free


def test_what_was_stored_and_reported_as_failed_is_adopted_once(
    processes: Nursery, tmp_path: Path
) -> None:
    scene = Scene(processes, tmp_path, controlled=True)
    scene.leave_dead("a")
    scene.say("commit and fail")
    adopter = scene.adopter()
    for _ in range(3):
        adopter.ask(scene.adopting())
    scene.say("accept")
    scene.adopt()
    scene.assert_exact()


def test_an_adopter_killed_beside_a_different_file_of_the_same_name_stores_nothing_twice(
    local: Scene,
) -> None:
    """The name it takes instead must be the one its successor takes."""
    died, step = True, 0
    while died:
        step += 1
        local.leave_dead(f"s{step}", count=3)
        taken = [local.root / "observability" / path for path in names_of_segments(local)]
        for file in taken:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"{}\n")
        died = local.adopt_and_die(step)
        local.adopt()
        for file in taken:
            assert file.read_bytes() == b"{}\n"
            file.unlink()
        local.assert_exact()


def names_of_segments(scene: Scene) -> list[str]:
    """Return where each segment that is not a spare one belongs in the store."""
    files = [path for path in scene.family.glob("*/*/p/*.open") if path.read_bytes().strip(b"\0")]
    return [f"{path.parent.parent.name}/p/{path.name.removesuffix('.open')}" for path in files]


# -- living processes ---------------------------------------------------------------------------


def test_a_living_process_that_seems_to_be_of_another_boot_is_protected_by_its_lock(
    scene: Scene,
) -> None:
    owner = scene.owner()
    owner.ask("record log a 0 30")
    pretend_other_boot(scene.spools[0])
    assert scene.adopt() == Recovery()
    owner.ask("record log a 30 30")
    assert owner.ask("close 20")["errors"] == []
    scene.assert_exact(owner)


def test_where_locks_are_not_seen_a_fresh_heartbeat_protects_a_living_process(
    scene: Scene,
) -> None:
    owner = scene.owner()
    owner.ask("record log a 0 30")
    pretend_other_boot(scene.spools[0], time.time())
    assert scene.adopter().ask(scene.adopting(locks=False))["files"] == 0
    assert owner.ask("close 20")["errors"] == []
    scene.assert_exact(owner)


def test_a_living_process_taken_for_dead_goes_on_and_nothing_is_stored_twice(
    scene: Scene,
) -> None:
    """Another machine sees neither its lock nor, for ten minutes, its heartbeat."""
    owner = scene.owner()
    owner.ask("record log a 0 30")

    adopt_as_if_dead(scene, 30)
    owner.ask("record log a 30 3000")  # more pages of the map than were touched before
    assert owner.ask("flush 20")["errors"] == []
    owner.ask("record log a 3030 10")
    assert owner.ask("close 20")["errors"] == []
    scene.adopt()
    scene.assert_exact(owner)


def test_files_that_wait_for_the_store_may_be_adopted_from_a_living_process_taken_for_dead(
    processes: Nursery, tmp_path: Path
) -> None:
    """They are stored, if not by their owner; what it records afterwards does not wait for them."""
    scene = Scene(processes, tmp_path, controlled=True)
    scene.say("refuse")
    owner = scene.owner(batch_size=10, retry_initial_ms=60_000, retry_max_ms=60_000)
    owner.ask("record log a 0 30")
    owner.ask("flush 20")
    pretend_other_boot(scene.spools[0])
    scene.say("accept")
    assert scene.adopter().ask(scene.adopting(locks=False))["events"] == 30
    owner.ask("record log a 30 10")
    assert owner.ask("flush 20")["errors"] == []
    owner.ask("close 20")
    scene.assert_exact(owner)


def test_a_living_process_whose_spool_was_deleted_is_not_adopted_from_later(
    scene: Scene,
) -> None:
    """Its lock went with the directory; the next one it makes must be its own as well."""
    owner = scene.owner()
    owner.ask("record log a 0 30")
    owner.ask("flush 20")
    [spool] = scene.spools
    shutil.rmtree(spool)
    owner.ask("record log a 30 30")
    owner.ask("flush 20")
    owner.ask("record log a 60 30")
    for directory in scene.family.glob("*/"):
        os.utime(directory, (OLD, OLD))
    assert scene.adopter().ask(scene.adopting())["events"] == 0
    owner.ask("record log a 90 30")
    assert owner.ask("close 20")["errors"] == []
    scene.assert_exact(owner)


def test_a_file_deleted_while_it_waits_for_the_store_holds_up_nothing(
    processes: Nursery, tmp_path: Path
) -> None:
    scene = Scene(processes, tmp_path, controlled=True)
    scene.say("refuse")
    owner = scene.owner()
    owner.ask("record log a 0 10")
    owner.ask("flush 20")
    [sealed] = scene.family.glob("*/log/p/*.jsonl")
    sealed.unlink()
    scene.say("accept")
    owner.ask("record log b 0 10")
    owner.ask("flush 20")
    assert [id for id in scene.stored() if id.startswith("b-")] == [f"b-{n}" for n in range(10)]


def test_a_flush_that_comes_while_the_writer_ends_returns(
    processes: Nursery, tmp_path: Path
) -> None:
    """Its thread was left behind in a store that hangs, and ends with its call."""
    scene = Scene(processes, tmp_path, controlled=True)
    owner = scene.owner()
    scene.say("hang")
    owner.ask("record log a 0 10")
    owner.ask("close 0.05")
    owner.tell("flush 600")
    scene.say("accept")
    assert owner.answer(within=10)["errors"] == []
    scene.assert_exact(owner)


def test_a_killed_child_is_adopted_by_its_parent_which_does_nothing_else(scene: Scene) -> None:
    parent = scene.owner(flush_interval_ms=100)
    parent.ask("record log parent 0 1")
    child = scene.processes.fork(parent)
    child.ask("record log child 0 50")
    scene.kill(child)
    wait_until(lambda: parent.ask("summary")["recovered"] >= 50, 20)
    parent.ask("flush 20")
    scene.assert_exact(parent)


def test_what_was_adopted_from_a_living_process_and_ingested_is_not_stored_again(
    scene: Scene,
) -> None:
    owner = scene.owner()
    owner.ask("record log a 0 30")

    adopt_as_if_dead(scene, 30)
    [file] = scene.root.glob("observability/log/p/*.jsonl")
    (file.parent / "processed").mkdir()
    file.rename(file.parent / "processed" / file.name)
    owner.ask("record log a 30 10")
    assert owner.ask("flush 20")["errors"] == []
    owner.ask("close 20")
    scene.adopt()
    assert scene.stored() == [f"a-{number}" for number in range(30, 40)]
