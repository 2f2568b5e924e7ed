from __future__ import annotations

import gzip
import json
import logging
import re
import socketserver
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace

import anyio
import pytest
from pydantic import SecretStr
from typing_extensions import override

from pipeline.registry.client import Registry, open_registry
from pipeline.registry.credentials import Credentials
from pipeline.registry.manifests import Manifest
from pipeline.registry.retry import RetryPolicy
from pipeline.rules.errors import AuthError, PipelineError, RegistryError
from pipeline.rules.http_statuses import RETRIED
from pipeline.rules.image_name import ImageName
from tests.pipeline.conftest import Clock
from tests.pipeline.images import INDEX, MANIFEST, Image, digest_of, index_of, put_manifest
from tests.pipeline.samples import DIGEST
from tests.pipeline.servers import DROP, Answer, Asked, Handler, as_json, serving
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry, free_port

REPOSITORY = "acme/app"
MANIFESTS = f"/v2/{REPOSITORY}/manifests"
IMAGE = Image({"org.opencontainers.image.revision": "abc"})
CREDENTIALS = Credentials(username="mona", password=SecretStr("hunter2"))


@asynccontextmanager
async def _opened(host: str, credentials: Credentials | None = None) -> AsyncIterator[Registry]:
    async with open_registry(ImageName(registry=host, repository=REPOSITORY), credentials) as registry:
        yield registry


@asynccontextmanager
async def _standing_in(handler: Handler) -> AsyncIterator[Registry]:
    """Open a server that stands for a registry."""
    with serving(handler) as server:
        async with _opened(server.host) as registry:
            yield registry


def _always(answer: Answer) -> Handler:
    return lambda _: answer


def _manifest(content: bytes, media_type: str = MANIFEST) -> Manifest:
    return Manifest(content=content, media_type=media_type, digest=digest_of(content))


@pytest.mark.registry
class TestARealRegistry:
    @pytest.fixture(params=["open", "with a password file"])
    def running(self, request: pytest.FixtureRequest) -> RunningRegistry:
        name = "registry" if request.param == "open" else "registry_with_auth"
        running: RunningRegistry = request.getfixturevalue(name)
        return running

    @asynccontextmanager
    async def _client(self, running: RunningRegistry) -> AsyncIterator[Registry]:
        credentials = Credentials(username=USER, password=SecretStr(PASSWORD)) if running.auth else None
        async with _opened(running.host, credentials) as registry:
            yield registry

    async def test_nothing_is_there_at_first(self, running: RunningRegistry) -> None:
        async with self._client(running) as registry:
            await registry.check_access()
            assert await registry.digest_of("x") is None
            assert await registry.manifest("x") is None
            assert await registry.manifest(DIGEST) is None
            assert await registry.tags() == []

    async def test_an_image_is_read_byte_for_byte_by_tag_and_by_digest(self, running: RunningRegistry) -> None:
        with running.client() as client:
            IMAGE.push(client, REPOSITORY, "x")
        async with self._client(running) as registry:
            assert await registry.digest_of("x") == IMAGE.digest
            expected = _manifest(IMAGE.manifest)
            assert await registry.manifest("x") == expected
            assert await registry.manifest(IMAGE.digest) == expected
            assert [each.labels for each in await registry.images(expected)] == [IMAGE.labels]

    async def test_a_further_tag_is_one_put_and_the_same_bytes(self, running: RunningRegistry) -> None:
        with running.client() as client:
            IMAGE.push(client, REPOSITORY, "x")
        async with self._client(running) as registry:
            manifest = await registry.manifest("x")
            assert manifest is not None
            await registry.put_tag("y", manifest)
            assert await registry.manifest("y") == manifest
        sent = [r for r in running.requests() if r.agent == "backend-pipeline" and r.method not in {"GET", "HEAD"}]
        assert [(request.method, request.path, request.status) for request in sent] == [("PUT", f"{MANIFESTS}/y", 201)]

    async def test_every_image_of_an_index_is_read(self, running: RunningRegistry) -> None:
        arm = Image({"who": "arm"}, architecture="arm64")
        index = index_of({"linux/amd64": IMAGE, "linux/arm64": arm})
        with running.client() as client:
            IMAGE.push(client, REPOSITORY)
            arm.push(client, REPOSITORY)
            put_manifest(client, REPOSITORY, "x", index, INDEX)
        async with self._client(running) as registry:
            manifest = await registry.manifest("x")
            assert manifest == _manifest(index, INDEX)
            images = await registry.images(manifest)
        found = [(str(each.platform), each.labels) for each in images]
        assert found == [("linux/amd64", IMAGE.labels), ("linux/arm64", {"who": "arm"})]

    async def test_attestations_of_an_index_are_not_images(self, running: RunningRegistry) -> None:
        index = index_of({"linux/amd64": IMAGE, "unknown/unknown": Image({"what": "attestation"})})
        with running.client() as client:
            IMAGE.push(client, REPOSITORY)
        async with self._client(running) as registry:
            images = await registry.images(_manifest(index, INDEX))
        assert [each.labels for each in images] == [IMAGE.labels]

    async def test_an_index_without_one_of_its_images_is_reported(self, running: RunningRegistry) -> None:
        index = index_of({"linux/amd64": IMAGE, "linux/arm64": Image({}, architecture="arm64")})
        with running.client() as client:
            IMAGE.push(client, REPOSITORY)
        async with self._client(running) as registry:
            with pytest.raises(RegistryError, match=r"image for linux/arm64 of the index .* is missing"):
                await registry.images(_manifest(index, INDEX))

    async def test_all_tags_are_listed(self, running: RunningRegistry) -> None:
        names = [f"t{number:02}" for number in range(30)]
        with running.client() as client:
            IMAGE.push(client, REPOSITORY, *names)
        async with self._client(running) as registry:
            assert sorted(await registry.tags()) == names

    async def test_a_manifest_whose_blobs_are_missing_is_not_taken(self, running: RunningRegistry) -> None:
        async with self._client(running) as registry:
            with pytest.raises(RegistryError, match=r"HTTP 400 for .*/acme/app:x: MANIFEST_BLOB_UNKNOWN"):
                await registry.put_tag("x", _manifest(IMAGE.manifest))


