"""A bad network on demand: a reverse proxy before a real S3 server that breaks what passes through it.

It hands every request on as it came (the ``Host`` header too, so that signatures stay valid), and answers
with the server's own reply, except where its schedule says that a fault strikes. ``FAULTS`` is the table of
what can go wrong; each entry is one small function that turns an exchange into harm::

    with FaultFront(server, Schedule(FAULTS["reset"], Pattern.ONCE, seed=7)) as front:
        ...  # point AWS_ENDPOINT_URL_S3 at front.endpoint
    print(front.counts)

It serves readers, so it knows GET and HEAD only.
"""

from __future__ import annotations

import enum
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from kkg_area_detection.demo.local_s3 import LocalS3

UPSTREAM_TIMEOUT_S = 30.0
TRICKLE_INTERVAL_S = 0.1
MAX_SHIFT = 4096
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


class Pattern(enum.StrEnum):
    """How often a fault strikes."""

    ONCE = "once"
    BURST = "burst"
    OFTEN = "often"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def with_headers(self, **headers: str | int | None) -> Reply:
        """The same with other headers, ``_`` for ``-``; None removes one."""
        changed = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: str(value) for name, value in changed.items() if value is not None}
        return replace(self, headers=kept)

    def with_body(self, body: bytes) -> Reply:
        """The same with another body and the length to match."""
        return replace(self.with_headers(content_length=len(body)), body=body)

    def span(self) -> tuple[int, int]:
        """First byte of the object in the body, and the size of the whole object."""
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", self.headers.get("content-range", ""))
        return (int(match[1]), int(match[2])) if match else (0, len(self.body))


@dataclass(slots=True)
class Counts:
    """What went through a front. ``object_bytes`` are bytes of bodies of objects, listings left out."""

    requests: int = 0
    object_bytes: int = 0
    injected: int = 0


# --- one request and its answer ---------------------------------------------------------------------------


class Exchange:
    """One request, and the means to answer it rightly or wrongly.

    Attributes:
        rng: Random numbers of this exchange's own.
        front: The front it came through.
    """

    def __init__(self, handler: BaseHTTPRequestHandler, front: FaultFront, rng: Random) -> None:
        self._handler = handler
        self.front = front
        self.rng = rng
        url = urlsplit(handler.path)
        _, self._bucket, *key = url.path.split("/", 2)
        self._key = unquote(key[0]) if key else ""
        self._is_listing = "list-type" in parse_qs(url.query)

    @property
    def reads_object(self) -> bool:
        """Whether the bytes of an object were asked for."""
        return self._handler.command == "GET" and not self._is_listing

    @property
    def reads_range(self) -> bool:
        """Whether a part of an object was asked for."""
        return self.reads_object and "Range" in self._handler.headers

    @property
    def reads_listing(self) -> bool:
        """Whether the keys below a prefix were asked for."""
        return self._handler.command == "GET" and self._is_listing

    def fetch(self) -> Reply:
        """Hand the request on, and return the server's reply."""
        handler = self._handler
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "connection"}
        return self.front.forward(handler.command, handler.path, headers)

    def whole_object(self) -> bytes:
        """All bytes of the object, whatever part was asked for."""
        reply = self.front.admin.get_object(Bucket=self._bucket, Key=self._key)
        return bytes(reply["Body"].read())

    def offset(self, body: bytes) -> int:
        """A random place inside a body: at least one byte comes after it, and before it where it can."""
        return self.rng.randrange(min(1, len(body) - 1), len(body)) if body else 0

    def send(self, reply: Reply) -> None:
        """Answer, headers and body as given."""
        self.send_head(reply)
        self.send_bytes(reply.body)

    def send_part(self, reply: Reply) -> None:
        """Answer with the headers of the whole reply and a random part of its body."""
        self.send_head(reply)
        self.send_bytes(reply.body[: self.offset(reply.body)])

    def send_head(self, reply: Reply) -> None:
        """Send the status and the headers."""
        self._handler.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def send_bytes(self, data: bytes) -> None:
        """Send bytes of the body; nothing where only the headers were asked for."""
        if self._handler.command != "HEAD":
            self._handler.wfile.write(data)
            if self.reads_object:
                self.front.count(object_bytes=len(data))

    def wait(self, seconds: float | None = None) -> bool:
        """Do nothing for some time, or for as long as the front lives; whether it is shutting down."""
        return self.front.closing.wait(seconds)

    def hang_up(self) -> None:
        """Close the connection in an orderly way (FIN) after what was sent."""
        self._handler.close_connection = True

    def reset(self) -> None:
        """Break the connection (RST)."""
        self._handler.close_connection = True
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        socket.socket(fileno=connection.detach()).close()


# --- the faults ---------------------------------------------------------------------------------------------


