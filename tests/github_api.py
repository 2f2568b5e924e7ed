"""A small server in place of GitHub's REST API: labels and issues of one repository.

GitHub itself cannot be used in tests: it requires an account, and notifies people. The server runs in a thread
(`running_api`), or as a program that prints its URL once it answers:

    python -m tests.github_api --port 0 --state state.json --fault 'bad-gateway POST /issues 2'

After each request, the state file contains all requests and their results, and never the token:
`{"requests": [{"method", "path", "query", "status"}], "labels": [...], "issues": [...]}`. If the file exists at the
start, labels and issues are read from it. A fault affects a number of requests (1; -1 for all) with a method and the
end of a path; `POST /_faults` with `{"kind", "method", "path", "times"}` adds one, `GET /_state` returns the state.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from tests.github_faults import Fault, Switch, refusal

REPOSITORY = "linkradar/linkradar"
_LONGEST_TITLE = 256
_LONGEST_BODY = 65_536


@dataclass
class State:
    """The server's content, and the requests that it got."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)


class GitHubApi:
    """The server's application.

    Args:
        state_file: The file that the state is kept in, or None.
        repository: The only repository, `owner/name`.
    """

    def __init__(self, state_file: Path | None = None, repository: str = REPOSITORY) -> None:
        self.state = State()
        self.url = ""
        self._repository = repository
        self._file = state_file
        self._switches: list[Switch] = []
        self._meeting: tuple[str, str, int] | None = None
        self._waiting: list[asyncio.Event] = []
        if state_file is not None and state_file.is_file():
            before = json.loads(state_file.read_text(encoding="utf-8"))
            self.state.labels, self.state.issues = before["labels"], before["issues"]
        root = f"/repos/{repository}"
        self._app = Starlette(
            routes=[
                Route("/_faults", self._switch_on, methods=["POST"]),
                Route("/_state", self._show, methods=["GET"]),
                Route(f"{root}/labels", self._create_label, methods=["POST"]),
                Route(f"{root}/labels/{{name}}", self._get_label, methods=["GET"]),
                Route(f"{root}/issues", self._list_issues, methods=["GET"]),
                Route(f"{root}/issues", self._create_issue, methods=["POST"]),
                Route(f"{root}/issues/{{number:int}}", self._update_issue, methods=["PATCH"]),
            ]
        )

    def fail(self, kind: Fault, method: str, path: str, times: int = 1) -> None:
        """Add a fault."""
        self._switches.append(Switch(kind, method, path, times))

    def meet(self, method: str, path: str, count: int) -> None:
        """Hold the next requests with a method and the end of a path until there are `count` of them."""
        self._meeting = (method, path, count)

    def asked(self, method: str, path: str) -> int:
        """Return the number of requests with a method and the end of a path."""
        return sum(one["method"] == method and one["path"].endswith(path) for one in self.state.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_"):
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        record = {"method": method, "path": path, "query": scope["query_string"].decode(), "status": 0}
        self.state.requests.append(record)
        kind = next((switch.kind for switch in self._switches if switch.takes(method, path)), None)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                record["status"] = message["status"]
                self._save()
            if kind is not Fault.DROP_AFTER:
                await send(message)

        authorization = Request(scope).headers.get("Authorization", "")
        response = refusal(kind, authorization)
        if response is None and len(authorization.split()) < 2:
            response = JSONResponse({"message": "Requires authentication"}, 401)
        if kind is Fault.STALL:
            await asyncio.sleep(2)
        if kind is not Fault.DROP:
            await (self._app if response is None else response)(scope, receive, answer)
        if kind in {Fault.DROP, Fault.DROP_AFTER}:
            self._save()
            # Only uvicorn's own cycle has the connection: ASGI cannot close one without an answer.
            send.__self__.transport.abort()  # type: ignore[attr-defined]

    async def _switch_on(self, request: Request) -> Response:
        wanted = await request.json()
        self.fail(Fault(wanted["kind"]), wanted["method"], wanted["path"], wanted.get("times", 1))
        return JSONResponse({}, 201)

    async def _show(self, request: Request) -> Response:
        del request
        return JSONResponse(asdict(self.state))

    async def _get_label(self, request: Request) -> Response:
        await self._meet("GET", request.url.path)
        label = self._label(request.path_params["name"])
        return JSONResponse({"message": "Not Found"}, 404) if label is None else JSONResponse(label)

    async def _create_label(self, request: Request) -> Response:
        wanted = await request.json()
        if self._label(wanted["name"]) is not None:
            errors = [{"resource": "Label", "code": "already_exists", "field": "name"}]
            return JSONResponse({"message": "Validation Failed", "errors": errors}, 422)
        self.state.labels.append(wanted)
        return JSONResponse(wanted, 201)

    async def _list_issues(self, request: Request) -> Response:
        await self._meet("GET", request.url.path)
        query = request.query_params
        labels = set(query.get("labels", "").split(",")) - {""}
        state, since = query.get("state", "open"), datetime.fromisoformat(query.get("since", "1970-01-01T00:00:00Z"))
        found = [
            issue
            for issue in self.state.issues
            if labels <= {label["name"] for label in issue["labels"]}
            and state in {"all", issue["state"]}
            and datetime.fromisoformat(issue["updated_at"]) >= since
        ]
        found.sort(key=lambda issue: issue["number"], reverse=query.get("direction", "desc") == "desc")
        size, page = min(int(query.get("per_page", "30")), 100), int(query.get("page", "1"))
        more = len(found) > page * size
        link = {"Link": f'<{request.url.include_query_params(page=page + 1)}>; rel="next"'} if more else {}
        return JSONResponse(found[(page - 1) * size : page * size], headers=link)

    async def _create_issue(self, request: Request) -> Response:
        wanted = await request.json()
        if too_long := _too_long(wanted):
            return too_long
        issue = self.add_issue(wanted["title"], wanted.get("body") or "", wanted.get("labels", []))
        return JSONResponse(issue, 201)

    async def _update_issue(self, request: Request) -> Response:
        changes = await request.json()
        issue = next((one for one in self.state.issues if one["number"] == request.path_params["number"]), None)
        if issue is None:
            return JSONResponse({"message": "Not Found"}, 404)
        if too_long := _too_long(changes):
            return too_long
        issue |= {key: changes[key] for key in ("title", "body", "state", "state_reason") if key in changes}
        issue["updated_at"] = _now()
        return JSONResponse(issue)

    def add_issue(self, title: str, body: str, labels: list[str], **more: Any) -> dict[str, Any]:
        """Add an issue as GitHub does; missing labels are created with a default colour."""
        for name in labels:
            if self._label(name) is None:
                self.state.labels.append({"name": name, "color": "ededed", "description": None})
        number = len(self.state.issues) + 1
        issue = {
            "id": 1_000_000 + number,
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "state_reason": None,
            "html_url": f"{self.url}/{self._repository}/issues/{number}",
            "labels": [self._label(name) for name in labels],
            "created_at": _now(),
            "updated_at": _now(),
        } | more
        self.state.issues.append(issue)
        return issue

    async def _meet(self, method: str, path: str) -> None:
        if self._meeting is None or method != self._meeting[0] or not path.endswith(self._meeting[1]):
            return
        arrived = asyncio.Event()
        self._waiting.append(arrived)
        if len(self._waiting) == self._meeting[2]:
            self._meeting = None
            for waiting in self._waiting:
                waiting.set()
            self._waiting = []
        await arrived.wait()

    def _label(self, name: str) -> dict[str, Any] | None:
        return next((label for label in self.state.labels if label["name"].lower() == name.lower()), None)

    def _save(self) -> None:
        if self._file is not None:
            partial = self._file.with_name(f"{self._file.name}.partial")
            partial.write_text(json.dumps(asdict(self.state), indent=2), encoding="utf-8")
            partial.replace(self._file)


def _too_long(wanted: dict[str, Any]) -> Response | None:
    if len(wanted.get("title", "")) > _LONGEST_TITLE or len(wanted.get("body") or "") > _LONGEST_BODY:
        return JSONResponse({"message": "Validation Failed"}, 422)
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def running_api(api: GitHubApi, port: int = 0) -> Iterator[GitHubApi]:
    """Serve in a thread while the block runs; the URL is `api.url`."""
    server = uvicorn.Server(uvicorn.Config(api, port=port, http="h11", lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            msg = f"cannot listen on port {port}"
            raise OSError(msg)
        time.sleep(0.005)
    api.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Serve until a signal arrives."""
    parser = argparse.ArgumentParser(description="Serve in place of GitHub's API.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--repository", default=REPOSITORY)
    parser.add_argument("--fault", action="append", default=[], metavar="'KIND METHOD PATH [TIMES]'")
    given = parser.parse_args()
    api = GitHubApi(given.state, given.repository)
    for fault in given.fault:
        kind, method, path, *times = fault.split()
        api.fail(Fault(kind), method, path, int(times[0]) if times else 1)
    with running_api(api, given.port):
        print(api.url, flush=True)  # noqa: T201 - the program's answer
        threading.Event().wait()


if __name__ == "__main__":
    main()