@pytest.mark.registry
async def test_a_registry_is_reached_at_another_address_than_its_name(registry: RunningRegistry) -> None:
    image = ImageName(registry="registry.example.com", repository=REPOSITORY)
    with registry.client() as client:
        IMAGE.push(client, REPOSITORY, "x")
    async with open_registry(image, None, service_url=registry.url) as opened:
        assert await opened.digest_of("x") == IMAGE.digest


async def test_a_service_that_nothing_is_behind_is_told_at_the_first_request() -> None:
    """An engine's service accepts connections and drops them if nothing listens behind it; a closed port refuses."""
    image = ImageName(registry="localhost:5001", repository=REPOSITORY)
    with serving(_always(DROP)) as server:
        for url in (server.url, f"http://127.0.0.1:{free_port()}"):
            async with open_registry(image, None, service_url=url) as registry:
                with pytest.raises(RegistryError) as caught:
                    await registry.check_access()
            assert caught.value.message.startswith("The service for localhost:5001 does not answer: ")
            assert re.search(r"[^.]\.$", caught.value.message)
            assert caught.value.hint == "Start the registry, and pass --registry-service tcp://localhost:PORT."
    assert len(server.asked) == 1


async def test_a_service_that_answered_once_is_a_registry_like_any_other() -> None:
    answers = iter([Answer(), DROP, Answer(404)])
    image = ImageName(registry="localhost:5001", repository=REPOSITORY)
    with serving(lambda _: next(answers)) as server:
        async with open_registry(image, None, service_url=server.url) as registry:
            await registry.check_access()
            assert await registry.digest_of("x") is None
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 408, 418, 429, 500, 502, 503])
async def test_a_failure_is_told_with_its_status_and_reference(status: int) -> None:
    async with _standing_in(_always(Answer(status, b"<html><h1>Bad\nGateway</h1></html>"))) as registry:
        with pytest.raises(RegistryError, match=f"answered HTTP {status} for localhost.*/acme/app:x") as caught:
            await registry.manifest("x")
    assert "<html>" not in str(caught.value)
    assert "\n" not in caught.value.message


async def test_the_registrys_own_reason_is_told_on_one_line() -> None:
    denied = as_json({"errors": [{"code": "DENIED", "message": "permission_denied:\nwrite_package\x1b[31m"}]}, 403)
    async with _standing_in(_always(denied)) as registry:
        with pytest.raises(AuthError, match=r"HTTP 403: DENIED permission_denied:") as caught:
            await registry.put_tag("x", _manifest(IMAGE.manifest))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b'{"errors": []}',
        b'{"errors": 7}',
        b'{"errors": [7]}',
        b'{"errors": [{"message": 7}]}',
        b"\xff",
    ],
)
async def test_any_other_body_of_a_failure_is_not_a_bug(body: bytes) -> None:
    async with _standing_in(_always(Answer(500, body))) as registry:
        with pytest.raises(RegistryError, match="HTTP 500"):
            await registry.tags()


