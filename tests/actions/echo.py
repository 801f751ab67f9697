"""A web server on loopback that answers with what it was asked."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SHOWN = ("authorization", "content-type", "user-agent", "x-a", "x-empty", "x-token")
FILE = b"content\0\xff\n"


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked; some paths answer otherwise."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {
            "method": self.command,
            "path": self.path,
            "headers": {name: self.headers[name] for name in SHOWN if name in self.headers},
            "body": base64.b64encode(body).decode(),
        }
        if self.path == "/moved":
            return self.answer(302, b"moved", Location="/there")
        if self.path == "/file":
            return self.file()
        if self.path == "/busy":
            return self.answer(503, b'{"error": {"code": "APP_COMMANDING"}}')
        if self.path == "/text":
            return self.answer(200, "grün".encode("latin-1"), kind="text/plain; charset=latin-1")
        return self.answer(200, json.dumps(asked).encode(), Set_Cookie="a=b; Path=/")

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815

    def file(self) -> None:
        if "If-Modified-Since" in self.headers:
            return self.answer(304, b"")
        return self.answer(200, FILE, kind="application/octet-stream")

    def answer(self, status: int, body: bytes, kind: str = "application/json", **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for key, value in more.items():
            self.send_header(key.replace("_", "-"), value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: a test is no place for a log."""


@contextmanager
def listening() -> Iterator[str]:
    """The address of a server that is there for as long."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)
