"""The writer's options: from arguments, ``OBSWRITER_*`` variables and a framework's settings."""

import inspect
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Self, get_args

from .exceptions import ConfigurationError
from .file_naming import BASE_PATH, check_base_path
from .redaction import Redact
from .serializer import MAX_EVENT_SIZE
from .storage import FileStorage
from .vocabulary import check_project_id, nearest

MIB: Final = 1024 * 1024
MOST: Final = 10**12  # as milliseconds, some 30 years: what a wait can last

Options = Mapping[str, Any]
Durability = Literal["process", "disk"]
SpoolFull = Literal["drop_oldest", "drop_newest"]


@dataclass(frozen=True, kw_only=True)
class ObservabilityWriterConfig:
    """The options of one writer. Sizes are bytes, durations end in their unit.

    ``file_storage``: a path, a URL (``s3://…``, ``gs://…``, any fsspec URL) or a ``FileStorage``.
    ``project_id``: the project of events that name none.
    ``batch_size``: events of one type before their file is closed.
    ``flush_interval_ms``: longest wait before a file is closed; 0 turns the timer off.
    ``max_file_size``: bytes before a file is closed.
    ``max_event_size``: an event over it has its largest values cut.
    ``base_path``: folder in the store, below which everything lies.
    ``spool_dir``: local directory of open files; by default in the store, if that is a local disk.
    ``max_spool_bytes``: bound of what waits to be stored; at it, ``spool_full`` says what goes.
    ``durability``: ``process`` outlives the process; ``disk`` also fsyncs each file: power loss.
    ``retry_initial_ms``, ``retry_max_ms``: the backoff between attempts at a store that fails.
    ``shutdown_timeout_ms``: longest wait of an interpreter that exits.
    ``sample_rate``: share of the traces whose spans are recorded, the same ones in every service;
    below 1, a caller's sampled flag decides for its traces. Logs and metrics are always recorded.
    ``sample_errors``: of the other traces, record the spans that end with an error.
    ``redact``: take out what is named like a secret; a callable is also asked about all else, with
    a name and its value, and returns the value to record.
    ``dir_mode``, ``file_mode``: permissions of what is made in a local store (0o2775, say, where
    several users share it); by default the umask decides.
    ``debug``: log what the writer does. ``disabled``: record nothing.

    Raises ``ConfigurationError``, a ``ValueError``, for a value that cannot work.
    """

    file_storage: str | os.PathLike[str] | FileStorage = field(repr=False)  # it may hold a password
    project_id: str
    batch_size: int = 1000
    flush_interval_ms: int = 5000
    max_file_size: int = 10 * MIB
    base_path: str = BASE_PATH
    debug: bool = False
    disabled: bool = False
    max_event_size: int = MAX_EVENT_SIZE
    spool_dir: str | os.PathLike[str] | None = None
    max_spool_bytes: int = 512 * MIB
    spool_full: SpoolFull = "drop_oldest"
    durability: Durability = "process"
    retry_initial_ms: int = 500
    retry_max_ms: int = 30_000
    shutdown_timeout_ms: int = 5000
    sample_rate: float = 1.0
    sample_errors: bool = False
    redact: bool | Redact = True
    dir_mode: int | None = None
    file_mode: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.file_storage, os.PathLike):  # alike, however the path is written
            object.__setattr__(self, "file_storage", os.fspath(self.file_storage))
        for name, (wanted, is_good) in _RULES.items():
            if not is_good(value := getattr(self, name)):
                raise ConfigurationError(f"{name} must be {wanted}; got {value!r}")
        for name, check in (("project_id", check_project_id), ("base_path", check_base_path)):
            try:
                object.__setattr__(self, name, check(getattr(self, name)))
            except ValueError as error:
                raise ConfigurationError(str(error)) from None

    @classmethod
    def resolve(cls, options: Options, settings: Options | None = None) -> Self:
        """Combine *options* before ``OBSWRITER_*`` variables before *settings*.

        *settings* have the options' names, in capitals or not. An unknown name, or a missing
        ``file_storage`` or ``project_id``, is a ``ConfigurationError``.
        """
        lower = {str(name).lower(): value for name, value in (settings or {}).items()}
        merged = {**lower, **from_environment(), **options}
        for name in merged:
            if name not in OPTIONS:
                raise ConfigurationError(f"unknown option {name!r}{nearest(name, OPTIONS)}")
        for name in ("file_storage", "project_id"):
            if name not in merged:
                remedy = f"pass {name}=… or set OBSWRITER_{name.upper()}"
                raise ConfigurationError(f"{name} is required: {remedy}")
        return cls(**merged)


