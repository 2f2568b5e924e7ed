"""The session protocol over HTTP: one path, one token, on the loopback interface only."""

from __future__ import annotations

import base64
import hmac
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ci.engine.events import Observer
from ci.engine.protocol.schema import run_query
from ci.engine.session.session import Session, new_session
from ci.engine.store.storage import Mirror
from ci.system.folders import engine_folder

_HOST = "127.0.0.1"
_BODY_LIMIT = 16 * 1024 * 1024
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """How a client reaches the session.

    Attributes:
        port: The port on 127.0.0.1.
        token: The user name for Basic authentication; the password is empty.
    """

    port: int
    token: str = field(repr=False)


@asynccontextmanager
async def embedded_engine(
    *,
    observer: Observer | None = None,
    folder: Path | None = None,
    mirrors: Sequence[Mirror] = (),
    workdir: Path | None = None,
) -> AsyncIterator[EngineAddress]:
    """Serve a session of the embedded engine while the block runs.

    At its end, builds are stopped, and nothing of the session but the store is left running, mounted or on disk.

    Args:
        observer: Called with each event, for a live display.
        folder: The directory of its store; below the user's cache directory when None.
        mirrors: Registries to use instead of others, such as a local one for Docker Hub.
        workdir: The directory that relative paths of the host start from; the current directory when None.

    Raises:
        EmbeddedEngineError: The engine cannot work on this host.
    """
    token = token_urlsafe(32)
    failure: Exception | None = None
    with socket.create_server((_HOST, 0)) as listener:
        # For its connections. asyncio sets it only where the protocol of a socket is given; without it, the two writes
        # of each answer are 40 ms apart.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with (
            new_session(
                folder or engine_folder(), observer=observer, mirrors=mirrors, workdir=workdir or Path.cwd()
            ) as session,
            _serve(listener, _Queries(session, token)),
        ):
            try:
                yield EngineAddress(listener.getsockname()[1], token)
            except Exception as error:  # noqa: BLE001 - raised again outside the task group, which would wrap it
                failure = error
    if failure is not None:
        raise failure


@dataclass
class _Queries:
    """Answers queries, and cancels them when the client disconnects or the session ends."""

    session: Session
    token: str = field(repr=False)
    _running: set[anyio.CancelScope] = field(default_factory=set)

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/query", self._query, methods=["POST"])])

    def stop(self) -> None:
        for scope in self._running:
            scope.cancel()

    async def _query(self, request: Request) -> Response:
        expected = b"Basic " + base64.b64encode(f"{self.token}:".encode())
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, expected):
            return Response("unauthorized", 401, {"WWW-Authenticate": 'Basic realm="session"'})
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_LIMIT:
                return Response(f"a query must not be longer than {_BODY_LIMIT} bytes", 413)
        try:
            content = json.loads(body)
        except ValueError:
            return Response("the body is not JSON", 400)
        if not isinstance(content, dict) or not isinstance(content.get("query"), str):
            return Response('the body has no "query"', 400)
        return await self._answer(request, content)

    async def _answer(self, request: Request, content: dict[str, object]) -> Response:
        answer = Response("the session has ended", 503)

        async def run() -> None:
            nonlocal answer
            answer = JSONResponse(await run_query(self.session, content))
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            self._running.add(tasks.cancel_scope)
            try:
                tasks.start_soon(run)
                await request.receive()  # returns only when the client disconnects, as the body is read
                tasks.cancel_scope.cancel()
            finally:
                self._running.discard(tasks.cancel_scope)
        return answer


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that it is part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not install signal handlers."""
        yield


@asynccontextmanager
async def _serve(listener: socket.socket, queries: _Queries) -> AsyncIterator[None]:
    config = uvicorn.Config(
        queries.application(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5
    )
    server = _Server(config)

    # A cancelled `serve` would leave its sockets registered in the event loop, and the next socket with the same
    # descriptor would never be reported as ready.
    serving = anyio.CancelScope(shield=True)

    async def run() -> None:
        with serving:
            await server.serve([listener])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            yield
        finally:
            queries.stop()
            server.should_exit = True
            serving.deadline = anyio.current_time() + _STOP_SECONDS