@pytest.mark.parametrize("status", [401, 403])
async def test_what_needs_credentials_says_so(status: int) -> None:
    async with _standing_in(_always(Answer(status))) as registry:
        with pytest.raises(AuthError, match=f"requires credentials for .* \\(HTTP {status}\\)"):
            await registry.digest_of("x")


async def test_a_server_without_v2_is_not_a_registry() -> None:
    async with _standing_in(_always(Answer(404, b"<html>"))) as registry:
        with pytest.raises(RegistryError, match="not a container registry"):
            await registry.check_access()
        with pytest.raises(RegistryError, match="could not be written"):
            await registry.put_tag("x", _manifest(IMAGE.manifest))


async def test_a_registry_that_is_not_there_is_reported() -> None:
    async with _opened(f"localhost:{free_port()}") as registry:
        with pytest.raises(RegistryError, match="could not be reached") as caught:
            await registry.check_access()
    assert "lr-ci registry up" in caught.value.hint


async def test_a_host_that_has_no_address_is_reported() -> None:
    async with _opened("nowhere.invalid") as registry:
        with pytest.raises(RegistryError, match=r"nowhere\.invalid could not be reached"):
            await registry.check_access()


async def test_a_dropped_connection_is_reported() -> None:
    async with _standing_in(_always(DROP)) as registry:
        with pytest.raises(RegistryError, match=r"dropped the connection for .*Tried \d+ times in \d+ s\."):
            await registry.manifest("x")


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize("failure", [DROP, *map(Answer, sorted(RETRIED))], ids=lambda one: one.status)
async def test_what_passes_by_itself_is_tried_again(failure: Answer, method: str, times: int) -> None:
    good = Answer(200, IMAGE.manifest, {"Content-Type": MANIFEST, "Docker-Content-Digest": IMAGE.digest})
    answers = iter([*[failure] * times, good, good])
    with serving(lambda _: next(answers)) as server:
        async with _opened(server.host) as registry:
            match method:
                case "GET":
                    assert await registry.manifest("x") == _manifest(IMAGE.manifest)
                case "HEAD":
                    assert await registry.digest_of("x") == IMAGE.digest
                case _:
                    await registry.put_tag("x", _manifest(IMAGE.manifest))
    confirmed = [f"GET {MANIFESTS}/x"] if method == "HEAD" else []
    assert server.lines() == [*[f"{method} {MANIFESTS}/x"] * (times + 1), *confirmed]
    assert {request.body for request in server.asked} == {IMAGE.manifest if method == "PUT" else b""}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 501, 505])
async def test_what_does_not_pass_by_itself_fails_at_once(status: int) -> None:
    with serving(_always(Answer(status))) as server:
        async with _opened(server.host) as registry:
            with suppress(PipelineError):
                await registry.manifest("x")
    assert len(server.asked) == 1


async def test_a_registry_that_asks_for_a_wait_gets_it(clock: Clock) -> None:
    answers = iter([Answer(429, headers={"Retry-After": "7"}), Answer(503, headers={"Retry-After": "soon"}), Answer()])
    async with _standing_in(lambda _: next(answers)) as registry:
        await registry.check_access()
    assert clock.slept[0] == 7.0
    assert clock.slept[1] < 7.0


async def test_a_longer_wait_than_the_time_limit_is_not_waited_for(clock: Clock) -> None:
    with serving(_always(Answer(429, headers={"Retry-After": "3600"}))) as server:
        async with _opened(server.host) as registry:
            with pytest.raises(RegistryError, match=r"HTTP 429 .* requests a wait of 3600 s, but 120 s .* are left"):
                await registry.check_access()
    assert len(server.asked) == 1
    assert clock.slept == []


async def test_a_write_in_a_larger_operation_is_one_attempt_and_the_operation_is_repeated() -> None:
    """Promotion looks at a tag again before it writes it again."""
    answers = iter([Answer(404), Answer(503), Answer(404), Answer(201)])
    with serving(lambda _: next(answers)) as server:
        async with _opened(server.host) as registry:

            async def promote() -> None:
                assert await registry.digest_of("x") is None
                await registry.put_tag("x", _manifest(IMAGE.manifest))

            await registry.retries.run(promote)
    assert [request.method for request in server.asked] == ["HEAD", "PUT", "HEAD", "PUT"]


