"""A proxy in front of a real registry that requires tokens, and fails on demand in one step of a publication."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, StrEnum
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

USER, PASSWORD = "mona", "correct-horse-battery"
_BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
_TOKEN = "a.token-of-the-proxy"
_WRONG_DIGEST = "sha256:" + "0" * 64
_DEEP = b"[" * 60_000
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}
"""The codes of the distribution specification; clients that read them do not look at the status."""
_DOWN_SECONDS = 0.7
_HANG_SECONDS = 60.0
_HUGE_MEBIBYTES = 32
_NOT_PASSED_ON = {"connection", "transfer-encoding", "keep-alive", "authorization", "content-length"}


class Step(StrEnum):
    """A kind of request of a publication."""

    PING = "ping"
    TOKEN = "token"
    HEAD = "HEAD manifest"
    MANIFEST = "GET manifest"
    CONFIG = "config"
    LIST = "list"
    BLOB = "blob HEAD"
    POST = "POST"
    PATCH = "PATCH"
    PUT = "PUT"
    UPLOADED = "engine's manifest PUT"
    TAG = "tag PUT"
    RELABEL_POST = "relabelling: POST"
    RELABEL_PUT = "relabelling: PUT"
    RELABEL_MANIFEST = "relabelling: manifest PUT"


_JSON_STEPS = {Step.TOKEN, Step.MANIFEST, Step.CONFIG, Step.LIST}
_HEAD_STEPS = {Step.HEAD, Step.BLOB}
_DIGEST_STEPS = {Step.HEAD, Step.MANIFEST, Step.BLOB, Step.PUT, Step.UPLOADED, Step.TAG}
_DIGEST_STEPS |= {Step.RELABEL_PUT, Step.RELABEL_MANIFEST}
RELABELLING = {Step.RELABEL_POST, Step.RELABEL_PUT, Step.RELABEL_MANIFEST}
"""The steps of a run that relabels the image of another commit."""


class Fault(Enum):
    """What happens instead of a request's answer."""

    REFUSED = "refused"
    BEFORE = "reset before an answer"
    HALF = "reset in an answer"
    AFTER = "reset after the work"
    HANG = "hang"
    S401 = "401"
    S403 = "403"
    S404 = "404"
    S408 = "408"
    S425 = "425"
    S429 = "429, seconds"
    S429_DATE = "429, date"
    S500 = "500"
    S502 = "502, HTML"
    S503 = "503"
    S504 = "504"
    SHORT = "short JSON"
    DEEP = "deep JSON"
    DIGEST = "wrong digest"
    HUGE = "huge answer"

    def applies_to(self, step: Step) -> bool:
        """Return whether the answer of a step can have this fault."""
        if self is Fault.DIGEST:
            return step in _DIGEST_STEPS
        return not (self in {Fault.SHORT, Fault.DEEP, Fault.HUGE} and step in _HEAD_STEPS)


def step_of(method: str, path: str, agent: str) -> Step | None:
    """Return the step that a request is; None for what publishing does not do."""
    ours = agent.startswith("backend-pipeline")
    if path.startswith("/token"):
        return Step.TOKEN
    if path == "/v2/":
        return Step.PING
    if "/manifests/" in path:
        put = (Step.RELABEL_MANIFEST if "sha256:" in path else Step.TAG) if ours else Step.UPLOADED
        return {"HEAD": Step.HEAD, "GET": Step.MANIFEST, "PUT": put}.get(method)
    if "/tags/list" in path:
        return Step.LIST
    if ours and method in {"POST", "PUT"}:
        return Step.RELABEL_POST if method == "POST" else Step.RELABEL_PUT
    return {"HEAD": Step.BLOB, "GET": Step.CONFIG, "POST": Step.POST, "PATCH": Step.PATCH, "PUT": Step.PUT}.get(method)


@dataclass
class FaultyRegistry:
    """The proxy.

    Attributes:
        upstream: Host and port of the real registry.
        port: The proxy's port.
        step: The step that fails.
        fault: How it fails; nothing does if None.
        times: How often it fails.
        hits: How often it failed.
        requests: How many requests arrived.
    """

    upstream: str
    port: int
    step: Step = Step.PING
    fault: Fault | None = None
    times: float = 0
    hits: int = 0
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)
    _server: _Listener | None = None

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def fail(self, step: Step, fault: Fault | None, times: float) -> None:
        """Fail from now on."""
        with self._lock:
            self.step, self.fault, self.times, self.hits = step, fault, times, 0

    def take(self, step: Step | None) -> Fault | None:
        """Return how the next request of a step fails."""
        with self._lock:
            self.requests += 1
            if self.fault is None or step is not self.step or self.hits >= self.times:
                return None
            self.hits += 1
            return self.fault

    def open(self) -> None:
        """Listen."""
        with self._lock:
            if self._server is None and not self._closed.is_set():
                self._server = _Listener(("127.0.0.1", self.port), _Requests)
                self._server.registry = self
                threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections for a moment."""
        self._stop_listening()
        threading.Timer(_DOWN_SECONDS, self.open).start()

    def wait(self, seconds: float) -> None:
        """Wait, unless the proxy is closed."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Stop for good."""
        self._closed.set()
        self._stop_listening()

    def _stop_listening(self) -> None:
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


