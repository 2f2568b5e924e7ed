from __future__ import annotations

import dagger
import pytest
from dagger import dag

from pipeline.engine.platforms import for_platform
from pipeline.rules.build_inputs import Recipe
from pipeline.rules.errors import BuildError
from pipeline.rules.platforms import host_platform, parse_platform, parse_platforms
from tests.pipeline.host_files import MakeDirectory

# An engine that is told to build for a platform answers with an image for its own if the last stage is from scratch.

pytestmark = [pytest.mark.engine, pytest.mark.registry]

FOREIGN = parse_platform("linux/s390x")
CONFIGURED = """
FROM scratch
COPY file /file
ENV A="1 2" B=
LABEL one=two
EXPOSE 80 53/udp
USER 65532:65532
WORKDIR /data
ENTRYPOINT ["/file"]
CMD ["serve", "x y"]
"""


async def moved(directory: MakeDirectory, dockerfile: str, target: str = "") -> dagger.Container:
    source = directory({"Dockerfile": dockerfile, "file": "content"})
    built = source.docker_build(platform=dagger.Platform(str(FOREIGN)), target=target)
    recipe = Recipe("Dockerfile", parse_platforms(str(FOREIGN)), target=target)
    return await for_platform(built, FOREIGN, source.file("Dockerfile"), recipe, "api")


async def test_an_image_for_the_requested_platform_is_taken_as_it_is(directory: MakeDirectory) -> None:
    source = directory({"Dockerfile": "FROM scratch\nVOLUME /data\n"})
    built = source.docker_build()
    recipe = Recipe("Dockerfile", parse_platforms(str(host_platform())))
    assert await for_platform(built, host_platform(), source.file("Dockerfile"), recipe, "api") is built


async def test_an_image_from_scratch_keeps_its_files_and_configuration(directory: MakeDirectory) -> None:
    image = await moved(directory, CONFIGURED)

    assert await image.platform() == str(FOREIGN)
    assert await image.file("/file").contents() == "content"
    variables = {await each.name(): await each.value() for each in await image.env_variables()}
    assert {name: variables[name] for name in ("A", "B")} == {"A": "1 2", "B": ""}
    assert [(await each.name(), await each.value()) for each in await image.labels()] == [("one", "two")]
    ports = {(await each.port(), await each.protocol()) for each in await image.exposed_ports()}
    assert ports == {(80, dagger.NetworkProtocol.TCP), (53, dagger.NetworkProtocol.UDP)}
    assert await image.user() == "65532:65532"
    assert await image.workdir() == "/data"
    assert await image.entrypoint() == ["/file"]
    assert await image.default_args() == ["serve", "x y"]


@pytest.mark.parametrize(("form", "words"), [('["/file", "ok"]', ["/file", "ok"]), ("/file ok", ["/file ok"])])
async def test_a_health_check_is_kept(directory: MakeDirectory, form: str, words: list[str]) -> None:
    options = "--interval=90s --timeout=3s --start-period=1m --retries=4"
    image = await moved(directory, f"FROM scratch\nCOPY file /file\nHEALTHCHECK {options} CMD {form}\n")

    health = image.docker_healthcheck()
    assert await health.args() == words
    assert await health.shell() is (len(words) == 1)
    assert (await health.retries(), await health.interval()) == (4, "90000ms")
    assert (await health.timeout(), await health.start_period()) == ("3000ms", "60000ms")


async def test_a_stage_from_scratch_is_found_behind_others_and_by_target(directory: MakeDirectory, base: str) -> None:
    other = f"FROM --platform=$BUILDPLATFORM {base} AS other\n"
    chained = f"FROM scratch AS empty\nCOPY file /file\n{other}FROM empty AS last\nLABEL a=b\n"
    assert await (await moved(directory, chained)).platform() == str(FOREIGN)
    assert await (await moved(directory, chained, target="empty")).platform() == str(FOREIGN)


@pytest.mark.parametrize("line", ["VOLUME /data", "STOPSIGNAL SIGUSR1", 'SHELL ["/file"]', "ONBUILD LABEL a=b"])
async def test_what_cannot_be_carried_over_is_refused_with_its_line(directory: MakeDirectory, line: str) -> None:
    refusal = rf"^{line.partition(' ')[0]} \(line 2 of Dockerfile\) cannot be kept .* linux/s390x"
    with pytest.raises(BuildError, match=refusal) as caught:
        await moved(directory, f"FROM scratch\n{line}\n")
    assert caught.value.hint == "Remove it, or build on an engine for linux/s390x."


async def test_a_base_image_for_another_platform_is_never_taken_for_the_requested_one(directory: MakeDirectory) -> None:
    source = directory({"Dockerfile": "ARG BASE=scratch\nFROM $BASE\n"})
    built = dag.container()
    recipe = Recipe("Dockerfile", parse_platforms("linux/s390x"))
    with pytest.raises(BuildError, match=f"^api from Dockerfile was built for {host_platform()}, not for linux/s390x"):
        await for_platform(built, FOREIGN, source.file("Dockerfile"), recipe, "api")