async def test_a_body_that_ends_early_is_reported() -> None:
    async with _standing_in(_always(Answer(200, b"{}", {"Content-Length": "10", "Connection": "close"}))) as registry:
        with pytest.raises(RegistryError):
            await registry.manifest("x")


@contextmanager
def _sending(*pieces: bytes) -> Iterator[str]:
    """Listen, and send the pieces again and again to whoever connects; without pieces say nothing."""
    done = threading.Event()

    class Connection(socketserver.BaseRequestHandler):
        @override
        def handle(self) -> None:
            first, *rest = pieces or (b"",)
            with suppress(OSError):
                self.request.sendall(first)
                while not done.wait(0.02):
                    self.request.sendall(b"".join(rest))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            done.set()
            server.shutdown()


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")])
async def test_a_registry_that_does_not_answer_in_time_is_reported(
    monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    """It says nothing at all, or so little at a time that no single wait is too long."""
    monkeypatch.setattr("pipeline.registry.client._REQUEST_SECONDS", 0.1)
    with _sending(*pieces) as host, anyio.fail_after(60):
        async with _opened(host) as registry:
            with pytest.raises(RegistryError, match="did not answer in time"):
                await registry.manifest("x")


async def test_a_registry_that_names_another_digest_than_its_bytes_have_is_not_believed() -> None:
    lie = Answer(200, IMAGE.manifest, {"Content-Type": MANIFEST, "Docker-Content-Digest": DIGEST})
    async with _standing_in(_always(lie)) as registry:
        with pytest.raises(RegistryError, match=f"has digest {IMAGE.digest}, but the registry reported"):
            await registry.manifest("x")


async def test_a_registry_that_answers_a_digest_with_other_bytes_is_not_believed() -> None:
    async with _standing_in(_always(Answer(200, b"{}", {"Docker-Content-Digest": DIGEST}))) as registry:
        with pytest.raises(RegistryError, match="but the registry reported"):
            await registry.manifest(DIGEST)


async def test_a_configuration_with_other_bytes_is_not_believed() -> None:
    forged = Image({"org.opencontainers.image.revision": "forged"})
    async with _standing_in(_always(Answer(200, forged.config))) as registry:
        with pytest.raises(RegistryError, match=r"configuration of .* has digest sha256:.*, but should have"):
            await registry.images(_manifest(IMAGE.manifest))


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
async def test_one_wrong_digest_is_asked_for_again(method: str) -> None:
    good = Answer(200, IMAGE.manifest, {"Content-Type": MANIFEST, "Docker-Content-Digest": IMAGE.digest})
    wrong = [replace(good, headers={**good.headers, "Docker-Content-Digest": DIGEST})]

    def answer(request: Asked) -> Answer:
        return wrong.pop() if request.method == method and wrong else good

    async with _standing_in(answer) as registry:
        if method == "PUT":
            await registry.put_tag("x", _manifest(IMAGE.manifest))
        else:
            assert await registry.digest_of("x") == IMAGE.digest
    assert not wrong


async def test_a_wrong_digest_for_ever_is_an_error_of_the_registry(clock: Clock) -> None:
    def answer(request: Asked) -> Answer:
        return Answer(200, IMAGE.manifest, {"Docker-Content-Digest": DIGEST} if request.method == "HEAD" else {})

    async with _standing_in(answer) as registry:
        with pytest.raises(RegistryError, match=f"has digest {IMAGE.digest}, but the registry reported"):
            await registry.digest_of("x")
    assert sum(clock.slept) <= 10


async def test_a_digest_that_is_known_is_not_confirmed_again() -> None:
    good = Answer(200, IMAGE.manifest, {"Docker-Content-Digest": IMAGE.digest})
    with serving(_always(good)) as server:
        async with _opened(server.host) as registry:
            await registry.put_tag("x", _manifest(IMAGE.manifest))
            assert await registry.digest_of("x") == IMAGE.digest
    assert [request.method for request in server.asked] == ["PUT", "HEAD"]


CUT = Answer(200, b"{", {"Content-Length": "1000", "Connection": "close"})


async def test_a_body_that_ends_early_is_asked_for_again() -> None:
    document = json.dumps({"config": {"digest": digest_of(b"{}")}}).encode()
    answers = iter([CUT, Answer(200, document), CUT, Answer(200, b"{}"), CUT, as_json({"tags": ["x"]})])
    async with _standing_in(lambda _: next(answers)) as registry:
        manifest = await registry.manifest("x")
        assert manifest is not None
        assert await registry.images(manifest)
        assert await registry.tags() == ["x"]


async def test_a_list_of_tags_that_is_cut_is_asked_for_again() -> None:
    answers = iter([Answer(200, b'{"tags": ["x'), as_json({"tags": ["x"]})])
    async with _standing_in(lambda _: next(answers)) as registry:
        assert await registry.tags() == ["x"]


async def test_a_registry_that_restarts_is_waited_for() -> None:
    port = free_port()
    image = ImageName(registry=f"127.0.0.1:{port}", repository=REPOSITORY)
    with ExitStack() as stack:

        def start(_: str) -> None:
            stack.enter_context(serving(_always(Answer()), port=port))

        async with open_registry(image, None, retries=RetryPolicy(notice=start)) as registry:
            await registry.check_access()


async def test_a_registry_that_answered_is_waited_for_longer_than_one_that_may_not_exist(clock: Clock) -> None:
    with serving(_always(Answer())) as server:
        async with _opened(server.host) as registry:
            await registry.check_access()
            server.handler = _always(DROP)
            with pytest.raises(RegistryError):
                await registry.check_access()
    known = sum(clock.slept)
    clock.slept.clear()
    async with _opened(f"localhost:{free_port()}") as registry:
        with pytest.raises(RegistryError, match=r"could not be reached .*Tried \d+ times"):
            await registry.check_access()
    assert sum(clock.slept) <= 10 < known


async def test_a_wait_until_a_date_is_kept(clock: Clock) -> None:
    """By the server's own clock, which may differ from this one."""
    dates = {"Date": "Fri, 27 Nov 2020 10:00:00 GMT", "Retry-After": "Fri, 27 Nov 2020 10:00:42 GMT"}
    answers = iter([Answer(503, headers=dates), Answer()])
    async with _standing_in(lambda _: next(answers)) as registry:
        await registry.check_access()
    assert clock.slept == [42.0]


@pytest.mark.parametrize("text", ["soon", "", "-1", "Fri, 99 Nov 2020 10:00:42 GMT", "Fri, 27 Nov 2020 10:00:42"])
async def test_a_wait_that_cannot_be_read_is_a_short_one(clock: Clock, text: str) -> None:
    answers = iter([Answer(503, headers={"Retry-After": text}), Answer()])
    async with _standing_in(lambda _: next(answers)) as registry:
        await registry.check_access()
    assert clock.slept[0] < 1


def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1024**2)) for _ in range(megabytes)) + packer.flush()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_answer_beyond_its_limit_is_reported(encoding: str) -> None:
    body = _bomb(10) if encoding == "gzip" else bytes(10 * 1024**2)
    with serving(_always(Answer(200, body, {"Content-Encoding": encoding}))) as server:
        async with _opened(server.host) as registry:
            with pytest.raises(RegistryError, match="with more than 4 MiB"):
                await registry.manifest("x")
            with pytest.raises(RegistryError, match="with more than 8 MiB"):
                await registry.images(_manifest(IMAGE.manifest))
            with pytest.raises(RegistryError, match="with more than 8 MiB"):
                await registry.tags()
            with pytest.raises(RegistryError, match="with more than 64 KiB"):
                await registry.check_access()
    assert {request.headers["accept-encoding"] for request in server.asked} == {"identity"}


