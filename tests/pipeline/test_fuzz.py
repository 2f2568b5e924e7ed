"""Whatever comes from outside gives a result or an error of ours: refs, registries' answers, messages.

`make fuzz` runs this with 100,000 examples for each test, and CI with the usual 100. It all happens in one process: a
transport in place of the network answers, as a server would be a thousand times slower.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import dagger
import gql
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from dagger._exceptions import QueryErrorValue
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pipeline.engine.failures import build_error, pull_error, upload_error
from pipeline.registry import client
from pipeline.registry.client import Registry, open_registry
from pipeline.registry.credentials import Credentials
from pipeline.registry.manifests import Manifest
from pipeline.rules.errors import AuthError, PipelineError, RefError, RegistryError
from pipeline.rules.failed_step import Dockerfile
from pipeline.rules.image_name import TAG, ImageName
from pipeline.rules.job_summary import markdown_text
from pipeline.rules.tagging import LatestPolicy, plan_tags
from pipeline.rules.text import has_control_characters, last_lines, listed, one_line, quoted
from tests.pipeline.samples import DIGEST
from tests.pipeline.strategies import anything, commits, refs

pytestmark = pytest.mark.fuzz

PASSWORD = "hunter2-0123456789"
IMAGE = ImageName(registry="registry.example", repository="acme/app")
CREDENTIALS = Credentials(username="mona", password=SecretStr(PASSWORD))
BASIC = CREDENTIALS.basic()
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@given(refs, commits, st.sampled_from(LatestPolicy))
def test_every_ref_gives_valid_tags_or_a_ref_error(ref: str, commit: str, policy: LatestPolicy) -> None:
    try:
        names = [tag.name for tag in plan_tags(ref, commit, policy).tags]
    except RefError as error:
        assert_readable(error)
        return
    assert all(TAG.fullmatch(name) for name in names)
    assert len(set(names)) == len(names)


def assert_readable(error: PipelineError, most_lines: int = 2) -> None:
    """A message has few lines and a hint, and nothing that a terminal obeys or that was secret."""
    for line in (error.message, error.hint):
        assert not has_control_characters(line.replace("\n", ""))
        assert PASSWORD not in line
        assert BASIC.removeprefix("Basic ") not in line
    assert error.message.count("\n") < most_lines


# --- answers of a registry ---

header_text = st.text(st.sampled_from(string.printable[:95] + "é\u2028"), max_size=60)
parameters = st.lists(
    st.tuples(st.sampled_from(["realm", "service", "scope", "Realm", "error", "x"]), header_text), max_size=4
).map(lambda pairs: ",".join(f'{name}="{value}"' for name, value in pairs))
realms = st.sampled_from(["https://auth.example/token", "http://auth.example/token", "https://[::1", "//x", "/token"])
challenges = st.one_of(
    header_text,
    st.builds("{} {}".format, st.sampled_from(["Bearer", "basic", "Basic", "Digest", "Negotiate,"]), parameters),
    st.builds('Bearer realm="{}",{}'.format, realms, parameters),
)
links = st.one_of(
    header_text,
    st.builds(
        '<{}{}>; rel="next"{}'.format,
        st.sampled_from(["/v2/acme/app/tags/list?n=1&last=", "https://elsewhere.example/", "", "?", "//x/", "/"]),
        header_text,
        st.sampled_from(["", "; x", ', </a>; rel="prev"', ";;", '; rel="']),
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | header_text | st.just(DIGEST),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["tags", "manifests", "config", "digest", "platform", "os", "architecture", "errors", "code", "message",
                 "token", "access_token", "Labels", "Healthcheck", "Test", "Cmd", "ExposedPorts", "mediaType"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"", b"<html>", b"{", b'{"tags": null}', b'{"token": "abc"}', b'{"token": "a\\nb"}']),
)
statuses = st.sampled_from([200, 200, 200, 201, 204, 301, 307, 400, 401, 401, 403, 404, 408, 429, 500, 502, 503, 504])


@dataclass(frozen=True)
class Answered:
    """What a registry answers to one request."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


answers = st.builds(
    Answered,
    statuses,
    st.lists(
        st.one_of(
            st.tuples(st.just("WWW-Authenticate"), challenges),
            st.tuples(st.just("Link"), links),
            st.tuples(st.just("Docker-Content-Digest"), st.just(DIGEST) | header_text),
            st.tuples(st.just("Content-Type"), st.just(MANIFEST_TYPE) | header_text),
            st.tuples(st.just("Location"), st.sampled_from(["/v2/", "https://elsewhere.example/", "http://[", ""])),
        ),
        max_size=4,
    ),
    bodies,
)


