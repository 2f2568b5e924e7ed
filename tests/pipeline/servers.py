"""Small HTTP servers on loopback for what a real registry does not do on demand.

A handler is a function from a request to an answer; every request is kept.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx
from typing_extensions import override

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}


@dataclass(frozen=True)
class Asked:
    """One request that arrived.

    Attributes:
        method: `GET`, `HEAD`, `PUT`, …
        path: The path alone.
        query: What stood behind the `?`.
        headers: The headers, names in lower case.
        body: The body.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")

    def parameter(self, name: str) -> str | None:
        return parse_qs(self.query, keep_blank_values=True).get(name, [None])[0]


@dataclass(frozen=True)
class Answer:
    """What is answered; `drop` ends the connection instead, without a word."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


DROP = Answer(drop=True)
Handler = Callable[[Asked], Answer]


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | sent)


@dataclass
class Server:
    """A server that runs.

    Attributes:
        host: Its address with the port.
        asked: Every request, in the order they arrived.
        handler: Answers; a test may put another there.
    """

    host: str
    handler: Handler
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def lines(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.asked]


@contextmanager
def serving(handler: Handler, *, name: str = "localhost", port: int = 0) -> Iterator[Server]:
    """Serve for the length of a block, on a free port if none is given."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms between its head and its body

        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {key.lower(): value for key, value in self.headers.items()}
            request = Asked(self.command, path, query, headers, body)
            server.asked.append(request)
            answer = server.handler(request)
            if answer.drop:
                self.close_connection = True
                return
            if "Date" in answer.headers:
                self.send_response_only(answer.status)
            else:
                self.send_response(answer.status)
            for key, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 # the library's names

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Requests) as listening:
        listening.daemon_threads = True
        server = Server(f"{name}:{listening.server_address[1]}", handler)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


@dataclass
class Fault:
    """What a proxy does instead of passing on the requests that it is for.

    Attributes:
        method: Which method.
        path: A pattern for the whole path.
        answer: What comes instead.
        times: How often; then requests pass.
        after: Whether the request is passed on all the same, and only its answer is lost.
    """

    method: str
    path: str
    answer: Answer
    times: int = 1
    after: bool = False

    def hits(self, request: Asked) -> bool:
        return self.times > 0 and request.method == self.method and re.fullmatch(self.path, request.path) is not None


@contextmanager
def proxy(url: str, *faults: Fault) -> Iterator[Server]:
    """Stand in front of a registry and pass everything on, but for the faults."""
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:

        def pass_on(request: Asked) -> Answer:
            fault = next((one for one in faults if one.hits(request)), None)
            if fault is not None:
                fault.times -= 1
                if not fault.after:
                    return fault.answer
            headers = {key: value for key, value in request.headers.items() if key not in HOP_BY_HOP}
            target = f"{request.path}?{request.query}" if request.query else request.path
            answer = client.request(request.method, target, content=request.body, headers=headers)
            if fault is not None:
                return fault.answer
            kept = {key: value for key, value in answer.headers.items() if key not in HOP_BY_HOP}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            return Answer(answer.status_code, answer.content, kept)

        with serving(pass_on) as server:
            yield server