async def test_memory_is_bounded_whatever_an_answer_unpacks_to() -> None:
    bomb = _bomb(1024)
    tracemalloc.start()
    try:
        async with _standing_in(_always(Answer(500, bomb, {"Content-Encoding": "gzip"}))) as registry:
            with pytest.raises(RegistryError, match="HTTP 500"):
                await registry.manifest("x")
        assert tracemalloc.get_traced_memory()[1] < 20 * 1024**2
    finally:
        tracemalloc.stop()


async def test_a_compressed_answer_is_read_although_none_was_requested() -> None:
    packed = Answer(200, gzip.compress(IMAGE.manifest), {"Content-Encoding": "gzip"})
    async with _standing_in(_always(packed)) as registry:
        assert await registry.manifest("x") == _manifest(IMAGE.manifest)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"not gzip", {"Content-Encoding": "gzip"}),
        Answer(200, gzip.compress(IMAGE.manifest)[:-20], {"Content-Encoding": "gzip"}),
        Answer(200, b"x", {"Content-Encoding": "br"}),
    ],
    ids=["invalid", "cut", "unknown"],
)
async def test_an_encoded_answer_that_cannot_be_read_is_reported(answer: Answer) -> None:
    async with _standing_in(_always(answer)) as registry:
        with pytest.raises(RegistryError):
            await registry.manifest("x")


