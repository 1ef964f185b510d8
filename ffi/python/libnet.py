# SPDX-License-Identifier: Apache-2.0 OR MIT
"""libnet in Python 3.8 and later: one file without dependencies, over ctypes.

    with libnet.Bus({"num_shards": 1}) as bus:
        bus.publish('{"order":7}')
        bus.flush()
        for page in bus.pages():
            for event in page:
                print(event.raw)

The library is the file that LIBNET_LIBRARY names, or else `libnet.so.100` where the loader finds it. net.h has what holds for every
call; what differs here:

- Errors are exceptions: NetError with `code` and `detail`, and its subclasses Full and ShutDown.
- Everything that is given is copied: an event is bytes that nobody takes back.
- Text may be str or bytes. Times to wait are seconds, and None is without an end.
- A loop over a subscription may be left and begun again: what was taken and not given yet comes first.
- Every call lets other threads of the interpreter run, also the shortest. So batches are what is fast.
- A bus that nobody has shut down is shut down when it is collected, or when the interpreter exits.
- A thread that waits in a subscription looks up ten times a second, so that Ctrl-C and close() end the wait.
- Claims and producers are not here: an event is copied out of the interpreter once either way, and its threads hop nowhere.
"""
from __future__ import annotations

import asyncio
import collections
import ctypes
import dataclasses
import enum
import json
import math
import os
import struct
import threading
import weakref
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint16, c_uint64, c_void_p
from typing import Any, AsyncIterator, Callable, Deque, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Type, Union

__all__ = ["BatchResult", "Bus", "Code", "Event", "Full", "NetError", "Page", "Receipt", "ShutDown", "Subscription", "version"]

Text = Union[str, bytes]


class Code(enum.IntEnum):
    """What net.h calls net_error_t, without NET_ERR_."""

    NULL_POINTER = -1
    INVALID_UTF8 = -2
    INVALID_JSON = -3
    INIT_FAILED = -4
    INGESTION_FAILED = -5
    POLL_FAILED = -6
    BUFFER_TOO_SMALL = -7
    SHUTTING_DOWN = -8
    INT_OVERFLOW = -9
    MISMATCHED_HANDLES = -10
    INTERIOR_NUL = -11
    INVALID_ARGUMENT = -12
    TIMEOUT = -13
    UNSUPPORTED = -14
    FORKED = -15
    PANIC = -16
    NO_IO_URING = -17
    INVALID_CONFIG = -18
    ADAPTER = -19
    TOO_LARGE = -20
    UNKNOWN = -99
    REDEX = -103