def pass_through(exchange: Exchange) -> None:
    """No fault at all: the yardstick."""
    exchange.send(exchange.fetch())


def reset(exchange: Exchange) -> None:
    """The connection is reset at a random offset of the body."""
    exchange.send_part(exchange.fetch())
    exchange.reset()


def close(exchange: Exchange) -> None:
    """The connection is closed at a random offset of the body, short of its Content-Length."""
    exchange.send_part(exchange.fetch())
    exchange.hang_up()


def close_unannounced(exchange: Exchange) -> None:
    """The same without Content-Length: for HTTP, the end of the connection is the end of the body."""
    exchange.send_part(exchange.fetch().with_headers(content_length=None, connection="close"))
    exchange.hang_up()


def stall(exchange: Exchange) -> None:
    """A part of the body, then nothing more, with the connection left open."""
    exchange.send_part(exchange.fetch())
    exchange.wait()
    exchange.hang_up()


def silence(exchange: Exchange) -> None:
    """Not a byte, with the connection left open."""
    exchange.wait()
    exchange.hang_up()


def trickle(exchange: Exchange) -> None:
    """Ten bytes a second, so that a read never times out."""
    reply = exchange.fetch()
    exchange.send_head(reply)
    for position in range(len(reply.body)):
        exchange.send_bytes(reply.body[position : position + 1])
        if exchange.wait(TRICKLE_INTERVAL_S):
            exchange.hang_up()
            return


def truncate(exchange: Exchange) -> None:
    """The body is cut, and Content-Length agrees with what is left."""
    reply = exchange.fetch()
    exchange.send(reply.with_body(reply.body[: exchange.offset(reply.body)]))


def length_too_large(exchange: Exchange) -> None:
    """Content-Length promises more than comes before the connection is closed."""
    reply = exchange.fetch()
    exchange.send(reply.with_headers(content_length=len(reply.body) + exchange.rng.randrange(1, 4096)))
    exchange.hang_up()


def length_too_small(exchange: Exchange) -> None:
    """Content-Length promises less than comes; the rest stands where the next reply should begin."""
    reply = exchange.fetch()
    exchange.send(reply.with_headers(content_length=exchange.offset(reply.body)))


def no_http(exchange: Exchange) -> None:
    """What answers does not speak HTTP."""
    exchange.send_bytes(exchange.rng.randbytes(200))
    exchange.hang_up()


def flip(exchange: Exchange) -> None:
    """One bit of the body is flipped."""
    reply = exchange.fetch()
    body = bytearray(reply.body)
    if body:
        body[exchange.rng.randrange(len(body))] ^= 1 << exchange.rng.randrange(8)
    exchange.send(reply.with_body(bytes(body)))


def shifted_range(exchange: Exchange) -> None:
    """206 with bytes that begin later than asked, and a Content-Range that says so."""
    reply = exchange.fetch()
    first, size = reply.span()
    whole = exchange.whole_object()
    first += exchange.rng.randrange(1, min(len(reply.body), MAX_SHIFT))
    body = whole[first : first + len(reply.body)]
    exchange.send(_partial(reply, first, body, size))


def shifted_bytes(exchange: Exchange) -> None:
    """Bytes that begin later than asked, behind headers that claim the range that was asked for."""
    reply = exchange.fetch()
    shift = exchange.offset(reply.body)
    exchange.send(reply.with_body(reply.body[shift:] + reply.body[:shift]))


def short_range(exchange: Exchange) -> None:
    """206 with the first part of what was asked, and a Content-Range that says so."""
    reply = exchange.fetch()
    first, size = reply.span()
    exchange.send(_partial(reply, first, reply.body[: exchange.offset(reply.body)], size))


def whole_for_range(exchange: Exchange) -> None:
    """200 and the whole object where a range was asked for."""
    whole = exchange.fetch().with_headers(content_range=None).with_body(exchange.whole_object())
    exchange.send(replace(whole, status=200))


def html_page(exchange: Exchange) -> None:
    """200 and a web page: a captive portal."""
    body = b"<html><body>Please sign in</body></html>"
    exchange.send(Reply(200, {"content-type": "text/html"}, b"").with_body(body))


def s3_error(status: int, code: str) -> Callable[[Exchange], None]:
    """A fault that answers with an S3 error."""

    def answer(exchange: Exchange) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        exchange.send(Reply(status, {"content-type": "application/xml"}, b"").with_body(body))

    answer.__doc__ = f"{status} {code}."
    return answer


def replace_model(exchange: Exchange) -> None:
    """The model is uploaded anew, in another generation, before this request reaches the server."""
    exchange.front.replace_model()
    exchange.send(exchange.fetch())


