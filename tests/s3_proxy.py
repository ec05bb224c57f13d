"""A small HTTP proxy that does to requests what bad networks and bad servers do.

    proxy.plan(Fault("reset", times=2, method="PUT"))

A fault meets the next requests that it matches, then it is used up; faults are met in their order.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ALWAYS = 1_000_000


@dataclass(slots=True)
class Fault:
    """What happens to a request.

    delay: it waits for `seconds` · reset: the connection is cut before the server hears of it · answer:
    the server is not asked, `status` and `body` are the answer · truncate: only `share` of the answer's
    body comes, then the connection is cut · drop: the server does it, the answer is lost · strip: the
    condition is taken off · replace: the server does it, but `body` is the answer. `then` is called
    after the server has been asked.
    """

    kind: str
    times: int = 1
    method: str | None = None
    contains: str = ""
    seconds: float = 0.0
    share: float = 0.5
    status: int = 503
    body: bytes = b""
    then: Callable[[], object] = lambda: None

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in (None, method) and self.contains in path


class Proxy:
    """Passes on what comes to `endpoint`, with the faults that are planned."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def plan(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self.seen.clear()

    def take(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        with self.lock:
            self.seen.append((method, path, headers))
            for fault in self.faults:
                if fault.matches(method, path):
                    fault.times -= 1
                    return fault
        return None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def cut(self) -> None:
        """Reset the connection: unsent bytes are thrown away, and the other side is told rudely."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes, share: float = 1.0) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), len(body))
        self.send_header("Content-Length", str(length if self.command == "HEAD" else len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: int(len(body) * share)])
        if share < 1:
            self.wfile.flush()
            time.sleep(0.05)  # let what was sent arrive before the cut
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def do_it(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers.items())
        fault = self.owner.take(self.command, self.path, headers)
        kind = fault.kind if fault else ""
        try:
            if fault and kind == "delay":
                time.sleep(fault.seconds)
            if kind == "reset":
                return self.cut()
            if fault and kind == "answer":
                return self.answer(fault.status, [("Content-Type", "application/xml")], fault.body)
            if kind == "strip":
                headers.pop("If-None-Match", None)
            upstream = http.client.HTTPConnection(self.owner.upstream, timeout=30)
            upstream.request(self.command, self.path, body=body, headers=headers)
            reply = upstream.getresponse()
            data = reply.read()
            upstream.close()
            if fault:
                fault.then()
            if kind == "drop":
                return self.cut()
            if fault and kind == "replace":
                return self.answer(200, [("Content-Type", "application/xml")], fault.body)
            self.answer(
                reply.status, reply.getheaders(), data, fault.share if fault and kind == "truncate" else 1.0
            )
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client did not wait

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_it
