"""One writer for the whole process: configured once, shared by all, never in the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import obswriter
from obswriter import AlreadyConfiguredError, ConfigurationError, Log, process
from obswriter_testsupport.faults import run, stored_events
from obswriter_testsupport.stores import FaultyStorage


@pytest.fixture(autouse=True)
def no_writer_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = process.exchange(None)
    yield
    obswriter.shutdown()
    process.exchange(before)


def test_no_error_tells_the_password_of_a_store(tmp_path: Path) -> None:
    config = obswriter.configure(file_storage=f"memory://me:hunter2@{tmp_path}").config
    with pytest.raises(AlreadyConfiguredError, match="file_storage was 'memory://") as already:
        obswriter.configure(file_storage=f"memory://you:hunter2@{tmp_path}/b")
    with pytest.raises(TypeError, match="takes options by name") as wrong:
        obswriter.ObservabilityWriter(config, file_storage="memory://me:hunter2@b")
    assert "hunter2" not in f"{already.value} {wrong.value} {config}"


def test_without_any_setting_files_go_below_the_directory_at_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = obswriter.configure()
    monkeypatch.chdir("/")
    obswriter.log("info", "m")
    obswriter.flush()
    assert writer.project_id == "default"
    assert len(list(tmp_path.glob("observability/log/default/*.jsonl"))) == 1


def test_arguments_go_before_variables_before_a_frameworks_settings_before_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "20")
    monkeypatch.setenv("OBSWRITER_PROJECT_ID", "from-variable")
    settings = {"BATCH_SIZE": 30, "MAX_FILE_SIZE": 3000, "PROJECT_ID": "from-settings"}
    config = obswriter.configure(project_id="from-argument", settings=settings).config
    assert config.project_id == "from-argument"
    assert config.batch_size == 20
    assert config.max_file_size == 3000
    assert config.flush_interval_ms == 5000


def test_configuring_twice_alike_does_nothing(tmp_path: Path) -> None:
    first = obswriter.configure(project_id="a", batch_size=5)
    assert obswriter.configure(project_id="a", batch_size=5) is first
    assert obswriter.get_writer() is first


def test_configuring_twice_differently_is_an_error_that_names_the_difference() -> None:
    first = obswriter.configure(project_id="a")
    with pytest.raises(
        AlreadyConfiguredError, match=r"project_id was 'a' and is 'b'.*replace=True"
    ):
        obswriter.configure(project_id="b")
    assert obswriter.get_writer() is first


def test_replacing_shuts_the_old_writer_down_and_stores_what_it_had(tmp_path: Path) -> None:
    first = obswriter.configure(project_id="a")
    obswriter.log("info", "for a")
    second = obswriter.configure(project_id="b", replace=True)
    assert first.is_shutdown
    assert obswriter.get_writer() is second
    assert [event["projectId"] for event in stored_events(tmp_path)] == ["a"]


@pytest.mark.parametrize("again", ["s/", "./s", "../{name}/s", "{path}/s", "file://{path}/s"])
def test_the_same_folder_in_other_words_is_the_same(tmp_path: Path, again: str) -> None:
    writer = obswriter.configure(file_storage="s")
    words = again.format(name=tmp_path.name, path=tmp_path)
    assert obswriter.configure(file_storage=words) is writer
    assert obswriter.configure(file_storage=tmp_path / "s") is writer
    for other in ("t", "memory://s"):
        with pytest.raises(AlreadyConfiguredError, match="file_storage was 's'"):
            obswriter.configure(file_storage=other)


def test_what_was_recorded_before_recording_was_turned_off_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    obswriter.log("info", "early")
    early = obswriter.get_writer()
    obswriter.configure(disabled=True)
    obswriter.log("info", "late")
    obswriter.shutdown()
    assert [*tmp_path.rglob("*.jsonl*"), *tmp_path.rglob("started")] == []
    assert early.get_stats().dropped["log"] == {"disabled": 1}
    assert caplog.text == ""


def test_after_shutdown_it_can_be_configured_anew(tmp_path: Path) -> None:
    obswriter.configure(project_id="a")
    obswriter.shutdown()
    assert obswriter.configure(project_id="b").project_id == "b"


def test_a_wrong_option_is_refused_and_leaves_no_writer(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"batch_size must be an integer.*got '5'"):
        obswriter.configure(batch_size="5")
    with pytest.raises(ConfigurationError, match=r"unknown option 'batchsize'.*'batch_size'"):
        obswriter.configure(batchsize=5)
    assert process.exchange(None) is None


def test_an_implicit_writer_gives_way_and_takes_its_events_along(tmp_path: Path) -> None:
    obswriter.log("info", "before configure")
    implicit = obswriter.get_writer()
    writer = obswriter.configure(file_storage=tmp_path / "store", project_id="shop")
    assert obswriter.get_writer() is writer
    assert implicit.is_shutdown
    obswriter.log("info", "after")
    obswriter.flush()
    assert [e["message"] for e in stored_events(tmp_path / "store")] == [
        "before configure",
        "after",
    ]
    assert stored_events(tmp_path) == []


def test_an_implicit_writer_that_is_confirmed_goes_on(tmp_path: Path) -> None:
    obswriter.log("info", "m")
    implicit = obswriter.get_writer()
    assert obswriter.configure() is implicit
    with pytest.raises(AlreadyConfiguredError):
        obswriter.configure(project_id="other")


def test_a_wrong_environment_turns_recording_off_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "many")
    with caplog.at_level(logging.ERROR, logger="obswriter"):
        obswriter.log("info", "m")
        with obswriter.span("s"):
            obswriter.metric("m", 1)
    assert [r.getMessage() for r in caplog.records] == [
        "obswriter records nothing: OBSWRITER_BATCH_SIZE must be an integer; got 'many'"
    ]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigurationError, match="OBSWRITER_BATCH_SIZE"):
        obswriter.configure()
    monkeypatch.delenv("OBSWRITER_BATCH_SIZE")
    obswriter.configure()
    obswriter.log("info", "m")
    assert obswriter.flush().events_written == 1


def test_disabled_by_a_variable_nothing_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OBSWRITER_DISABLED", "1")
    with obswriter.trace("t", input=1), obswriter.span("s") as span:
        obswriter.log("info", "m")
        assert span.id == ""
    obswriter.get_writer().record_log(Log(level="info", message="m"))
    assert obswriter.flush() == obswriter.FlushResult()
    assert list(tmp_path.iterdir()) == []


def test_after_shutdown_application_calls_drop_and_count(tmp_path: Path) -> None:
    writer = obswriter.configure()
    obswriter.shutdown()
    obswriter.log("info", "late")
    with obswriter.span("late"):
        pass
    obswriter.metric("late", 1)
    stats = writer.get_stats()
    assert stats.dropped["log"] == {"shutdown": 1}
    assert stats.dropped["span"] == {"shutdown": 1}
    assert stats.recorded["metric"] == 1


def test_a_metric_without_a_number_is_dropped_and_counted() -> None:
    writer = obswriter.configure()
    obswriter.metric("m", "many")  # type: ignore[arg-type]
    obswriter.score("q", None)  # type: ignore[arg-type]
    assert writer.get_stats().dropped["metric"] == {"invalid": 1}
    assert writer.get_stats().dropped["score"] == {"invalid": 1}


def test_flush_and_shutdown_before_anything_was_recorded_do_nothing(tmp_path: Path) -> None:
    assert obswriter.flush() == obswriter.FlushResult()
    assert obswriter.shutdown() == obswriter.FlushResult()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("before", ["implicit", "explicit"])
def test_threads_that_begin_at_once_share_one_writer(before: str, tmp_path: Path) -> None:
    script = f"""