def wrong_size(exchange: Exchange) -> None:
    """The listing gives one object another size."""

    def lie(entry: bytes) -> bytes:
        size = int(re.search(rb"<Size>(\d+)</Size>", entry)[1])
        wrong = exchange.rng.choice((0, size - 1, size + 1, size * 2))
        return re.sub(rb"<Size>\d+</Size>", b"<Size>%d</Size>" % wrong, entry)

    _send_listing(exchange, lie)


def wrong_etag(exchange: Exchange) -> None:
    """The listing gives one object the ETag of another version."""
    etag = exchange.rng.randbytes(16).hex().encode()
    _send_listing(exchange, lambda entry: re.sub(rb"[0-9a-f]{32}(?=[^<]*</ETag>)", etag, entry))


def missing_key(exchange: Exchange) -> None:
    """The listing leaves out an object without which the model cannot be loaded."""
    _send_listing(exchange, lambda entry: b"", only=(b"/config.json<", b"/model.safetensors<"))


def extra_key(exchange: Exchange) -> None:
    """The listing names an object that is not there."""
    _send_listing(exchange, lambda entry: entry + re.sub(rb"</Key>", b".json</Key>", entry))


@dataclass(frozen=True, slots=True)
class Fault:
    """An entry of the table.

    Attributes:
        inject: Answers an exchange wrongly.
        strikes: Which exchanges it can strike.
        usual: How many of those even a small download of three files makes: ``Pattern.ONCE`` picks one.
        passes: Whether a download must end right when the fault struck only once.
    """

    inject: Callable[[Exchange], None]
    strikes: Callable[[Exchange], bool]
    usual: int
    passes: bool = True


def any_read(exchange: Exchange) -> bool:
    """Everything a reader asks for."""
    return True


def bodies(exchange: Exchange) -> bool:
    """Everything but bare headers."""
    return exchange.reads_object or exchange.reads_listing


def objects(exchange: Exchange) -> bool:
    """Bytes of objects."""
    return exchange.reads_object


def ranges(exchange: Exchange) -> bool:
    """Parts of objects."""
    return exchange.reads_range


def listings(exchange: Exchange) -> bool:
    """Listings."""
    return exchange.reads_listing


FAULTS: dict[str, Fault] = {
    "none": Fault(pass_through, any_read, 4),
    "reset": Fault(reset, any_read, 4),
    "close": Fault(close, any_read, 4),
    "close, no length": Fault(close_unannounced, bodies, 4),
    "stall": Fault(stall, any_read, 4),
    "silence": Fault(silence, any_read, 4),
    "trickle": Fault(trickle, bodies, 4),
    "truncated": Fault(truncate, bodies, 4),
    "length too large": Fault(length_too_large, bodies, 4),
    "length too small": Fault(length_too_small, bodies, 4),
    "no HTTP": Fault(no_http, any_read, 4),
    "bit flip": Fault(flip, objects, 3),
    "shifted 206": Fault(shifted_range, objects, 3),
    "shifted bytes": Fault(shifted_bytes, objects, 3),
    "short 206": Fault(short_range, objects, 3),
    "200 for a range": Fault(whole_for_range, ranges, 1),
    "HTML object": Fault(html_page, objects, 3),
    "HTML listing": Fault(html_page, listings, 1),
    "500": Fault(s3_error(500, "InternalError"), any_read, 4),
    "503": Fault(s3_error(503, "SlowDown"), any_read, 4),
    "429": Fault(s3_error(429, "TooManyRequests"), any_read, 4),
    "400 time-out": Fault(s3_error(400, "RequestTimeout"), any_read, 4),
    "expired token": Fault(s3_error(400, "ExpiredToken"), any_read, 4),
    "replaced": Fault(replace_model, objects, 3),
    "list: size": Fault(wrong_size, listings, 1),
    "list: ETag": Fault(wrong_etag, listings, 1),
    # A well-formed listing without a needed key is a plain statement: "the model is incomplete" is right too.
    "list: missing key": Fault(missing_key, listings, 1, passes=False),
    "list: extra key": Fault(extra_key, listings, 1),
    # A flipped bit may do the same as any of the lies above.
    "list: bit flip": Fault(flip, listings, 1, passes=False),
}


def _partial(reply: Reply, first: int, body: bytes, size: int) -> Reply:
    content_range = f"bytes {first}-{first + len(body) - 1}/{size}"
    return replace(reply.with_headers(content_range=content_range).with_body(body), status=206)


def _send_listing(
    exchange: Exchange, lie: Callable[[bytes], bytes], only: tuple[bytes, ...] = (b"",)
) -> None:
    """Answer with the listing, after a lie about one of its entries."""
    reply = exchange.fetch()
    entries = re.findall(rb"<Contents>.*?</Contents>", reply.body, re.DOTALL)
    fitting = [entry for entry in entries if any(part in entry for part in only)]
    if not fitting:
        exchange.send(reply)
        return
    entry = exchange.rng.choice(fitting)
    body = reply.body.replace(entry, lie(entry))
    keys = body.count(b"<Contents>")
    exchange.send(reply.with_body(re.sub(rb"<KeyCount>\d+", b"<KeyCount>%d" % keys, body)))