class NetError(Exception):
    """A call has failed."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        #: One of Code; a plain number if the library is newer than this file.
        self.code = code
        #: What net_last_error has said.
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.code!r})"


class Full(NetError):
    """There was no room, so the event was not accepted: try again."""


class ShutDown(NetError):
    """The bus is shut down, or about to be."""


class Event(NamedTuple):
    """An event as it was stored."""

    id: str
    raw: bytes
    #: Nanoseconds since the Unix epoch.
    insertion_ts: int
    shard_id: int


class Receipt(NamedTuple):
    """What a publisher is told about an accepted event."""

    shard_id: int
    timestamp: int


class BatchResult(NamedTuple):
    """What became of a batch."""

    #: How many events were accepted.
    accepted: int
    #: Indices of the events that were not accepted, which rise: invalid ones, and all from the first that found no room.
    failed: List[int]


@dataclasses.dataclass(frozen=True)
class Page:
    """What a poll has found: iterable, with a length."""

    events: List[Event]
    #: Where to poll next; None if nothing was ever examined.
    cursor: Optional[str]
    has_more: bool

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


class _Event(ctypes.Structure):
    _fields_ = [("id", c_void_p), ("id_len", c_size_t), ("raw", c_void_p), ("raw_len", c_size_t),
                ("insertion_ts", c_uint64), ("shard_id", c_uint16)]


class _PollResult(ctypes.Structure):
    _fields_ = [("events", c_void_p), ("count", c_size_t), ("next_id", c_char_p), ("has_more", c_int)]


class _Receipt(ctypes.Structure):
    _fields_ = [("shard_id", c_uint16), ("timestamp", c_uint64)]


def _load() -> ctypes.CDLL:
    """The library, with the type of every function that is called here."""
    library = ctypes.CDLL(os.environ.get("LIBNET_LIBRARY") or "libnet.so.100")
    if library.net_abi_version() != _ABI_VERSION:
        raise ImportError(f"{library._name} has the interface {library.net_abi_version()}, not {_ABI_VERSION}")
    handle, text, size = c_void_p, c_char_p, c_size_t
    signatures: Dict[str, List[Any]] = {
        "net_init_ex": [text, POINTER(handle)],
        "net_shutdown_within": [handle, c_int, POINTER(c_uint64)],
        "net_shutdown": [handle],
        "net_flush": [handle],
        "net_ingest": [handle, text, size],
        "net_ingest_keyed": [handle, text, size, text, size, POINTER(_Receipt)],
        "net_ingest_raw_batch_ex": [handle, c_void_p, c_void_p, size, c_void_p, POINTER(size)],
        "net_poll": [handle, text, text, size],
        "net_poll_ex": [handle, size, text, POINTER(_PollResult)],
        "net_stats": [handle, text, size],
        "net_metrics": [handle, text, size],
        "net_subscribe": [handle, text, POINTER(handle)],
        "net_next": [handle, c_void_p, size, c_int],
        "net_subscription_fd": [handle],
        "net_subscription_cursor": [handle, text, size, POINTER(c_uint64)],
        "net_unsubscribe": [handle],
    }
    for name, arguments in signatures.items():
        if not hasattr(library, name):
            raise ImportError(f"{library._name} is older than this module: it has no {name}")
        getattr(library, name).argtypes = arguments
    library.net_num_shards.argtypes, library.net_num_shards.restype = [handle], c_uint16
    library.net_free_poll_result.argtypes, library.net_free_poll_result.restype = [POINTER(_PollResult)], None
    library.net_strerror.argtypes = [c_int]
    for name in ("net_strerror", "net_last_error", "net_version"):
        getattr(library, name).restype = c_char_p
    return library


_ABI_VERSION = 100
_SLICE_MS = 100
_CHUNK = 1024
_LAYOUT = struct.Struct("PNPNQH6x")
assert _LAYOUT.size == ctypes.sizeof(_Event)
_net = _load()


def version() -> str:
    """Version of the library."""
    return _string(_net.net_version())


def _string(text: Optional[bytes]) -> str:
    return (text or b"").decode("utf-8", "replace")


def _error(code: int, detail: Optional[str] = None) -> NetError:
    if detail is None:
        detail = _string(_net.net_last_error()) or _string(_net.net_strerror(code))
    try:
        code = Code(code)
    except ValueError:
        pass  # of a library that is newer than this file
    kinds: Dict[int, Type[NetError]] = {Code.INGESTION_FAILED: Full, Code.SHUTTING_DOWN: ShutDown}
    return kinds.get(code, NetError)(code, detail)


def _checked(code: int) -> int:
    if code < 0:
        raise _error(code)
    return code


def _bytes(text: Text) -> bytes:
    """With a length beside it: any bytes. ctypes would take what is no bytes at all for an address."""
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise TypeError(f"str or bytes, not {type(text).__name__}")


def _terminated(text: Text) -> bytes:
    """Without a length beside it: a NUL would end it early."""
    encoded = _bytes(text)
    if b"\0" in encoded:
        raise _error(Code.INTERIOR_NUL, "text has a NUL in it")
    return encoded


def _json(document: Union[Text, Mapping[str, Any]]) -> bytes:
    return _terminated(document if isinstance(document, (str, bytes)) else json.dumps(document))


def _milliseconds(seconds: float) -> int:
    return math.ceil(max(0, min(seconds * 1000, 2**31 - 1)))


def _written(write: Callable[[Any, int], int]) -> bytes:
    """The text that a function writes, in as much memory as it takes."""
    size = 4096
    while True:
        out = ctypes.create_string_buffer(size)
        count = write(out, size)
        if count != Code.BUFFER_TOO_SMALL:
            return out.raw[: _checked(count)]
        size *= 2


def _copied(events: Optional[int], count: int) -> List[Event]:
    """What lies at an address, as objects of the interpreter's own."""
    if count == 0 or events is None:
        return []
    copy = ctypes.string_at
    return [
        Event(copy(identity, identity_len).decode(), copy(raw, raw_len), stamp, shard)
        for identity, identity_len, raw, raw_len, stamp, shard in _LAYOUT.iter_unpack(copy(events, count * _LAYOUT.size))
    ]


