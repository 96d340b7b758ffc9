"""An HTTP server that gives prepared answers: for what a real S3 server cannot be made to say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


def error_xml(status: int, code: str, extra: str = "", headers: dict[str, str] | None = None) -> Answer:
    """An S3 error as Amazon words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>canned</Message>{extra}</Error>".encode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        reply(request, status, body, {"Content-Type": "application/xml", **(headers or {})})

    return answer


def html_page(request: BaseHTTPRequestHandler) -> None:
    """What a captive portal or a broken proxy says to everything."""
    reply(request, 200, b"<html><body>Please sign in</body></html>", {"Content-Type": "text/html"})


def broken_page(request: BaseHTTPRequestHandler) -> None:
    """The same in HTML that is no XML."""
    reply(request, 200, b"<html><br>Please sign in & wait", {"Content-Type": "text/html"})


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """Close the connection without a word."""
    request.close_connection = True


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def canned_s3(answer: Answer) -> Iterator[str]:
    """Serve one answer to every request; yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