@dataclass
class Transport:
    """Stands for the network: answers in turn, the last one for ever.

    Attributes:
        answers: What is answered.
        sent: Every request.
    """

    answers: Sequence[Answered] = ()
    sent: list[httpx.Request] = field(default_factory=list)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        answer = self.answers[min(len(self.sent), len(self.answers)) - 1]
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body), request=request)


Operation = Callable[[Registry], Awaitable[object]]
Ask = Callable[[Operation, Sequence[Answered]], list[httpx.Request]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Runs an operation against answers, and returns the requests that were sent for it."""
    transport = Transport()
    with (
        pytest.MonkeyPatch.context() as patch,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_registry(IMAGE, CREDENTIALS)) as registry,
    ):
        patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lambda _, request: transport.handle(request))

        def run(operation: Operation, given: Sequence[Answered]) -> list[httpx.Request]:
            transport.answers, transport.sent = given, []
            try:
                portal.call(operation, registry)
            except (RegistryError, AuthError) as error:
                assert_readable(error)
            return transport.sent

        yield run


OPERATIONS: Sequence[Operation] = (
    Registry.check_access,
    Registry.tags,
    lambda registry: registry.digest_of("master"),
    lambda registry: registry.manifest("master"),
    lambda registry: registry.manifest(DIGEST),
    lambda registry: registry.put_tag("master", Manifest(b"{}", MANIFEST_TYPE, DIGEST)),
)


def assert_password_stays_at_home(sent: Sequence[httpx.Request]) -> None:
    """The password is sent to the registry, or over TLS to the token service that it named."""
    for request in sent:
        if request.headers.get("Authorization") == BASIC:
            assert request.url.scheme == "https"
        assert PASSWORD not in str(request.url)
        assert base64.b64encode(PASSWORD.encode()).decode() not in str(request.url)


@given(operation=st.sampled_from(OPERATIONS), given_answers=st.lists(answers, min_size=1, max_size=4))
def test_every_answer_of_a_registry_gives_a_result_or_an_error_of_ours(
    ask: Ask, operation: Operation, given_answers: Sequence[Answered]
) -> None:
    assert_password_stays_at_home(ask(operation, given_answers))


@given(content=bodies)
def test_every_manifest_and_configuration_is_read_or_refused(ask: Ask, content: bytes) -> None:
    manifest = Manifest(content, MANIFEST_TYPE, DIGEST)
    ask(lambda registry: registry.images(manifest), [Answered(200, (), content)])


@given(operation=st.sampled_from(OPERATIONS), challenge=challenges, token=answers)
def test_every_challenge_is_answered_or_an_error_of_ours(
    ask: Ask, operation: Operation, challenge: str, token: Answered
) -> None:
    refused = Answered(401, [("WWW-Authenticate", challenge)], b"")
    assert_password_stays_at_home(ask(operation, [refused, token, Answered(200, (), b"{}")]))


@given(given_links=st.lists(links, min_size=1, max_size=5))
def test_no_link_to_a_further_page_leads_to_another_server_or_goes_on_for_ever(
    ask: Ask, given_links: Sequence[str]
) -> None:
    pages = [Answered(200, [("Link", link)], b'{"tags": ["a"]}') for link in given_links]
    sent = ask(Registry.tags, pages)
    assert {request.url.host for request in sent} == {IMAGE.registry}
    assert len(sent) <= client._MOST_PAGES  # a relative link may name a new page each time


# --- messages ---


@given(text=anything, code=st.integers(0, 255))
def test_every_message_is_shown_on_its_lines_and_nothing_in_it_is_obeyed(text: str, code: int) -> None:
    for shown in (quoted(text), one_line(text), last_lines(text), listed([text, text])):
        assert not has_control_characters(shown)
    assert not has_control_characters(markdown_text(text))
    failed = {"_type": "EXEC_ERROR", "cmd": [text], "exitCode": code, "stdout": text, "stderr": text}
    for extensions in ({}, failed):
        error = dagger.QueryError([QueryErrorValue(text, extensions=extensions)], QUERY)
        assert_readable(build_error(error, "api", Dockerfile("Dockerfile", text)), most_lines=80)
        assert_readable(pull_error(error, IMAGE, IMAGE.tagged("master")))
        assert_readable(upload_error(error, IMAGE, IMAGE.tagged("master")))


QUERY = gql.gql("{ version }")
