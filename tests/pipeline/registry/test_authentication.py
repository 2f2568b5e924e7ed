from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from pydantic import SecretStr

from pipeline.registry.authentication import Access, Challenge, ChallengeAuth, parse_challenge
from pipeline.registry.client import open_registry
from pipeline.registry.credentials import Credentials
from pipeline.registry.failures import access_hint
from pipeline.rules.errors import AuthError, RegistryError
from pipeline.rules.image_name import ImageName
from tests.pipeline.images import digest_of
from tests.pipeline.servers import DROP, Answer, Asked, Handler, Server, as_json, serving
from tests.pipeline.strategies import anything
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry

SECRET = "hunter2 ünd möre"
TOKEN = "the.bearer-token_of~this/test+=="
CREDENTIALS = Credentials(username="mona", password=SecretStr(SECRET))
BASIC = "Basic " + base64.b64encode(f"mona:{SECRET}".encode()).decode()
REPOSITORY = "acme/app"
CONTENT = b"{}"
DIGEST = digest_of(CONTENT)
MANIFEST_PATH = f"/v2/{REPOSITORY}/manifests/x"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="Registry"', ("basic", "Registry", "")),
        ("basic", ("basic", "", "")),
        ('Bearer realm="https://a/t",service="a"', ("bearer", "https://a/t", "a")),
        ('  bearer Realm="https://a/t" , service="a",scope="repository:x:pull"', ("bearer", "https://a/t", "a")),
        ('Bearer realm="https://a/t",service="a", Basic realm="https://other"', ("bearer", "https://a/t", "a")),
        ('Bearer realm="https://a/t"', ("bearer", "https://a/t", "")),
    ],
)
def test_a_challenge_is_read(header: str, expected: tuple[str, str, str]) -> None:
    challenge = parse_challenge(header)
    assert challenge is not None
    assert (challenge.scheme, challenge.realm, challenge.service) == expected


@pytest.mark.parametrize("header", ["", "Bearer", 'Bearer service="a"', 'Digest realm="a"', "Negotiate"])
def test_an_unknown_scheme_is_ignored(header: str) -> None:
    assert parse_challenge(header) is None


@given(anything)
def test_every_header_is_a_challenge_or_none(header: str) -> None:
    for text in (header, f"Bearer {header}", f'Bearer realm="{header}"'):
        challenge = parse_challenge(text)
        assert challenge is None or challenge.scheme in {"basic", "bearer"}


def test_a_password_does_not_show() -> None:
    shown = [repr(CREDENTIALS), str(CREDENTIALS), str(asdict(CREDENTIALS)), f"{CREDENTIALS!r}"]
    assert not [text for text in shown if SECRET in text]


def test_the_way_out_is_the_registrys_own() -> None:
    assert "packages: write" in access_hint(ImageName(registry="ghcr.io", repository="a/b"))
    assert "--token" in access_hint(ImageName(registry="localhost:5001", repository="a/b"))


@pytest.fixture
def token_service() -> Iterator[Server]:
    """Gives the token to whoever says the right password."""

    def answer(request: Asked) -> Answer:
        if request.authorization != BASIC:
            return as_json({"errors": [{"code": "UNAUTHORIZED", "message": "bad credentials"}]}, 401)
        return as_json({"token": TOKEN, "expires_in": 300})

    with serving(answer, name="127.0.0.1") as server:
        yield server


def _guarded(realm: str, *, token: str = TOKEN) -> Handler:
    """Return a registry that asks for a token of a realm."""

    def answer(request: Asked) -> Answer:
        if request.authorization != f"Bearer {token}":
            challenge = f'Bearer realm="{realm}",service="the registry",scope="repository:other:pull"'
            return as_json({"errors": [{"code": "UNAUTHORIZED"}]}, 401, WWW_Authenticate=challenge)
        return Answer(200, CONTENT, {"Docker-Content-Digest": DIGEST})

    return answer


@pytest.fixture
def guarded(token_service: Server) -> Iterator[Server]:
    with serving(_guarded(f"{token_service.url}/token?flavour=x")) as server:
        yield server


def _image(server: Server) -> ImageName:
    return ImageName(registry=server.host, repository=REPOSITORY)


async def _ask(server: Server, credentials: Credentials | None = CREDENTIALS, *, times: int = 1) -> str | None:
    digest = None
    async with open_registry(_image(server), credentials) as registry:
        for _ in range(times):
            digest = await registry.digest_of("x")
    return digest