class Bus:
    """A bus. Any thread may call anything at any time. Leaving `with` shuts it down, and raises if events were lost."""

    def __init__(self, config: Union[Text, Mapping[str, Any], None] = None) -> None:
        handle = c_void_p()
        _checked(_net.net_init_ex(None if config is None else _json(config), byref(handle)))
        self._handle = handle
        self._ends = weakref.finalize(self, _net.net_shutdown, handle)

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.shutdown()
        except ShutDown:
            pass

    def shutdown(self) -> None:
        """Stores what was accepted and ends the bus, within `shutdown_timeout_ms`. One that has ended raises ShutDown."""
        self._ends.detach()
        _checked(_net.net_shutdown(self._handle))

    def shutdown_within(self, seconds: float) -> int:
        """`shutdown` with a deadline of its own; returns how many events could not be stored."""
        self._ends.detach()
        not_stored = c_uint64()
        code = _net.net_shutdown_within(self._handle, _milliseconds(seconds), byref(not_stored))
        if code != Code.TIMEOUT:
            _checked(code)
        return not_stored.value

    @property
    def num_shards(self) -> int:
        """Number of shards, 0 when the bus has ended."""
        return int(_net.net_num_shards(self._handle))

    def publish(self, event: Text, key: Optional[Text] = None) -> Receipt:
        """One event, which is UTF-8; those of one thread under one key keep their order. Waits for room for `push_wait_us`."""
        text, routing, out = _bytes(event), None if key is None else _bytes(key), _Receipt()
        _checked(_net.net_ingest_keyed(self._handle, routing, len(routing or b""), text, len(text), byref(out)))
        return Receipt(out.shard_id, out.timestamp)

    def publish_keyed(self, key: Text, event: Text) -> Receipt:
        """`publish` with its key first."""
        return self.publish(event, key)

    def publish_json(self, event: Union[Text, Mapping[str, Any]]) -> None:
        """One event, which is a JSON document; a mapping becomes one."""
        text = _bytes(event if isinstance(event, (str, bytes)) else json.dumps(event))
        _checked(_net.net_ingest(self._handle, text, len(text)))

    def publish_batch(self, events: Iterable[Text]) -> BatchResult:
        """Many events with one call. Invalid ones are passed over; it ends at the first that finds no room."""
        texts = [event if type(event) is bytes else _bytes(event) for event in events]
        count = len(texts)
        pointers, lens = (c_char_p * count)(*texts), (c_size_t * count)(*map(len, texts))
        failed, failed_len = (c_size_t * count)(), c_size_t()
        accepted = _checked(
            _net.net_ingest_raw_batch_ex(self._handle, pointers, lens, count, failed, byref(failed_len))
        )
        return BatchResult(accepted, failed[: failed_len.value])

    def flush(self) -> None:
        """Waits until everything accepted before is stored."""
        _checked(_net.net_flush(self._handle))

    def poll(self, limit: int = _CHUNK, cursor: Optional[Text] = None) -> Page:
        """Up to `limit` events from a cursor on; None is the oldest."""
        if not 0 <= limit < 2**63:
            raise _error(Code.INVALID_ARGUMENT, f"a limit of {limit}")
        result = _PollResult()
        start = None if cursor is None else _terminated(cursor)
        _checked(_net.net_poll_ex(self._handle, limit, start, byref(result)))
        try:
            following = None if result.next_id is None else _string(result.next_id)
            return Page(_copied(result.events, result.count), following, result.has_more != 0)
        finally:
            _net.net_free_poll_result(byref(result))

    def pages(self, cursor: Optional[Text] = None, limit: int = _CHUNK) -> Iterator[Page]:
        """Every page from a cursor on, until there is nothing more to examine."""
        while True:
            page = self.poll(limit, cursor)
            yield page
            if not page.has_more:
                return
            cursor = page.cursor

    def poll_json(self, request: Union[Text, Mapping[str, Any], None] = None) -> Dict[str, Any]:
        """net_poll: a request with a filter or an order by time, and its answer."""
        wanted = _json(request or {})
        answer: Dict[str, Any] = json.loads(_written(lambda out, size: _net.net_poll(self._handle, wanted, out, size)))
        return answer

    def subscribe(self, from_: str = "now", **request: Any) -> Subscription:
        """From "now", "start" or a cursor on; `filter` and `shards` as in net_subscribe."""
        handle = c_void_p()
        _checked(_net.net_subscribe(self._handle, _json({"from": from_, **request}), byref(handle)))
        return Subscription(self, handle)

    def stats(self) -> Dict[str, Any]:
        """What net_stats says."""
        answer: Dict[str, Any] = json.loads(_written(lambda out, size: _net.net_stats(self._handle, out, size)))
        return answer

    def metrics(self) -> str:
        """What net_metrics says, for Prometheus."""
        return _written(lambda out, size: _net.net_metrics(self._handle, out, size)).decode()


