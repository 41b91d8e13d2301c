"""A real HTTP server whose answers go wrong in the ways that a test asks for."""

import hashlib
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ETAG = '"v1"'


class Server(ThreadingHTTPServer):
    """`answers[path]` is called with each request's handler; `asked` lists (path, range)."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[tuple[str, str]] = []
        self.closing = threading.Event()
        self._scheme = "http"
        if tls is not None:
            self.socket, self._scheme = tls.wrap_socket(self.socket, server_side=True), "https"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("://")[2].partition("/")[2] if "://" in self.path else self.path
        path = "/" + path.lstrip("/")
        self.server.asked.append((self.path, self.headers.get("Range", "")))
        self.close_connection = True
        self.server.answers.get(path.partition("?")[0], status(404))(self)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def head(self, code: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ((headers or {}) | {"Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()

    @property
    def number(self) -> int:
        """How often this path was asked for, from 1."""
        return sum(path == self.path for path, _ in self.server.asked)


Answer = Callable[[Handler], None]


def whole(content: bytes, etag: str = ETAG) -> Answer:
    """As a good host does it, with ranges."""
    return lambda handler: send(handler, content, etag=etag)


def cut(content: bytes, at: list[int], ranges: bool = True) -> Answer:
    """Closes after the first `at[n]` bytes of the file in its n-th answer, then gives the rest."""

    def answer(handler: Handler) -> None:
        end = at[handler.number - 1] if handler.number <= len(at) else len(content)
        send(handler, content, end=end, ranges=ranges)

    return answer


def send(
    handler: Handler,
    content: bytes,
    end: int | None = None,
    ranges: bool = True,
    etag: str = ETAG,
) -> None:
    start, asked = 0, handler.headers.get("Range", "")
    headers = {"Content-Type": "application/octet-stream", "ETag": etag}
    if ranges and asked and handler.headers.get("If-Range", etag) == etag:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    headers["Content-Length"] = str(len(content) - start)
    handler.head(206 if start else 200, headers)
    handler.wfile.write(content[start:end])


def status(code: int, headers: dict[str, str] | None = None, then: Answer | None = None) -> Answer:
    """An error, the first time only where `then` says what comes next."""

    def answer(handler: Handler) -> None:
        if then is not None and handler.number > 1:
            then(handler)
        else:
            handler.head(code, {"Content-Length": "0"} | (headers or {}))

    return answer


def redirect(target: str) -> Answer:
    return status(302, {"Location": target})


def page(text: str, kind: str = "text/html; charset=utf-8") -> Answer:
    def answer(handler: Handler) -> None:
        body = text.encode()
        handler.head(200, {"Content-Type": kind, "Content-Length": str(len(body))})
        handler.wfile.write(body)

    return answer


def trickle(content: bytes, pause: float, piece: int) -> Answer:
    """`piece` bytes at a time; with 0 bytes it stalls after the head."""

    def answer(handler: Handler) -> None:
        handler.head(200, {"Content-Length": str(len(content)), "ETag": ETAG})
        for start in range(0, len(content), piece or len(content)):
            if piece:
                handler.wfile.write(content[start : start + piece])
            if handler.server.closing.wait(pause):
                return

    return answer


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