def _everything(error: BaseException) -> str:
    """Return all that a log or a person could be shown of an error."""
    texts = [*traceback.format_exception(error)]
    seen: BaseException | None = error
    while seen is not None:
        texts += [repr(seen), str(seen), repr(seen.args), repr(getattr(seen, "request", ""))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


def _holds_no_secret(text: str, *more: str) -> bool:
    encoded = BASIC.removeprefix("Basic ")
    return not [secret for secret in (SECRET, "hunter2", encoded, TOKEN, *more) if secret in text]


async def test_a_token_is_asked_for_this_repository_and_used_again(guarded: Server, token_service: Server) -> None:
    assert await _ask(guarded, times=3) == DIGEST
    (asked,) = token_service.asked
    assert asked.parameter("scope") == "repository:acme/app:pull,push"
    assert asked.parameter("service") == "the registry"
    assert asked.parameter("flavour") == "x"
    assert [request.authorization for request in guarded.asked] == [None, *[f"Bearer {TOKEN}"] * 4]


async def test_credentials_are_sent_to_the_token_service_alone(guarded: Server, token_service: Server) -> None:
    await _ask(guarded)
    assert [request.authorization for request in token_service.asked] == [BASIC]
    assert BASIC not in [request.authorization for request in guarded.asked]


async def test_a_token_that_has_run_out_is_asked_for_anew(guarded: Server, token_service: Server) -> None:
    async with open_registry(_image(guarded), CREDENTIALS) as registry:
        await registry.digest_of("x")
        token_service.handler = lambda _: as_json({"access_token": "second"})
        guarded.handler = _guarded(f"{token_service.url}/token", token="second")
        assert await registry.digest_of("x") == DIGEST
    assert len(token_service.asked) == 2


async def test_without_credentials_a_token_to_pull_is_asked_for(guarded: Server, token_service: Server) -> None:
    token_service.handler = lambda _: as_json({"token": TOKEN})
    async with open_registry(_image(guarded), None, access=Access.PULL) as registry:
        assert await registry.digest_of("x") == DIGEST
    (asked,) = token_service.asked
    assert asked.authorization is None
    assert asked.parameter("scope") == "repository:acme/app:pull"


async def test_without_credentials_nobody_pushes_even_where_everybody_may_pull(
    guarded: Server, token_service: Server
) -> None:
    async with open_registry(_image(guarded), None) as registry:
        with pytest.raises(AuthError, match="requires credentials"):
            await registry.check_access()
    assert token_service.asked == []


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_an_auth_error(guarded: Server, token_service: Server, status: int) -> None:
    token_service.handler = lambda _: as_json({"errors": [{"code": "DENIED"}]}, status)
    with pytest.raises(AuthError, match=f"refuses these credentials for .*HTTP {status}") as caught:
        await _ask(guarded)
    assert "--token" in caught.value.hint
    assert _holds_no_secret(_everything(caught.value))


async def test_a_token_that_the_registry_does_not_take_is_an_auth_error(guarded: Server, token_service: Server) -> None:
    token_service.handler = lambda _: as_json({"token": "another"})
    with pytest.raises(AuthError, match="refuses these credentials"):
        await _ask(guarded)
    assert len(token_service.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>"),
        as_json({}),
        as_json([]),
        as_json({"token": ""}),
        as_json({"token": 7}),
        as_json({"token": "two\nlines"}),
        as_json({"token": "t\u00f6ken"}),
        as_json({"token": "a b"}),
    ],
    ids=range(8),
)
async def test_an_answer_without_a_token_is_reported(guarded: Server, token_service: Server, answer: Answer) -> None:
    token_service.handler = lambda _: answer
    with pytest.raises(RegistryError, match="without a token") as caught:
        await _ask(guarded)
    assert _holds_no_secret(_everything(caught.value), "two\\nlines", "two\nlines", "t\u00f6ken")


async def test_a_token_service_that_fails_is_reported(guarded: Server, token_service: Server) -> None:
    token_service.handler = lambda _: Answer(502, b"<html>Bad Gateway</html>")
    with pytest.raises(RegistryError, match=r"token service of .* HTTP 502"):
        await _ask(guarded)
    token_service.handler = lambda _: DROP
    with pytest.raises(RegistryError, match="dropped the connection"):
        await _ask(guarded)


async def test_a_token_service_that_fails_once_is_asked_again(guarded: Server, token_service: Server) -> None:
    answers = iter([Answer(503), DROP, as_json({"token": TOKEN})])
    token_service.handler = lambda _: next(answers)
    assert await _ask(guarded) == DIGEST