@pytest.mark.parametrize("status", [200, 500])
async def test_deeply_nested_json_is_an_invalid_answer(status: int) -> None:
    async with _standing_in(_always(Answer(status, b"[" * 200_000))) as registry:
        with pytest.raises(RegistryError):
            await registry.tags()


async def test_a_registry_that_names_no_digest_is_asked_for_the_bytes() -> None:
    handler = _always(Answer(200, IMAGE.manifest, {"Content-Type": f"{MANIFEST}; charset=utf-8"}))
    async with _standing_in(handler) as registry:
        assert await registry.digest_of("x") == IMAGE.digest
        manifest = await registry.manifest("x")
    assert manifest is not None
    assert manifest.media_type == MANIFEST


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>welcome</html>",
        b"\xff\xfe",
        b"7",
        b"[]",
        b'{"config": 7}',
        b'{"config": {"digest": 7}}',
        b'{"config": null}',
        b'{"manifests": [7]}',
        b'{"manifests": [{"platform": 7}]}',
        b'{"manifests": [{"platform": {"os": "linux", "architecture": "amd64"}}]}',
        b'{"manifests": [{"platform": {"os": "linux", "architecture": "amd64"}, "digest": "../../x"}]}',
        b"[" * 100_000,
    ],
    ids=range(13),
)
async def test_an_invalid_manifest_has_no_labels_or_is_reported(content: bytes) -> None:
    async with _standing_in(_always(Answer(404))) as registry:
        try:
            assert [each.labels for each in await registry.images(_manifest(content))] in ([], [{}])
        except PipelineError as error:
            message = error.message
        else:
            message = "not valid"
    assert "not valid" in message


@pytest.mark.parametrize("config", [b"<html>", b"7", b"[]", b'{"config": 7}', b'{"config": {"Labels": [1]}}', b"\xff"])
async def test_an_invalid_configuration_is_reported(config: bytes) -> None:
    document = json.dumps({"config": {"digest": digest_of(config)}}).encode()
    async with _standing_in(_always(Answer(200, config))) as registry:
        with pytest.raises(RegistryError, match="is not valid"):
            await registry.images(_manifest(document))


@pytest.mark.parametrize("config", [b"{}", b'{"config": {}}', b'{"config": {"Labels": null}}', b'{"config": null}'])
async def test_an_image_without_labels_has_none(config: bytes) -> None:
    document = json.dumps({"config": {"digest": digest_of(config)}}).encode()
    async with _standing_in(_always(Answer(200, config))) as registry:
        assert [each.labels for each in await registry.images(_manifest(document))] == [{}]


async def test_a_configuration_that_is_missing_is_reported() -> None:
    async with _standing_in(_always(Answer(404))) as registry:
        with pytest.raises(RegistryError, match=r"configuration of .* is missing"):
            await registry.images(_manifest(IMAGE.manifest))


def _storage_behind(location: str) -> Handler:
    """Return a registry that wants a password and keeps its blobs on another host."""

    def answer(request: Asked) -> Answer:
        if request.authorization is None:
            return as_json({}, 401, WWW_Authenticate='Basic realm="x"')
        if "/blobs/" in request.path:
            return Answer(307, headers={"Location": location})
        return Answer(200, IMAGE.manifest, {"Content-Type": MANIFEST})

    return answer


async def test_a_redirect_to_another_host_carries_no_credentials() -> None:
    with (
        serving(_always(Answer(200, IMAGE.config)), name="127.0.0.1") as storage,
        serving(_storage_behind(f"{storage.url}/signed?signature=x")) as server,
    ):
        async with _opened(server.host, CREDENTIALS) as registry:
            manifest = await registry.manifest("x")
            assert manifest is not None
            assert [each.labels for each in await registry.images(manifest)] == [IMAGE.labels]
    assert [request.authorization for request in storage.asked] == [None]


