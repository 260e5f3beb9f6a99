"""Carries closed segments to the store, in order, until it has them: the background thread.

It is not needed for durability: where no thread can run (any more), the rounds are made in line.
"""

import math
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .backoff import Backoff
from .exceptions import StorageError
from .file_naming import generate_file_name, generate_file_path
from .interruption import pass_on_interruption, tolerated
from .lifecycle import is_left_behind, signals_left_to_others
from .repair import repair
from .results import FlushResult, result_of
from .segment import MappedSegment, Segment, State
from .spool import Spool, send
from .storage import destination_of, storing
from .vocabulary import EventType
from .warner import Warner, logger

if TYPE_CHECKING:
    from .batcher import EventBatcher

MEMORY_LIMIT = 32 * 1024 * 1024  # bytes that may wait in memory where there is no spool
MORE_SECONDS = 1.0  # how long whoever stores in line goes on for others
UNSEALED_LIMIT = 4  # closed segments that may stay mapped; whoever closes one more, seals one


class Carrier:
    """Seals and sends what the batcher closes.

    ``lock`` is the batcher's, too, for the queue and the counts. I/O is done in it only where a
    bound is reached: a segment too many is mapped, or too many bytes wait.
    """

    def __init__(self, source: "EventBatcher") -> None:
        self.config = source.config
        self.storage = source.storage
        # Reentrant: a signal handler or finaliser may record in the middle of add().
        self.lock: Any = threading.RLock()
        self.written: Counter[EventType] = Counter()
        self.dropped: Counter[tuple[EventType, str]] = Counter()  # by type and reason
        self.reported: Counter[tuple[EventType, str]] = Counter()  # those that the files tell of
        self.queue: deque[Segment] = deque()
        warner = Warner()
        self.warn, self.say = warner.warn, warner.say
        self.spool = Spool(self.config, self.storage, self.warn)
        self.files_written = 0
        self.last_flush_at: datetime | None = None
        self._source = source
        self._memory_limit = min(MEMORY_LIMIT, self.config.max_spool_bytes)
        self._tickets: deque[threading.Event] = deque()  # set when all have had their turn
        self._round_lock: Any = threading.RLock()
        self._wake_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.inline = self.stopping = False
        self.backoff = Backoff(self.config)

    def new_segment(self, type: EventType, project_id: str) -> Segment:
        """Create an empty segment: mapped if the disk allows, else in memory."""
        try:
            folder = self.spool.folder(type, project_id)
            return MappedSegment(type, project_id, self.config.max_file_size, folder)
        except Exception as error:
            pass_on_interruption(error)
            return self.new_in_memory(type, project_id, error)

    def new_in_memory(self, type: EventType, project_id: str, error: object = None) -> Segment:
        """Create an empty segment in memory, since the disk has no room, or for *error*."""
        self.warn("events are kept in memory, and lost if the process is killed", error)
        size = min(self.config.max_file_size, self._memory_limit // 64)
        return Segment(type, project_id, size)

    def count_dropped(self, type: EventType, reason: str, detail: object) -> None:
        """Count an event that is not recorded, and why; the thread tells of it."""
        if detail is not None:
            self.warn(f"a {type} was dropped ({reason})", detail)
        with self.lock:
            self.dropped[type, reason] += 1
            if self._thread is None:
                self.wake()

    def take(self, segment: Segment) -> None:
        """Look after a segment that was just queued. Within its bounds the queue never refuses."""
        self._shed(type(segment))
        # A copy: whoever interrupts us to record may close one more.
        unsealed = [s for s in self.queue.copy() if s.state == "closed"]
        if len(unsealed) > UNSEALED_LIMIT:
            self._seal(unsealed[0])
        self.wake()

    def _shed(self, kind: type[Segment]) -> None:
        """Drop what is beyond the bound of what may wait."""
        kin = [segment for segment in self.queue.copy() if type(segment) is kind]
        limit = self._memory_limit if kind is Segment else self.config.max_spool_bytes
        excess = sum(segment.size for segment in kin) - limit
        if self.config.spool_full == "drop_newest":
            # Not the notes of drops, else they would be dropped as often as they are written.
            kin = [segment for segment in kin[-1:] if not segment.notes]
        self.drop(kin, "spool_full", excess)

    def drop(self, segments: Iterable[Segment], reason: str, excess: float = math.inf) -> None:
        """Drop what waits of *segments*, until *excess* bytes are gone."""
        for segment in segments:
            if excess > 0 and segment.state in ("closed", "sealed"):
                excess -= segment.size
                self.queue.remove(segment)
                segment.state = "dropped"
                self.dropped[segment.type, reason] += segment.count
                self.reported -= segment.notes  # to be said once more
                segment.discard()

    def wake(self) -> None:
        """Have the thread make a round now; where none can run, go on in line. Never waits."""
        # In line for want of a thread, that is, and not because the process ends.
        again = not self.inline or threading.main_thread().is_alive()
        if self._thread is None and again and not self.stopping:
            self._thread = threading.Thread(target=self._run, name="obswriter", daemon=True)
            try:
                with signals_left_to_others():
                    self._thread.start()
                self.inline = False
            except RuntimeError:  # there are too many, or the interpreter is on its way out
                self._thread, self.inline = None, True
        with suppress(RuntimeError):
            self._wake_lock.release()

    def _run(self) -> None:
        while not self.stopping and not is_left_behind():
            self._wake_lock.acquire(timeout=max(0.001, self.round()))
        if not self.stopping:
            self._tickets.append(threading.Event())
            self.round()  # the last one: nobody comes to the end of this process's Python
        self._source.finish()
        self._thread = None  # first: who asks for a flush from now on, makes it himself
        for ticket in self._tickets.copy():
            ticket.set()

    def round(self, timeout: float = -1, longest: float = MORE_SECONDS) -> float:
        """Close what is due, seal, send, adopt; return the seconds until the next is needed."""
        wait, end = self._one_round(timeout), time.monotonic() + longest
        while self.inline and self.queue and not self.backoff.failures and wait is not None:
            if time.monotonic() > end:  # they record as fast as we store
                break
            wait = self._one_round(0)  # for whoever closed a segment and found us at work
        return 1.0 if wait is None else wait

    def _one_round(self, timeout: float) -> float | None:
        if self._round_lock._is_owned():
            return None
        tickets: list[threading.Event] = []
        try:
            if not self._round_lock.acquire(timeout=timeout):
                return None
            tickets += [self._tickets.popleft() for _ in range(len(self._tickets))]
            with storing():
                return self._make_round(forced=bool(tickets))
        except BaseException as error:  # never the end of the thread
            self.warn("a round failed and is made again", self._own(error))
            return 1.0
        finally:
            if self._round_lock._is_owned():
                self._round_lock.release()  # first: a signal handler may raise at any call
            for ticket in tickets:
                ticket.set()
            self.say()

    def _make_round(self, forced: bool) -> float:
        wait = self._source.prepare(forced)
        closed = self.queue.copy()
        for segment in closed:
            self._seal(segment)
        now = time.monotonic()
        if forced or now >= self.backoff.retry_at:
            self._send_all(closed)
        wait = min(wait, self.spool.look_after())
        return min(wait, self.backoff.retry_at - now) if self.queue else wait

    def _seal(self, segment: Segment) -> None:
        ours = False
        try:
            with self.lock:  # every append to it is over once we are in here
                if segment.state != "closed":
                    return
                segment.state, ours = "busy", True
            if isinstance(segment, MappedSegment):
                self.spool.seal(segment)
            segment.state = "sealed"
        except BaseException as error:  # it is sent as it is, and _send_all() backs off for all
            if ours:
                segment.state = "closed"  # first: the stack may have no room for a call
                segment.keep_name()
            segment.error = self._own(error)

    def _send_all(self, segments: deque[Segment]) -> None:
        """Send what is sealed. Order within a type: what follows one that waits, waits."""
        behind: dict[EventType, Exception | None] = {}
        for segment in segments:
            if segment.type in behind:
                segment.error = behind[segment.type]
            elif not self._send(segment):
                behind[segment.type] = segment.error
        if errors := [error for error in behind.values() if error is not None]:
            self.backoff.fail()
            self.warn(f"{destination_of(self.storage)} refused a file, which waits", errors[0])
        else:
            self.backoff.succeed()

    def _send(self, segment: Segment) -> bool:
        type, project_id, name = segment.type, segment.project_id, segment.file_name
        path = generate_file_path(type, project_id, self.config.base_path, name)
        before: State | None = None
        try:
            with self.lock:
                # Closed still: the disk does not let us seal it.
                if segment.state not in ("sealed", "closed"):
                    return segment.state != "busy"  # stored or dropped meanwhile
                before, segment.state = segment.state, "busy"
            send(segment, self.storage, path)
            self._count_stored(segment)
        except BaseException as error:
            segment.state = before or segment.state
            segment.error = self._own(error)
            return self._is_gone(segment, path)
        return True

    def _own(self, error: BaseException) -> Exception:
        """Return what went wrong; raise it for the thread's user, unless that is our own thread."""
        pass_on_interruption(error)
        if isinstance(error, Exception):
            return error
        if threading.current_thread() is not self._thread:
            raise error
        return StorageError(repair(error))  # a task cancelled within the store, a panic of Rust

    def _count_stored(self, segment: Segment) -> None:
        with self.lock:
            self.queue.remove(segment)
            segment.state = "stored"
            self.written[segment.type] += segment.count
            self.files_written += 1
            self.last_flush_at = datetime.now(UTC)
        segment.discard()  # last: until it is counted it may have to be sent again
        if self.config.debug:
            logger.debug("obswriter: stored %s (%d)", segment.file_name, segment.count)

    def _is_gone(self, segment: Segment, path: str) -> bool:
        """After a failure: whether nothing is to be sent any more, stored after all, or deleted."""
        with tolerated():
            if isinstance(segment, MappedSegment) and segment.is_gone():
                if self.storage.exists(path):
                    self._count_stored(segment)
                else:
                    with self.lock:
                        self.drop([segment], "spool_deleted")
                return True
            if isinstance(segment.error, FileExistsError):  # or something else is in the way
                if self.storage.read(path) == segment.read():
                    self._count_stored(segment)
                    return True
                segment.file_name = generate_file_name()  # a different file has our name
        return False

    def flush(self, open_segments: list[Segment], timeout: float | None) -> FlushResult:
        """Wait until everything closed so far, and *open_segments*, had its turn at the store."""
        segments = list(dict.fromkeys([*open_segments, *self.queue.copy()]))
        if not segments and not self.spool.taken_over and self.dropped == self.reported:
            return FlushResult()
        if self.stopping and not self.inline and self._thread is None:
            return result_of(segments)  # what is left is for the next process
        ticket = threading.Event()
        self._tickets.append(ticket)
        if (thread := self._thread) is None or not thread.is_alive() or sys.is_finalizing():
            longest = MORE_SECONDS if timeout is None else min(timeout, MORE_SECONDS)
            self.round(-1 if timeout is None else timeout, longest)
        else:
            self.wake()  # and whoever we interrupted in the middle of recording has to go on first
            if not (self.lock._is_owned() or self._round_lock._is_owned()):
                ticket.wait(timeout)
        return result_of(segments)

    def stop(self, timeout: float | None) -> None:
        """End the thread; one that hangs in the store is left behind and ends with its call."""
        self.stopping, thread = True, self._thread
        if thread is None or not thread.is_alive():
            self._source.finish()
        elif thread is not threading.current_thread():
            self.wake()
            thread.join(timeout)