OPTIONS: Final = {option.name: option for option in fields(ObservabilityWriterConfig)}

_Rule = tuple[str, Callable[[Any], bool]]


def _at_least(minimum: int) -> _Rule:
    wanted = f"an integer of at least {minimum} and at most {MOST}"
    return wanted, lambda value: type(value) is int and minimum <= value <= MOST


def _one_of(*choices: object) -> _Rule:
    wanted = f"one of {', '.join(map(repr, choices))}"
    return wanted, lambda value: type(value) is type(choices[0]) and value in choices


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike) and value != ""


def _is_store(value: object) -> bool:
    return _is_path(value) or (isinstance(value, FileStorage) and not isinstance(value, type))


def _is_redact(value: object) -> bool:
    if not callable(value):
        return type(value) is bool
    try:
        inspect.signature(value).bind("name", "value")
    except (TypeError, ValueError) as error:
        return isinstance(error, ValueError)  # it does not say what it takes
    return True


_MODE: _Rule = (
    "permissions such as 0o775 (in a variable: 775), the owner's to read and write among them",
    lambda value: value is None or (type(value) is int and value & ~0o7177 == 0o600),
)
_SIZES = ("batch_size", "max_file_size", "max_spool_bytes", "retry_initial_ms", "retry_max_ms")
_RULES: Final[dict[str, _Rule]] = {
    "file_storage": ("a path, a URL or an object with FileStorage's methods", _is_store),
    "spool_dir": ("a local folder", lambda v: v is None or (_is_path(v) and "://" not in f"{v}")),
    **dict.fromkeys(_SIZES, _at_least(1)),
    **dict.fromkeys(("flush_interval_ms", "shutdown_timeout_ms"), _at_least(0)),
    "max_event_size": _at_least(1024),
    "sample_rate": ("a number from 0 to 1", lambda v: type(v) in (int, float) and 0 <= v <= 1),
    **dict.fromkeys(("debug", "disabled", "sample_errors"), _one_of(True, False)),
    **dict.fromkeys(("dir_mode", "file_mode"), _MODE),
    "redact": ("True, False or a callable that takes a name and a value", _is_redact),
    "spool_full": _one_of(*get_args(SpoolFull)),
    "durability": _one_of(*get_args(Durability)),
}


def from_environment(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the options that ``OBSWRITER_*`` variables set; errors name a bad one."""
    found: dict[str, Any] = {}
    ours = {v.removeprefix("OBSWRITER_").lower(): v for v in environ if v.startswith("OBSWRITER_")}
    for name, variable in ours.items():
        if name in OPTIONS:
            if text := environ[variable]:
                found[name] = _from_text(variable, text, OPTIONS[name].default)
        elif near := nearest(name, OPTIONS):
            warnings.warn(f"{variable} is no option of obswriter{near}", stacklevel=2)
    return found


def _from_text(variable: str, text: str, default: object) -> Any:
    wanted, read = _FROM_TEXT.get(type(default), ("a text", str))
    if variable.endswith("_MODE"):
        wanted, read = _MODE[0], lambda text: int(text, 8)
    try:
        return read(text)
    except (ValueError, KeyError):
        raise ConfigurationError(f"{variable} must be {wanted}; got {text!r}") from None


_SWITCH = dict(zip("1 true yes on 0 false no off".split(), [True] * 4 + [False] * 4, strict=True))
_FROM_TEXT: Final[dict[type, tuple[str, Callable[[str], Any]]]] = {
    bool: ("1, true, yes, on, 0, false, no or off", lambda text: _SWITCH[text.strip().lower()]),
    int: ("an integer", int),
    float: ("a number", float),
}