async def test_a_token_service_without_tls_elsewhere_is_sent_nothing() -> None:
    """A connection to 0.0.0.0 reaches the host on Linux, but it is not a loopback address."""
    with (
        serving(lambda _: as_json({"token": TOKEN}), name="0.0.0.0") as elsewhere,  # noqa: S104 - asked, not bound to
        serving(_guarded(f"{elsewhere.url}/token")) as server,
        pytest.raises(AuthError, match=r"does not use TLS: 0\.0\.0\.0") as caught,
    ):
        await _ask(server)
    assert elsewhere.asked == []
    assert "No credentials were sent" in caught.value.hint
    assert _holds_no_secret(_everything(caught.value))


@pytest.mark.parametrize(
    "realm", ["/token", "token", "http://", "http://[::1", "https://:99999999/", "ftp://localhost/"]
)
async def test_a_realm_that_is_not_a_url_is_a_registry_error(realm: str) -> None:
    with serving(_guarded(realm)) as server, pytest.raises((AuthError, RegistryError)) as caught:
        await _ask(server)
    assert _holds_no_secret(_everything(caught.value))


async def test_a_token_service_on_this_machine_may_do_without_tls_by_any_of_its_names() -> None:
    with serving(lambda _: as_json({"token": TOKEN})) as service:
        realm = f"http://LOCALHOST:{service.host.partition(':')[2]}/token"
        with serving(_guarded(realm)) as server:
            assert await _ask(server) == DIGEST


def test_a_local_realm_without_tls_is_refused_for_a_remote_registry() -> None:
    auth = ChallengeAuth(ImageName(registry="ghcr.io", repository=REPOSITORY), CREDENTIALS, Access.PUSH)
    challenge = Challenge(scheme="bearer", realm="http://localhost:5001/token")
    with pytest.raises(AuthError, match="does not use TLS: localhost"):
        auth._token_request(challenge)
    local = ChallengeAuth(ImageName(registry="[::1]:5001", repository=REPOSITORY), CREDENTIALS, Access.PUSH)
    named = Challenge(scheme="bearer", realm="http://[::1]:5001/token")
    assert local._token_request(named).headers["Authorization"] == BASIC


async def test_a_redirected_tokens_request_carries_no_credentials_elsewhere(
    guarded: Server, token_service: Server
) -> None:
    with serving(lambda _: as_json({"token": TOKEN})) as elsewhere:
        token_service.handler = lambda _: Answer(307, headers={"Location": f"{elsewhere.url}/token"})
        await _ask(guarded)
    assert [request.authorization for request in elsewhere.asked] == [None]


async def test_another_host_that_a_redirect_leads_to_cannot_ask_for_the_credentials() -> None:
    with serving(lambda _: as_json({"token": TOKEN}), name="127.0.0.1") as thief:
        challenge = f'Bearer realm="{thief.url}/token",service="x"'
        with (
            serving(lambda _: as_json({}, 401, WWW_Authenticate=challenge), name="127.0.0.1") as storage,
            serving(lambda _: Answer(307, headers={"Location": f"{storage.url}/blob"})) as server,
            pytest.raises(AuthError),
        ):
            await _ask(server)
    assert thief.asked == []
    assert [request.authorization for request in storage.asked] == [None]


async def test_another_scheme_is_an_auth_error() -> None:
    unknown = as_json({}, 401, WWW_Authenticate='Digest realm="x"')
    with serving(lambda _: unknown) as server, pytest.raises(AuthError, match="refuses these credentials"):
        await _ask(server)


@pytest.mark.parametrize("status", [401, 403])
async def test_nobody_who_gave_a_token_is_told_to_give_one(status: int) -> None:
    with serving(lambda _: Answer(status)) as server, pytest.raises(AuthError, match="refuses these") as caught:
        await _ask(server)
    assert "Check the user and the token" in caught.value.hint


class Expiring:
    """A registry whose tokens are refused some time after they were accepted.

    Attributes:
        refused: How many requests with a token are refused, once the first was accepted.
        challenge: Whether it says again how to authorise.
    """

    def __init__(self, service: Server, refused: int, *, challenge: bool) -> None:
        self._ask_first = _guarded(f"{service.url}/token")
        self._refused = refused
        self._challenge = challenge
        self._accepted = False

    def __call__(self, request: Asked) -> Answer:
        if request.authorization is None:
            return self._ask_first(request)
        if self._accepted and self._refused > 0:
            self._refused -= 1
            without_token = replace(request, headers={})
            return self._ask_first(without_token) if self._challenge else Answer(401)
        self._accepted = True
        return self._ask_first(request)


