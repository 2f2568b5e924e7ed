from __future__ import annotations

import json
from pathlib import Path

import anyio
import dagger
import httpx
import pytest

from ci.system.dagger_version import DAGGER_VERSION
from tests.ci.engine.conftest import Opened, OpenEngine

pytestmark = pytest.mark.engine


async def ask(engine: Opened, query: str, token: str | None = None, **variables: object) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(
            f"http://127.0.0.1:{engine.address.port}/query",
            auth=(engine.address.token if token is None else token, ""),
            json={"query": query, "variables": variables},
        )


async def refusal(engine: Opened, query: str) -> str:
    (error,) = (await ask(engine, query)).json()["errors"]
    message: str = error["message"]
    return message


async def test_only_the_token_opens_the_session(engine: Opened) -> None:
    assert (await ask(engine, "{version}")).status_code == 200
    assert (await ask(engine, "{version}", token="wrong")).status_code == 401
    assert (await ask(engine, "{version}", token="")).status_code == 401
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(f"http://127.0.0.1:{engine.address.port}/query", json={"query": "{version}"})
    assert response.status_code == 401
    assert "version" not in response.text


async def test_the_token_is_not_in_the_address_as_text(engine: Opened) -> None:
    assert engine.address.token not in repr(engine.address)


async def test_only_this_machine_reaches_it(engine: Opened) -> None:
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{engine.address.port:04X}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{engine.address.port:04X}"]


async def test_an_invalid_query_is_refused(engine: Opened) -> None:
    url = f"http://127.0.0.1:{engine.address.port}/query"
    async with httpx.AsyncClient(trust_env=False, auth=(engine.address.token, "")) as client:
        assert (await client.post(url, content=b"not json")).status_code == 400
        assert (await client.post(url, json=["a list"])).status_code == 400
        assert (await client.get(url)).status_code == 405
        assert (await client.post(url, content=b" " * (17 * 1024 * 1024))).status_code == 413


async def test_broken_and_bottomless_queries_are_errors_and_no_crash(engine: Opened) -> None:
    assert "Syntax Error" in await refusal(engine, "{")
    assert await refusal(engine, "{container" * 20000 + "}" * 20000)
    assert (await ask(engine, "{version}")).json() == {"data": {"version": f"{DAGGER_VERSION}-embedded"}}


async def test_the_version_says_who_answers(engine: Opened) -> None:
    assert await engine.dag.version() == f"{DAGGER_VERSION}-embedded"


async def test_an_unknown_field_is_refused_by_name(engine: Opened) -> None:
    message = await refusal(engine, "{container{asService{id}}}")

    assert message == "Container.asService is not served by the embedded engine; a Dagger engine serves it"


async def test_an_unknown_argument_is_refused_by_name(engine: Opened) -> None:
    message = await refusal(engine, '{container{withExec(args:["x"],noInit:true){id}}}')

    assert message == "Container.withExec(noInit:) is not served by the embedded engine; a Dagger engine serves it"


async def test_the_sdk_names_a_field_that_is_not_served(engine: Opened) -> None:
    with pytest.raises(dagger.InvalidQueryError) as refused:
        await engine.dag.container().as_service().id()

    assert "asService" in str(refused.value.__cause__)


async def test_the_sdk_names_an_argument_that_is_not_served(engine: Opened) -> None:
    with pytest.raises(KeyError, match="experimentalPrivilegedNesting"):
        await engine.dag.container().with_exec(["x"], experimental_privileged_nesting=True).id()


async def test_an_invalid_platform_is_named(engine: Opened) -> None:
    assert "invalid platform 'amd64'" in await refusal(engine, '{container(platform:"amd64"){sync}}')


async def test_the_id_of_another_type_is_refused(engine: Opened) -> None:
    container = json.dumps(await engine.dag.container().id())
    query = f'{{container{{withRegistryAuth(address:"x",username:"y",secret:{container}){{sync}}}}}}'

    assert "expected the id of a Secret, got one of a Container" in await refusal(engine, query)


async def test_an_id_of_nothing_is_an_error(engine: Opened) -> None:
    assert "no object of this session" in await refusal(engine, '{node(id:"Directory@sha256:00"){id}}')


async def test_equal_descriptions_have_equal_ids(engine: Opened) -> None:
    one = await engine.dag.container().with_label("a", "b").id()
    other = await engine.dag.container().with_label("a", "b").id()

    assert one == other
    assert one != await engine.dag.container().with_label("a", "c").id()


async def test_a_session_answers_after_one_that_was_cancelled(open_engine: OpenEngine) -> None:
    # The next listener gets the lowest free descriptor, which is that of the session before it.
    for _ in range(2):
        with anyio.CancelScope() as scope:
            async with open_engine():
                scope.cancel()
                await anyio.sleep_forever()
    with anyio.fail_after(30):
        async with open_engine() as opened:
            assert (await ask(opened, "{version}")).status_code == 200
