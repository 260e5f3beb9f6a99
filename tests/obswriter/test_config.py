"""Options are right or refused with their name, their value and the remedy."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from obswriter import ConfigurationError, LocalStorage, ObservabilityWriterConfig
from obswriter.config import OPTIONS, from_environment

NEEDED: dict[str, Any] = {"file_storage": "/tmp/x", "project_id": "p"}
MINIMA = {
    "batch_size": 1,
    "flush_interval_ms": 0,
    "max_file_size": 1,
    "max_event_size": 1024,
    "max_spool_bytes": 1,
    "retry_initial_ms": 1,
    "retry_max_ms": 1,
    "shutdown_timeout_ms": 0,
}


def config(**options: Any) -> ObservabilityWriterConfig:
    return ObservabilityWriterConfig(**{**NEEDED, **options})


def resolve(
    options: dict[str, Any],
    settings: dict[str, Any] | None = None,
    defaults: dict[str, Any] | None = None,
) -> ObservabilityWriterConfig:
    return ObservabilityWriterConfig.resolve(options, {**(defaults or {}), **(settings or {})})


def test_the_defaults_are_the_contracts() -> None:
    made = config()
    assert made.batch_size == 1000
    assert made.flush_interval_ms == 5000
    assert made.max_file_size == 10 * 1024 * 1024
    assert made.base_path == "observability"
    assert made.max_event_size == 1024 * 1024
    assert (made.debug, made.disabled) == (False, False)


@pytest.mark.parametrize(("name", "minimum"), MINIMA.items())
def test_a_number_may_be_its_minimum_and_not_less(name: str, minimum: int) -> None:
    assert getattr(config(**{name: minimum}), name) == minimum
    for wrong in (minimum - 1, 10**12 + 1, 10**400):
        with pytest.raises(
            ConfigurationError,
            match=f"^{name} must be an integer of at least {minimum} and at most .*; got {wrong}$",
        ):
            config(**{name: wrong})


@pytest.mark.parametrize("name", MINIMA)
@pytest.mark.parametrize("value", ["5", 5.0, True, None, math.nan, math.inf, -5, [5]], ids=repr)
def test_a_number_is_nothing_but_an_integer(name: str, value: Any) -> None:
    with pytest.raises(
        ConfigurationError,
        match=f"^{name} must be an integer of at least .*; got {re.escape(repr(value))}$",
    ):
        config(**{name: value})


def test_every_integer_option_has_a_least_value() -> None:
    assert {name for name, field in OPTIONS.items() if type(field.default) is int} == set(MINIMA)


@pytest.mark.parametrize("name", ["debug", "disabled"])
@pytest.mark.parametrize("value", [0, 1, "true", "", None, 1.0], ids=repr)
def test_a_switch_is_true_or_false(name: str, value: Any) -> None:
    assert getattr(config(**{name: True}), name) is True
    with pytest.raises(ConfigurationError, match=f"^{name} must be one of True, False; got "):
        config(**{name: value})


@pytest.mark.parametrize(
    ("name", "words"),
    [("spool_full", ["drop_oldest", "drop_newest"]), ("durability", ["process", "disk"])],
)
def test_a_choice_is_one_of_its_words(name: str, words: list[str]) -> None:
    assert [getattr(config(**{name: word}), name) for word in words] == words
    for wrong in ("drop", "", None, 1, True, [words[0]]):
        with pytest.raises(ConfigurationError, match=rf"^{name} must be one of '{words[0]}', "):
            config(**{name: wrong})


@pytest.mark.parametrize("value", ["../x", "", "processed", "a b", None, 5])
def test_a_bad_project_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^project_id must be .*; got "):
        config(project_id=value)


@pytest.mark.parametrize("value", ["/a", "../a", "a/../b", "a\\b", None, 5, Path("a")])
def test_a_base_path_outside_the_store_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_path must be .*; got "):
        config(base_path=value)


def test_a_base_path_loses_the_slash_at_its_end() -> None:
    assert config(base_path="team/prod/").base_path == "team/prod"


def test_a_project_from_an_enum_is_its_value() -> None:
    class Project(StrEnum):
        WEB = "web"

    assert type(config(project_id=Project.WEB).project_id) is str


@pytest.mark.parametrize("value", ["", None, 5, b"/tmp/x", object(), LocalStorage, ["/tmp/x"]])
def test_a_store_is_a_path_a_url_or_a_storage(value: Any) -> None:
    for good in ("/tmp/x", "s3://b/p", LocalStorage("/tmp/x")):
        assert config(file_storage=good).file_storage is good
    assert config(file_storage=Path("x")) == config(file_storage="x")
    with pytest.raises(
        ConfigurationError, match=r"^file_storage must be a path, a URL or .*; got "
    ):
        config(file_storage=value)


@pytest.mark.parametrize("value", ["", 5, b"/tmp", LocalStorage("/tmp"), "s3://b/x"], ids=repr)
def test_a_spool_lies_in_a_local_directory(value: Any) -> None:
    assert config(spool_dir=Path("/tmp/s")).spool_dir == Path("/tmp/s")
    with pytest.raises(ConfigurationError, match=r"^spool_dir must be a local folder; got "):
        config(spool_dir=value)


@pytest.mark.parametrize("value", [lambda name: name, "yes", 1, None])
def test_a_rule_of_ones_own_takes_a_name_and_a_value(value: Any) -> None:
    for good in (True, False, lambda name, value: value, lambda *both: 0, dict.get, str):
        assert config(redact=good).redact is good
    with pytest.raises(ConfigurationError, match=r"redact must be .* a name and a value; got"):
        config(redact=value)


@pytest.mark.parametrize("value", [2775, 640, 775, 0o77, 0o10755, -1, "0o775", 6.0], ids=repr)
def test_permissions_are_octal_and_let_their_owner_read_and_write(value: Any) -> None:
    assert config(dir_mode=0o2775, file_mode=0o640).file_mode == 0o640
    with pytest.raises(ConfigurationError, match="dir_mode must be permissions such as 0o775"):
        config(dir_mode=value)


def test_a_wrong_option_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        config(batch_size="5")


def test_options_cannot_be_changed_afterwards() -> None:
    made: Any = config()
    with pytest.raises(AttributeError):
        made.batch_size = 5


# --- where options come from ----------------------------------------------------------------

VARIABLES: dict[str, tuple[str, Any]] = {
    "file_storage": ("s3://bucket/x", "s3://bucket/x"),
    "project_id": ("shop", "shop"),
    "batch_size": ("5", 5),
    "flush_interval_ms": ("0", 0),
    "max_file_size": ("1000", 1000),
    "base_path": ("a/b", "a/b"),
    "debug": ("yes", True),
    "disabled": ("1", True),
    "max_event_size": ("2048", 2048),
    "spool_dir": ("/tmp/spool", "/tmp/spool"),
    "max_spool_bytes": ("4096", 4096),
    "spool_full": ("drop_newest", "drop_newest"),
    "durability": ("disk", "disk"),
    "retry_initial_ms": ("7", 7),
    "retry_max_ms": ("8", 8),
    "shutdown_timeout_ms": ("9", 9),
    "sample_rate": ("0.25", 0.25),
    "sample_errors": ("on", True),
    "redact": ("off", False),
    "dir_mode": ("2775", 0o2775),
    "file_mode": ("0o664", 0o664),
}


def test_every_option_has_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(VARIABLES) == set(OPTIONS)
    for name, (text, _) in VARIABLES.items():
        monkeypatch.setenv(f"OBSWRITER_{name.upper()}", text)
    made = resolve({})
    assert {name: getattr(made, name) for name in OPTIONS} == {
        name: value for name, (_, value) in VARIABLES.items()
    }


@pytest.mark.parametrize("name", ["debug", "disabled", "sample_errors"])
def test_switches_have_the_usual_words(name: str) -> None:
    variable = f"OBSWRITER_{name.upper()}"
    for word in ("1", "true", "YES", " on "):
        assert from_environment({variable: word}) == {name: True}
    for word in ("0", "False", "no", "off"):
        assert from_environment({variable: word}) == {name: False}
    with pytest.raises(ConfigurationError, match=f"^{variable} must be 1, true, .*; got 'maybe'$"):
        from_environment({variable: "maybe"})


@pytest.mark.parametrize("name", MINIMA)
def test_a_variable_that_is_no_integer_is_named(name: str) -> None:
    variable = f"OBSWRITER_{name.upper()}"
    for text in ("five", "5.0", "nan", "1e3"):
        with pytest.raises(
            ConfigurationError, match=f"^{variable} must be an integer; got '{text}'"
        ):
            from_environment({variable: text})


def test_an_empty_variable_counts_as_unset() -> None:
    assert from_environment({f"OBSWRITER_{name.upper()}": "" for name in OPTIONS}) == {}


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("OBSWRITER_FILE_STORGE", "file_storage"),
        ("OBSWRITER_DISABLE", "disabled"),
        ("OBSWRITER_FLUSH_INTERVAL", "flush_interval_ms"),
    ],
)
def test_a_misspelled_variable_is_warned_about(variable: str, meant: str) -> None:
    said = rf"^{variable} is no option of obswriter \(did you mean '{meant}'\?\)$"
    with pytest.warns(UserWarning, match=said):
        assert from_environment({variable: "1", "OBSWRITER_BATCH_SIZE": "2"}) == {"batch_size": 2}


def test_a_variable_of_somebody_elses_is_not(recwarn: pytest.WarningsRecorder) -> None:
    """Kubernetes sets some for a service that is called obswriter."""
    others = ("OBSWRITER_PORT_80_TCP", "OBSWRITER_SERVICE_HOST", "OBSWRITER", "BATCHSIZE")
    assert from_environment(dict.fromkeys(others, "1")) == {}
    assert recwarn.list == []


def test_a_variable_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "0")
    with pytest.raises(ConfigurationError, match="batch_size must be an integer of at least 1"):
        resolve(NEEDED)


def test_arguments_come_before_variables_before_settings_before_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "2")
    monkeypatch.setenv("OBSWRITER_RETRY_MAX_MS", "2")
    names = ("batch_size", "retry_max_ms", "max_file_size", "retry_initial_ms")
    made = resolve(
        {**NEEDED, "batch_size": 1},
        {"BATCH_SIZE": 3, "RETRY_MAX_MS": 3, "max_file_size": 3},
        dict.fromkeys(names, 4),
    )
    assert [getattr(made, name) for name in names] == [1, 2, 3, 4]


@pytest.mark.parametrize("settings", [{"BATCH_SIZE": 7}, {"batch_size": 7}, {"Batch_Size": 7}])
def test_settings_may_be_in_capitals_or_not(settings: dict[str, Any]) -> None:
    assert resolve(NEEDED, settings).batch_size == 7


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("batchsize", "batch_size"),
        ("flush_interval", "flush_interval_ms"),
        ("storage", "file_storage"),
    ],
)
def test_an_unknown_option_is_refused_and_the_nearest_named(name: str, nearest: str) -> None:
    pattern = rf"unknown option '{name}' \(did you mean '{nearest}'\?\)"
    with pytest.raises(ConfigurationError, match=pattern):
        resolve({**NEEDED, name: 1})
    with pytest.raises(ConfigurationError, match=pattern):
        resolve(NEEDED, {name.upper(): 1})


@pytest.mark.parametrize("name", ["file_storage", "project_id"])
def test_what_is_required_says_how_to_give_it(name: str) -> None:
    others = {key: value for key, value in NEEDED.items() if key != name}
    with pytest.raises(
        ConfigurationError,
        match=rf"{name} is required: pass {name}=… or set OBSWRITER_{name.upper()}",
    ):
        resolve(others)


def test_the_bounds_that_are_promised() -> None:
    made = config()
    assert made.shutdown_timeout_ms == 5000
    assert (made.max_spool_bytes, made.spool_full) == (512 * 1024 * 1024, "drop_oldest")
    assert (made.durability, made.redact) == ("process", True)
