"""Published images, run by the engine: what passes, what fails, and what cannot be checked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagger
import pytest
from dagger import dag

from ci.system.binfmt import runnable_platforms
from pipeline.engine import verification
from pipeline.engine.builder import EngineAccess
from pipeline.engine.verification import verify_image
from pipeline.registry.manifests import ImageProperties
from pipeline.rules.errors import AuthError, EngineError, RegistryError, VerificationError
from pipeline.rules.image_name import ImageName
from pipeline.rules.platforms import Platform, host_platform, parse_platform
from pipeline.rules.runtime_checks import ImageRuntime, RuntimeChecks, VerifiedImage
from tests.registry_fixtures import RunningRegistry

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.usefixtures("directory")]

OWN = host_platform()
FOREIGN = parse_platform("linux/s390x")
STATIC = next((path for path in ("/usr/sbin/ldconfig.real", "/sbin/ldconfig") if os.access(path, os.X_OK)), None)
"""A program that is linked statically, so that it runs in an image from scratch; `--version` makes it end with 0."""


class Published:
    """Images in a registry."""

    def __init__(self, registry: RunningRegistry, repository: str = "linkradar/verified") -> None:
        self.image = ImageName(registry=registry.host, repository=repository)

    async def digest(self, container: dagger.Container, *variants: dagger.Container) -> str:
        address = await container.publish(self.image.tagged("one"), platform_variants=list(variants) or None)
        return address.rpartition("@")[2]

    async def verify(self, digest: str, *images: ImageProperties, checks: RuntimeChecks | None = None) -> VerifiedImage:
        return await verify_image(self.image, digest, images, EngineAccess(), checks or RuntimeChecks())


@pytest.fixture
def published(shared_registry: RunningRegistry) -> Published:
    return Published(shared_registry)


def starts(*command: str, ports: tuple[int, ...] = (), platform: Platform = OWN) -> ImageProperties:
    """What the registry says of an image with this command."""
    return ImageProperties(platform=platform, runtime=ImageRuntime(command, ports))


async def test_a_command_that_succeeds_is_reported_with_its_output(published: Published, base: str) -> None:
    digest = await published.digest(dag.container().from_(base).with_label("a", "command"))
    verified = await published.verify(digest, checks=RuntimeChecks(command=("sh", "-c", "echo ok; echo no >&2")))
    assert verified.reference == published.image.at(digest)
    assert [(check.check, check.result, check.platform) for check in verified.checks] == [
        ("sh -c 'echo ok; echo no >&2'", "ok", None)
    ]


async def test_a_command_that_fails_is_reported_with_what_it_said(published: Published, base: str) -> None:
    digest = await published.digest(dag.container().from_(base).with_label("a", "command"))
    for command, output in ((("ls", "/missing"), "No such file"), (("false",), "no output")):
        with pytest.raises(VerificationError, match=rf"failed: `{' '.join(command)}` exited with \d+: .*{output}"):
            await published.verify(digest, checks=RuntimeChecks(command=command))


async def test_an_image_whose_command_ends_with_0_is_up(published: Published, base: str) -> None:
    digest = await published.digest(dag.container().from_(base).with_label("a", "start"))
    (check,) = (await published.verify(digest, starts("true"))).checks
    assert (check.check, check.result) == ("start", "exited with 0")


async def test_an_image_whose_command_fails_is_reported(published: Published, base: str) -> None:
    digest = await published.digest(dag.container().from_(base).with_label("a", "start"))
    with pytest.raises(VerificationError, match=r"^start of .* failed: ") as raised:
        await published.verify(digest, starts("sh", "-c", "echo broken >&2; exit 7"))
    assert "broken" in raised.value.message
    assert raised.value.hint == "The image is published, but do not deploy it."


async def test_an_image_that_was_not_published_cannot_be_pulled(published: Published) -> None:
    with pytest.raises(RegistryError, match="could not be pulled"):
        await published.verify("sha256:" + "0" * 64)


async def test_an_image_that_requires_other_credentials_is_denied(registry_with_auth: RunningRegistry) -> None:
    with pytest.raises(AuthError, match="denied pull access"):
        await Published(registry_with_auth).verify("sha256:" + "0" * 64)


class TestAnImageWithoutAShell:
    @pytest.fixture
    async def digest(self, published: Published, tmp_path: Path) -> str:
        if STATIC is None:
            pytest.skip("no static program is installed")
        shutil.copy(STATIC, tmp_path / "program")
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY program /program\n")
        return await published.digest(dag.host().directory(str(tmp_path)).docker_build())

    async def test_is_only_started(self, published: Published, digest: str) -> None:
        (check,) = (await published.verify(digest, starts("/program", "--version"))).checks
        assert (check.check, check.result) == ("start", "exited with 0")

    async def test_has_no_port_checked_that_it_exposes(self, published: Published, digest: str) -> None:
        (check,) = (await published.verify(digest, starts("/program", "--version", ports=(80,)))).checks
        assert check.result == "not checked, as the image has no /bin/sh; its command: exited with 0"

    async def test_cannot_be_asked_for_a_path(self, published: Published, digest: str) -> None:
        with pytest.raises(VerificationError, match="cannot be checked: the image has no /bin/sh"):
            await published.verify(digest, starts("/program"), checks=RuntimeChecks(path="/up", port=80))

    async def test_is_reported_if_its_command_fails(self, published: Published, digest: str) -> None:
        with pytest.raises(VerificationError, match=r"failed: `/program --no-such` exited with \d+"):
            await published.verify(digest, starts("/program", "--no-such"))


class TestAnIndex:
    @staticmethod
    def variants(base: str, mark: str) -> tuple[dagger.Container, dagger.Container]:
        """An image that runs, and one for a processor that the engine has no emulator for."""
        own = dag.container().from_(base).with_label("a", mark)
        return own, dag.container(platform=dagger.Platform(str(FOREIGN))).with_rootfs(own.rootfs())

    async def test_passes_for_the_platforms_that_can_be_run(self, published: Published, base: str) -> None:
        digest = await published.digest(dag.container(), *self.variants(base, "index"))
        verified = await published.verify(digest, starts("true", platform=FOREIGN), starts("true"))
        assert (verified.checks[0].result, verified.checks[0].platform) == ("exited with 0", str(OWN))
        assert len(verified.checks) + len(verified.not_run) == 2

    async def test_that_has_no_image_that_can_be_run_fails(self, published: Published, base: str) -> None:
        others = (FOREIGN, parse_platform("linux/ppc64le"))
        if any(other.matches(platform) for platform in runnable_platforms() for other in others):
            pytest.skip("an emulator for one of the processors is registered")
        rootfs = dag.container().from_(base).rootfs()
        images = [dag.container(platform=dagger.Platform(str(other))).with_rootfs(rootfs) for other in others]
        digest = await published.digest(dag.container(), *images)
        with pytest.raises(VerificationError, match="cannot be run on this engine") as raised:
            await published.verify(digest, *(starts("/missing", platform=other) for other in others))
        assert raised.value.hint.startswith("Run this on an engine for one of these")

    async def test_fails_if_the_engine_does_not_answer(
        self, published: Published, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A stand-in: an engine that answers everything but this question cannot be had.
        async def lost() -> Platform:
            msg = "connection refused"
            raise dagger.ClientConnectionError(msg)

        monkeypatch.setattr(verification, "own_platform", lost)
        with pytest.raises(EngineError, match="did not answer while reading the engine's platform"):
            await published.verify("sha256:" + "0" * 64, starts("true"), starts("true", platform=FOREIGN))

    async def test_fails_if_the_image_for_the_own_platform_does(self, published: Published, base: str) -> None:
        digest = await published.digest(dag.container(), *self.variants(base, "index"))
        with pytest.raises(VerificationError, match=r"^start of"):
            await published.verify(digest, starts("true", platform=FOREIGN), starts("false"))