barrier = threading.Barrier(8)
def work(name):
    barrier.wait()
    if {before == "explicit"}:
        obswriter.configure(project_id="p")
    record(str(name))
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert obswriter.get_writer().get_stats().recorded["log"] == 8
"""
    outcome = run(script, tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert outcome.missing() == set()


def test_what_the_implicit_writer_had_is_stored_though_nothing_comes_after_it(
    tmp_path: Path,
) -> None:
    obswriter.log("info", "early")
    obswriter.configure(file_storage=tmp_path / "mine", project_id="p")
    assert obswriter.flush().errors == []
    assert [event["message"] for event in stored_events(tmp_path / "mine")] == ["early"]


def test_a_span_begins_where_there_can_be_no_evidence_of_it(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    obswriter.configure(
        file_storage=FaultyStorage(tmp_path), project_id="p", spool_dir=tmp_path / "a file"
    )
    with obswriter.span("first"):
        pass
    obswriter.flush()
    assert [span["name"] for span in stored_events(tmp_path, "span")] == ["first"]


def test_whatever_goes_wrong_while_recording_is_counted_and_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(wire: object) -> None:
        raise OSError(5, "Input/output error")

    writer = obswriter.configure(file_storage=tmp_path, project_id="p")
    with monkeypatch.context() as patch:
        patch.setattr(writer._batcher, "add", broken)
        obswriter.log("info", "m")
        with obswriter.span("s"):
            pass
    assert writer.get_stats().dropped["log"] == {"invalid": 1}
