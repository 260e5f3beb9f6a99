"""The public names of ``obswriter``, which has them on first use."""

from .batcher import EventBatcher
from .config import ObservabilityWriterConfig
from .events import Event, Log, Metric, Score, Span, SpanEvent, Trace
from .exceptions import (
    AlreadyConfiguredError,
    ConfigurationError,
    ObswriterError,
    StorageError,
    WriterShutdownError,
)
from .file_naming import (
    ParsedPath,
    generate_directory_path,
    generate_file_path,
    get_processed_file_path,
    is_pending_file,
    parse_file_path,
)
from .fsspec_storage import FsspecStorage
from .process import configure, flush, get_writer, shutdown
from .propagation import SpanContext
from .results import FlushError, FlushResult, WriterStats
from .serializer import estimate_event_size, parse_jsonl, serialize_event, serialize_events
from .spans import LiveSpan, LiveTrace
from .storage import FileInfo, FileStorage, LocalStorage
from .tracing import current_span, log, metric, observe, score, span, trace
from .writer import ObservabilityWriter

__all__ = [
    "AlreadyConfiguredError",
    "ConfigurationError",
    "Event",
    "EventBatcher",
    "FileInfo",
    "FileStorage",
    "FlushError",
    "FlushResult",
    "FsspecStorage",
    "LiveSpan",
    "LiveTrace",
    "LocalStorage",
    "Log",
    "Metric",
    "ObservabilityWriter",
    "ObservabilityWriterConfig",
    "ObswriterError",
    "ParsedPath",
    "Score",
    "Span",
    "SpanContext",
    "SpanEvent",
    "StorageError",
    "Trace",
    "WriterShutdownError",
    "WriterStats",
    "configure",
    "current_span",
    "estimate_event_size",
    "flush",
    "generate_directory_path",
    "generate_file_path",
    "get_processed_file_path",
    "get_writer",
    "is_pending_file",
    "log",
    "metric",
    "observe",
    "parse_file_path",
    "parse_jsonl",
    "score",
    "serialize_event",
    "serialize_events",
    "shutdown",
    "span",
    "trace",
]