class Subscription:
    """A cursor that the shards push into. `for` and `async for` give its events, and end with the bus.

    One thread at a time takes events, and another may close it meanwhile; while a task awaits events, that is for the thread of its
    event loop. Not to be made: Bus.subscribe does. It keeps its bus.
    """

    def __init__(self, bus: Bus, handle: c_void_p) -> None:
        self._bus, self._handle, self._pid = bus, handle, os.getpid()
        self._buffer, self._room = (_Event * _CHUNK)(), _CHUNK
        # Held while events are taken and copied: until then they must not be taken back. A signal's handler may come in between, on
        # the thread that holds it.
        self._taking = threading.RLock()
        self._is_taking = self._closed = False
        # Taken, and not given yet.
        self._left: Deque[Event] = collections.deque()
        self._waiting: Optional[asyncio.Future[None]] = None
        self._ends = weakref.finalize(self, _unsubscribe, handle, self._taking, self._pid)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self, limit: int = _CHUNK, timeout: Optional[float] = None) -> List[Event]:
        """Up to `limit` events, of one shard; none if none came in time. Raises ShutDown when the bus has ended and all were given."""
        left = -1 if timeout is None else _milliseconds(timeout)
        while True:
            wait = _SLICE_MS if left < 0 else min(left, _SLICE_MS)
            events = self._take(limit, wait)
            if left >= 0:
                left -= wait
            if events or left == 0:
                return events

    def _take(self, limit: int, wait: int) -> List[Event]:
        if limit < 1:
            raise _error(Code.INVALID_ARGUMENT, f"a limit of {limit}")
        self._check_process()
        if not self._taking.acquire(blocking=False):
            raise _error(Code.INVALID_ARGUMENT, "another thread takes events, or closes")
        try:
            if self._is_taking:
                raise _error(Code.INVALID_ARGUMENT, "a signal came while events were taken")
            if self._closed:
                raise _error(Code.INVALID_ARGUMENT, "the subscription is closed")
            if self._left:
                return [self._left.popleft() for _ in range(min(limit, len(self._left)))]
            self._is_taking = True
            try:
                count = _checked(_net.net_next(self._handle, self._buffer, min(limit, self._room), wait))
                return _copied(ctypes.addressof(self._buffer), count)
            finally:
                self._is_taking = False
        finally:
            self._taking.release()
            # Not from a signal's handler that has come in between.
            if self._closed and not self._is_taking:
                self._ends()

    def _check_process(self) -> None:
        # A lock that was held at a fork is held for ever in the child.
        if os.getpid() != self._pid:
            raise _error(Code.FORKED, "the process is a fork of the one that subscribed")

    def __iter__(self) -> Iterator[Event]:
        while True:
            try:
                self._left.extend(self.next())
            except ShutDown:
                return
            while self._left:
                yield self._left.popleft()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            try:
                self._left.extend(self._take(_CHUNK, 0))
            except ShutDown:
                return
            has_taken = bool(self._left)
            while self._left:
                yield self._left.popleft()
            if has_taken:
                await asyncio.sleep(0)  # the loop has others to serve
            else:
                await self._readable()

    async def _readable(self) -> None:
        """The loop watches the descriptor for as long as this waits, however it ends."""
        if self._waiting is not None:
            raise _error(Code.INVALID_ARGUMENT, "another task awaits events")
        loop, descriptor = asyncio.get_running_loop(), self.fileno()
        self._waiting = loop.create_future()
        loop.add_reader(descriptor, _wake, self._waiting)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if not self._closed:
                loop.remove_reader(descriptor)

    def fileno(self) -> int:
        """Readable when there may be events, for any event loop, once next(timeout=0) has given none. To be taken out of it before close()."""
        return _checked(_net.net_subscription_fd(self._handle))

    def cursor(self) -> str:
        """Where to go on: behind everything that was taken. `for` and `async for` take chunks, so ask between two next() instead."""
        return self._position()[0]

    def skipped(self) -> int:
        """How many events retention has removed before they were given, since this was asked last."""
        return self._position(c_uint64())[1]

    def _position(self, skipped: Optional[c_uint64] = None) -> "tuple[str, int]":
        out = None if skipped is None else byref(skipped)
        text = _written(lambda into, size: _net.net_subscription_cursor(self._handle, into, size, out))
        return _string(text), 0 if skipped is None else skipped.value

    def close(self) -> None:
        """Ends it. Who waits for its events is told that it is closed."""
        self._check_process()
        if self._waiting is not None:
            loop = self._waiting.get_loop()
            if asyncio._get_running_loop() is not loop:
                raise _error(Code.INVALID_ARGUMENT, "a task awaits events: close it in its event loop")
            loop.remove_reader(self.fileno())
            _wake(self._waiting)
        self._closed = True
        with self._taking:
            # Where a signal's handler closes what its own thread is taking from, that ends it.
            if not self._is_taking:
                self._ends()


def _unsubscribe(handle: c_void_p, taking: threading.RLock, pid: int) -> None:
    """Also when the interpreter exits, while a thread that it does not wait for takes events."""
    if os.getpid() == pid:
        with taking:
            _net.net_unsubscribe(handle)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
