"""A private index of Python packages, with the one package that `examples/python-service` requires."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

USER, PASSWORD = "ci", "made-up-index-password"


@dataclass
class PrivateIndex:
    """An index of Python packages that asks for a password.

    Attributes:
        url: Its address, with the user and the password.
        refused: How many requests had no valid password.
    """

    url: str = ""
    refused: int = 0
    served: list[str] = field(default_factory=list)


@pytest.fixture
def index() -> Iterator[PrivateIndex]:
    """A private index with the one package that the example requires."""
    wheel = "acme_greetings-1.2.0-py3-none-any.whl"
    content = _wheel()
    page = f'<a href="/files/{wheel}#sha256={hashlib.sha256(content).hexdigest()}">{wheel}</a>'.encode()
    files = {"/simple/acme-greetings/": page, f"/files/{wheel}": content}
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    found = PrivateIndex()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path, b"")
            if self.headers["Authorization"] != wanted:
                found.refused += 1
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
                body = b""
            else:
                found.served.append(self.path)
                self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://{USER}:{PASSWORD}@localhost:{server.server_port}/simple/"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _wheel() -> bytes:
    info = "acme_greetings-1.2.0.dist-info"
    files = {
        "acme_greetings.py": 'def greeting():\n    return "Hello from a private package.\\n"\n',
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: acme-greetings\nVersion: 1.2.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
    return written.getvalue()