@contextmanager
def faulty_registry(upstream: str) -> Iterator[FaultyRegistry]:
    """Run a proxy in front of a registry while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    registry = FaultyRegistry(upstream, port)
    registry.open()
    try:
        yield registry
    finally:
        registry.close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    registry: FaultyRegistry

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients give up connections here."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def _handle(self) -> None:
        body = self._body()
        step = step_of(self.command, self.path.partition("?")[0], self.headers.get("User-Agent", ""))
        fault = self.server.registry.take(step)
        if fault is not None and step is not None:
            self._fail(fault, step, body)
        else:
            self._send(*self._answered(body))

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 # the library's names

    def _fail(self, fault: Fault, step: Step, body: bytes) -> None:
        match fault:
            case Fault.REFUSED | Fault.BEFORE | Fault.AFTER | Fault.HALF | Fault.HANG:
                self._break_off(fault, body)
            case Fault.DIGEST:
                status, headers, content = self._answered(body)
                self._send(status, {**headers, "Docker-Content-Digest": _WRONG_DIGEST}, content)
            case Fault.SHORT if step in _JSON_STEPS:
                status, headers, content = self._answered(body)
                cut = content[: len(content) // 2]
                self._send(status, {**headers, "Content-Length": str(len(cut))}, cut)
            case Fault.SHORT:
                self._send(500, {}, b'{"errors": [{"code": "UNKN')
            case Fault.DEEP:
                self._send(200 if step in _JSON_STEPS else 500, {}, _DEEP)
            case Fault.HUGE:
                self._send_huge()
            case _:
                self._send_status(fault)

    def _break_off(self, fault: Fault, body: bytes) -> None:
        if fault is Fault.AFTER:
            self._answered(body)
        elif fault is Fault.HALF:
            self._send(*self._answered(body), half=True)
        elif fault is Fault.HANG:
            self.server.registry.wait(_HANG_SECONDS)
        self._reset()
        if fault is Fault.REFUSED:
            self.server.registry.refuse()

    def _send_status(self, fault: Fault) -> None:
        status = int(fault.value[:3])
        headers: dict[str, str] = {}
        code = _CODES.get(status, "UNKNOWN")
        body = json.dumps({"errors": [{"code": code, "message": f"on demand for {self._sent_secret()}"}]}).encode()
        if fault is Fault.S401:
            headers = self._challenge()
        elif fault is Fault.S429:
            headers["Retry-After"] = "1"
        elif fault is Fault.S429_DATE:
            headers["Retry-After"] = formatdate(time.time() + 2, usegmt=True)
        elif fault is Fault.S502:
            body = b"<html><h1>Bad Gateway</h1></html>"
        self._send(status, headers, body)

    def _sent_secret(self) -> str:
        """Return what the client sent to authorise itself, which a registry should not repeat."""
        return self.headers.get("Authorization", "nobody")

    def _send_huge(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(_HUGE_MEBIBYTES * 1024**2))
        self.end_headers()
        with suppress(OSError):
            for _ in range(_HUGE_MEBIBYTES):
                self.wfile.write(bytes(1024**2))
        self.close_connection = True

    def _answered(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return the answer: a token's, a challenge, or the real registry's."""
        authorization = self.headers.get("Authorization", "")
        if self.path.startswith("/token"):
            if authorization != _BASIC:
                return 401, {}, b"{}"
            return 200, {"Content-Type": "application/json"}, json.dumps({"token": _TOKEN, "expires_in": 300}).encode()
        if authorization != f"Bearer {_TOKEN}":
            return 401, self._challenge(), b"{}"
        connection = HTTPConnection(self.server.registry.upstream, timeout=30)
        try:
            headers = {name: text for name, text in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
            connection.request(self.command, self.path, body, headers)
            return _read(connection.getresponse())
        finally:
            connection.close()

    def _challenge(self) -> dict[str, str]:
        repository = re.search(r"/v2/(.+?)/(?:manifests|blobs|tags)/", self.path)
        scope = f',scope="repository:{repository[1]}:pull,push"' if repository else ""
        return {"WWW-Authenticate": f'Bearer realm="http://{self.server.registry.host}/token",service="proxy"{scope}'}

    def _send(self, status: int, headers: dict[str, str], content: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, text)
        if half and (self.command == "HEAD" or not content):
            self.flush_headers()  # without the line that ends them
            return
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if half else content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reset(self) -> None:
        """End the connection by RST."""
        with suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _read(response: HTTPResponse) -> tuple[int, dict[str, str], bytes]:
    content = response.read()
    dropped = _NOT_PASSED_ON - {"content-length"}
    kept = {name: text for name, text in response.headers.items() if name.lower() not in dropped}
    return response.status, kept, content
