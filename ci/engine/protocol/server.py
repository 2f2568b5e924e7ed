"""The session protocol over HTTP: one path, one token, on the loopback interface alone."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ci.engine.protocol.events import Observer
from ci.engine.protocol.schema import run_query
from ci.engine.protocol.session import Session, open_session
from ci.engine.store.storage import Mirror
from ci.system.folders import engine_folder

_LOGGER = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_BODY_LIMIT = 16 * 1024 * 1024
_STOP_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """How a client reaches the session.

    Attributes:
        port: On 127.0.0.1.
        token: The user name of its Basic authentication; the password is empty.
    """

    port: int
    token: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which every Dagger SDK finds the session."""
        return {"DAGGER_SESSION_PORT": str(self.port), "DAGGER_SESSION_TOKEN": self.token}


@asynccontextmanager
async def embedded_engine(
    *,
    observer: Observer | None = None,
    folder: Path | None = None,
    mirrors: Sequence[Mirror] = (),
    workdir: Path | None = None,
) -> AsyncIterator[EngineAddress]:
    """Serve a session of the embedded engine for as long as the block runs.

    At its end builds are stopped, and nothing of the session is left running, mounted or on disk but the store.

    Args:
        observer: Told what the engine does, for a live display.
        folder: Where it keeps its store; below the user's cache folder when None.
        mirrors: Registries that are asked in place of others, such as one on this machine for Docker Hub.
        workdir: Where relative paths of `host` start; the current folder when None.

    Raises:
        QueryFailedError: The store cannot be used on this machine.
    """
    token = token_urlsafe(32)
    failure: Exception | None = None
    with socket.create_server((_HOST, 0)) as listener:
        async with (
            open_session(
                folder or engine_folder(), observer=observer, mirrors=mirrors, workdir=workdir or Path.cwd()
            ) as session,
            _serve(listener, _Queries(session, token)),
        ):
            try:
                yield EngineAddress(listener.getsockname()[1], token)
            except Exception as error:  # noqa: BLE001 - raised again outside, where no task group wraps it
                failure = error
    if failure is not None:
        raise failure


@dataclass
class _Queries:
    """Answers queries, and gives up those under way when the client or the session goes."""

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
                return Response(f"a query may have {_BODY_LIMIT} bytes", 413)
        try:
            content = json.loads(body)
        except ValueError:
            return Response("the body is not JSON", 400)
        if not isinstance(content, dict) or not isinstance(content.get("query"), str):
            return Response('the body has no "query"', 400)
        return await self._answer(request, content)

    async def _answer(self, request: Request, content: dict[str, object]) -> Response:
        answer = Response("the session ends", 503)

        async def run() -> None:
            nonlocal answer
            answer = JSONResponse(await run_query(self.session, content))
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            self._running.add(tasks.cancel_scope)
            try:
                tasks.start_soon(run)
                await request.receive()  # gives nothing but the client's going, now that the body is read
                tasks.cancel_scope.cancel()
            finally:
                self._running.discard(tasks.cancel_scope)
        return answer


@asynccontextmanager
async def _serve(listener: socket.socket, queries: _Queries) -> AsyncIterator[None]:
    config = uvicorn.Config(
        queries.application(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    ended = anyio.Event()

    async def run() -> None:
        try:
            await server._serve([listener])  # noqa: SLF001 - `serve()` takes the process's signal handlers
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            yield
        finally:
            queries.stop()
            server.should_exit = True
            with anyio.CancelScope(shield=True), anyio.move_on_after(_STOP_LIMIT):
                await ended.wait()
            tasks.cancel_scope.cancel()