# --- when a fault strikes -----------------------------------------------------------------------------------


class Schedule:
    """Decides, request by request, whether a fault strikes. Equal seeds decide alike.

    Args:
        fault: What strikes.
        pattern: How often.
        seed: Of everything that is random.
    """

    def __init__(
        self, fault: Fault = FAULTS["none"], pattern: Pattern = Pattern.ALWAYS, seed: int = 0
    ) -> None:
        self.fault = fault
        self._pattern = pattern
        self._rng = Random(seed)
        self._begin = self._rng.randrange(fault.usual)
        self._length = {Pattern.ONCE: 1, Pattern.BURST: self._rng.randrange(2, 6)}.get(pattern)
        self._seen = 0
        self._lock = threading.Lock()

    def next_rng(self) -> Random:
        """Random numbers for the next exchange."""
        with self._lock:
            return Random(self._rng.random())

    def decide(self, exchange: Exchange) -> bool:
        """Whether the fault strikes this exchange."""
        if not self.fault.strikes(exchange):
            return False
        with self._lock:
            number = self._seen
            self._seen += 1
        if self._length is not None:
            return self._begin <= number < self._begin + self._length
        return self._pattern is Pattern.ALWAYS or exchange.rng.random() < 0.3


# --- the proxy ----------------------------------------------------------------------------------------------


@dataclass
class FaultFront:
    """The proxy. A context manager: at its end every connection is closed and every thread has ended.

    Attributes:
        server: The real server.
        schedule: When the fault strikes.
        admin: A boto3 client that may read everything; made where it is not given.
        upload: Uploads another generation of the model; needed by ``replace_model`` only.
        counts: What went through so far.
    """

    server: LocalS3
    schedule: Schedule = field(default_factory=Schedule)
    admin: Any = None
    upload: Callable[[], None] = lambda: None
    counts: Counts = field(default_factory=Counts)
    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.admin = self.admin or self.server.client(self.server.admin)
        # Requests are forwarded one at a time, so that a replacement falls between two, never into one.
        self._gate = threading.Lock()
        self._upstream = HTTPConnection(urlsplit(self.server.endpoint).netloc, timeout=UPSTREAM_TIMEOUT_S)
        self._counting = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._broken: list[BaseException] = []
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)

    @property
    def endpoint(self) -> str:
        """The URL to give to clients."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    def __enter__(self) -> FaultFront:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._broken:
            raise self._broken[0]  # a fault that is broken itself must not look like a fault

    def close(self) -> None:
        """Close every connection and end every thread; what stalls is let go."""
        self.closing.set()
        self._listener.shutdown()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # ends the thread's reads and writes
        self._listener.server_close()  # joins the threads
        self._upstream.close()

    def forward(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        """Ask the real server, byte for byte what was asked here."""
        with self._gate:
            try:
                return self._ask(method, path, headers)
            except (HTTPException, ConnectionError):  # an idle connection that the server has closed
                self._upstream.close()
                return self._ask(method, path, headers)

    def replace_model(self) -> None:
        """Upload another generation while no request is at the server."""
        with self._gate:
            self.upload()

    def count(self, **amounts: int) -> None:
        """Add to the counts."""
        with self._counting:
            for name, amount in amounts.items():
                setattr(self.counts, name, getattr(self.counts, name) + amount)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request, rightly or wrongly."""
        exchange = Exchange(handler, self, self.schedule.next_rng())
        strikes = self.schedule.decide(exchange)
        self.count(requests=1, injected=int(strikes))
        try:
            (self.schedule.fault.inject if strikes else pass_through)(exchange)
        except ConnectionError:  # the client has gone, or we are closing
            exchange.hang_up()
        except Exception as error:  # noqa: BLE001 - raised again when the front is closed
            if not self.closing.is_set():
                self._broken.append(error)
            exchange.hang_up()

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, so that it can be closed; one that comes too late is closed at once."""
        self._connections.add(connection)
        if self.closing.is_set():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        self._upstream.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            self._upstream.putheader(name, value)
        self._upstream.endheaders()
        response = self._upstream.getresponse()
        body = response.read()
        kept = {name.lower(): value for name, value in response.getheaders()}
        kept.pop("connection", None)
        if kept.pop("transfer-encoding", None):
            kept["content-length"] = str(len(body))
        return Reply(response.status, kept, body)


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close() joins them
    request_queue_size = 128

    def __init__(self, front: FaultFront) -> None:
        self.front = front
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def handle(self) -> None:
        self.server.front.opened(self.connection)
        with suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        self.server.front.closed(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self.server.front.answer(self)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        pass