async def test_redirects_without_end_are_reported() -> None:
    async with _standing_in(_always(Answer(307, headers={"Location": "/v2/"}))) as registry:
        with pytest.raises(RegistryError, match="redirect"):
            await registry.manifest("x")


@pytest.mark.parametrize("location", ["http://[", "ftp://localhost/x", "http://\x7f/", ""])
async def test_a_redirect_to_nowhere_is_reported(location: str) -> None:
    async with _standing_in(_always(Answer(307, headers={"Location": location}))) as registry:
        with pytest.raises(RegistryError):
            await registry.manifest("x")


def _paged(pages: int, link: str) -> Handler:
    """Return a registry that lists one tag a page; the link holds the page's number as `{}`."""

    def answer(request: Asked) -> Answer:
        page = int(request.parameter("page") or "0")
        headers = {"Link": link.format(page + 1)} if page + 1 < pages else {}
        return Answer(200, json.dumps({"name": REPOSITORY, "tags": [f"t{page}"]}).encode(), headers)

    return answer


@pytest.mark.parametrize(
    "link",
    [
        '</v2/acme/app/tags/list?page={}>; rel="next"',
        "</v2/acme/app/tags/list?page={}>; rel=next",
        '<list?page={}>; rel="next"',
        '<https://registry.example.com/v2/acme/app/tags/list?page={}>; rel="next"',
        '<http://127.0.0.1:1/v2/acme/app/tags/list?page={}>; rel="next"',
    ],
)
async def test_pages_are_followed_on_the_same_host_whatever_the_link_says(link: str) -> None:
    """A registry behind a proxy may name itself by an address that is not reachable; none may lead elsewhere."""
    with serving(_paged(3, link)) as server:
        async with _opened(server.host) as registry:
            assert await registry.tags() == ["t0", "t1", "t2"]
    assert {request.path for request in server.asked} == {"/v2/acme/app/tags/list"}


@pytest.mark.parametrize("link", ["<http://[>; rel=next", "<>; rel=next", "</v2/acme/app/tags/list?n=1000>; rel=next"])
async def test_an_invalid_link_to_the_next_page_is_reported(link: str) -> None:
    async with _standing_in(_paged(2, link)) as registry:
        with pytest.raises(RegistryError, match="list of tags"):
            await registry.tags()


async def test_pages_without_end_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.registry.client._MOST_PAGES", 5)
    async with _standing_in(_paged(1000, '</v2/acme/app/tags/list?page={}>; rel="next"')) as registry:
        with pytest.raises(RegistryError, match="more than"):
            await registry.tags()


@pytest.mark.parametrize("body", [b"<html>", b"7", b"[]", b'{"tags": 7}', b"\xff"])
async def test_an_invalid_list_of_tags_is_reported(body: bytes) -> None:
    async with _standing_in(_always(Answer(200, body))) as registry:
        with pytest.raises(RegistryError, match="is not valid"):
            await registry.tags()


async def test_a_list_without_tags_is_empty() -> None:
    async with _standing_in(_always(as_json({"name": REPOSITORY, "tags": None}))) as registry:
        assert await registry.tags() == []


async def test_a_manifest_that_is_stored_as_another_is_reported() -> None:
    async with _standing_in(_always(Answer(201, headers={"Docker-Content-Digest": DIGEST}))) as registry:
        with pytest.raises(RegistryError, match=f"was stored as '{DIGEST}', not as {IMAGE.digest}"):
            await registry.put_tag("x", _manifest(IMAGE.manifest))


async def test_a_registry_on_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with _standing_in(_always(Answer(200))) as registry:
        await registry.check_access()


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


async def test_a_basic_password_is_in_no_log_and_no_error(all_logs: pytest.LogCaptureFixture) -> None:
    def answer(request: Asked) -> Answer:
        if request.authorization is None:
            return as_json({}, 401, WWW_Authenticate='Basic realm="x"')
        return Answer(403, json.dumps({"errors": [{"code": "DENIED"}]}).encode())

    with serving(answer) as server:
        async with _opened(server.host, CREDENTIALS) as registry:
            with pytest.raises(AuthError) as caught:
                await registry.digest_of("x")
            assert "hunter2" not in repr(registry)
            assert "hunter2" not in repr(vars(registry))
    for text in (all_logs.text, repr(caught.value), str(caught.value)):
        assert "hunter2" not in text
        assert CREDENTIALS.basic().removeprefix("Basic ") not in text