@pytest.mark.parametrize("challenge", [True, False])
async def test_one_refusal_in_mid_run_renews_the_token(token_service: Server, challenge: bool) -> None:  # noqa: FBT001
    with serving(Expiring(token_service, 1, challenge=challenge)) as server:
        assert await _ask(server, times=3) == DIGEST
    assert len(token_service.asked) == 2


async def test_a_second_refusal_in_mid_run_is_final(token_service: Server) -> None:
    expiring = Expiring(token_service, 99, challenge=True)
    with serving(expiring) as server, pytest.raises(AuthError, match="refuses these credentials"):
        await _ask(server, times=3)
    assert len(token_service.asked) == 2


async def test_one_refusal_in_mid_run_sends_a_password_again() -> None:
    answers = iter([401, 200, 401, 200])
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    with serving(lambda _: Answer(next(answers), headers=challenge)) as server:
        async with open_registry(_image(server), CREDENTIALS) as registry:
            await registry.check_access()
            await registry.check_access()
    assert [request.authorization for request in server.asked] == [None, BASIC, BASIC, BASIC]


@pytest.mark.parametrize("form", ["Basic {basic}", "token {secret} is invalid", "Bearer {token}", "{basic}"])
async def test_a_registry_that_repeats_the_credentials_is_not_quoted_with_them(form: str) -> None:
    text = form.format(basic=BASIC.removeprefix("Basic "), secret=SECRET, token=TOKEN)
    echo = as_json({"errors": [{"code": "DENIED", "message": f"no access with {text}, sorry"}]}, 403)
    with serving(lambda _: echo) as server:
        async with open_registry(_image(server), CREDENTIALS) as registry:
            with pytest.raises(AuthError, match=r"no access with .*\*\*\*") as caught:
                await registry.check_access()
    assert _holds_no_secret(_everything(caught.value))


async def test_a_registry_that_repeats_a_token_is_not_quoted_with_it(token_service: Server) -> None:
    echo = as_json({"errors": [{"code": "DENIED", "message": f"{TOKEN} has no access"}]}, 403)
    ask_first = _guarded(f"{token_service.url}/token")
    with serving(lambda request: ask_first(request) if request.authorization is None else echo) as server:
        async with open_registry(_image(server), CREDENTIALS) as registry:
            with pytest.raises(AuthError, match=r"DENIED \*\*\* has no access") as caught:
                await registry.check_access()
    assert _holds_no_secret(_everything(caught.value))


async def test_deeply_nested_json_is_no_token(guarded: Server, token_service: Server) -> None:
    token_service.handler = lambda _: Answer(200, b"[" * 60_000)
    with pytest.raises(RegistryError, match="without a token"):
        await _ask(guarded)


async def test_no_log_holds_a_secret(guarded: Server, token_service: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await _ask(guarded)
        token_service.handler = lambda _: as_json({}, 403)
        guarded.handler = _guarded(f"{token_service.url}/token", token="other")
        with pytest.raises(AuthError):
            await _ask(guarded)
    assert caplog.records
    assert _holds_no_secret(caplog.text)
    assert _holds_no_secret("".join(repr(record.__dict__) for record in caplog.records))


@pytest.mark.registry
class TestARealRegistryWithAPasswordFile:
    async def test_the_right_password_opens_it(self, registry_with_auth: RunningRegistry) -> None:
        image = ImageName(registry=registry_with_auth.host, repository=REPOSITORY)
        credentials = Credentials(username=USER, password=SecretStr(PASSWORD))
        async with open_registry(image, credentials) as registry:
            await registry.check_access()
            assert await registry.digest_of("x") is None
            assert await registry.digest_of("y") is None
        statuses = [request.status for request in registry_with_auth.requests() if request.agent == "backend-pipeline"]
        assert statuses == [401, 200, 404, 404]

    async def test_a_wrong_password_is_refused_before_anything_is_built(
        self, registry_with_auth: RunningRegistry
    ) -> None:
        image = ImageName(registry=registry_with_auth.host, repository=REPOSITORY)
        async with open_registry(image, CREDENTIALS) as registry:
            with pytest.raises(AuthError, match="refuses these credentials") as caught:
                await registry.check_access()
        assert _holds_no_secret(_everything(caught.value))

    async def test_no_password_asks_for_one(self, registry_with_auth: RunningRegistry) -> None:
        image = ImageName(registry=registry_with_auth.host, repository=REPOSITORY)
        async with open_registry(image, None) as registry:
            with pytest.raises(AuthError, match="requires credentials") as caught:
                await registry.check_access()
        assert "--token env:NAME" in caught.value.hint
