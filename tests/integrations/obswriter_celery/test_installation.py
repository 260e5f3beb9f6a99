"""install() and uninstall()."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import pytest
from celery import Celery, signals

import obswriter
import obswriter_celery
from obswriter import process
from obswriter_celery import options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured


@pytest.fixture
def no_writer() -> Iterator[None]:
    before = process.exchange(None)
    yield
    obswriter.shutdown()
    process.exchange(before)
    obswriter_celery.uninstall()


def receivers() -> int:
    found = (getattr(signals, name) for name in signals.__all__)
    return sum(len(signal.receivers) for signal in found)


def test_installing_twice_records_once(captured: Captured, memory: Celery) -> None:
    obswriter_celery.install()
    memory.send_task("add")
    assert len(captured.events("span")) == 1


def test_the_receivers_outlive_a_garbage_collection(captured: Captured, memory: Celery) -> None:
    gc.collect()
    memory.send_task("add")
    assert len(captured.events("span")) == 1


def test_uninstall_leaves_no_receiver_behind(captured: Captured) -> None:
    before = receivers()
    obswriter_celery.install()
    assert receivers() > before
    obswriter_celery.uninstall()
    obswriter_celery.uninstall()
    assert receivers() == before


def test_a_signal_is_listened_to_only_where_something_is_wanted_of_it(captured: Captured) -> None:
    obswriter_celery.install()
    assert not signals.task_success.receivers
    obswriter_celery.install(results=True)
    assert signals.task_success.receivers
    obswriter_celery.uninstall()
    assert not signals.task_success.receivers


def test_uninstalling_ends_the_recording(captured: Captured, memory: Celery) -> None:
    obswriter_celery.uninstall()
    memory.send_task("add")
    assert captured.events() == []


def test_options_configure_the_writer(no_writer: None, tmp_path: Path) -> None:
    obswriter_celery.install(file_storage=str(tmp_path), project_id="shop")
    assert obswriter.get_writer().project_id == "shop"


def test_the_applications_setting_comes_after_options_and_variables(
    no_writer: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBSWRITER_BASE_PATH", "from-variable")
    with Celery("configured", set_as_current=False) as app:
        app.conf.obswriter = {
            "file_storage": str(tmp_path),
            "project_id": "from-setting",
            "base_path": "from-setting",
            "batch_size": 7,
        }
        obswriter_celery.install(app, project_id="from-option")
    config = obswriter.get_writer().config
    assert config.project_id == "from-option"
    assert (config.base_path, config.batch_size) == ("from-variable", 7)


def test_a_wrong_option_is_refused_and_nothing_is_installed(no_writer: None) -> None:
    before = receivers()
    with pytest.raises(ValueError, match="batch_size"):
        obswriter_celery.install(batch_size=0)
    assert receivers() == before


def test_an_option_of_its_own_that_is_no_switch_is_refused(no_writer: None) -> None:
    before = receivers()
    with pytest.raises(obswriter.ConfigurationError, match="link must be True or False; got 'yes'"):
        obswriter_celery.install(link="yes")
    assert receivers() == before


def test_the_options_of_its_own_stay_until_others_are_given(no_writer: None) -> None:
    with Celery("configured", set_as_current=False) as app:
        app.conf.obswriter = {"link": True, "metrics": True}
        obswriter_celery.install(app, metrics=False)
    obswriter_celery.install()
    assert options.chosen == obswriter_celery.CeleryOptions(link=True)
    obswriter_celery.uninstall()
    assert options.chosen == obswriter_celery.CeleryOptions()
    assert process.exchange(None) is None


def test_without_options_the_writer_is_left_alone(no_writer: None) -> None:
    obswriter_celery.install()
    assert process.exchange(None) is None


def test_what_goes_wrong_in_a_receiver_is_logged_and_goes_no_further(
    captured: Captured,
    memory: Celery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("obswriter_celery.producer.describe_message", fail)
    with caplog.at_level(logging.ERROR, "obswriter"):
        assert memory.send_task("add").id
    assert [record.name for record in caplog.records] == ["obswriter"]
