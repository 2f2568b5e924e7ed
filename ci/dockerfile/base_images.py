"""The images that a Dockerfile starts from, read from its text, without a registry.

Pure. `ARG` before the first `FROM` is expanded as in https://docs.docker.com/reference/dockerfile/ ("Understand how
ARG and FROM interact", "Environment replacement").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ci.dockerfile.variables import expand_word
from pipeline.rules.dockerfile import read_instructions
from pipeline.rules.image_name import Reference, parse_reference
from pipeline.rules.platforms import Platform, host_platform
from pipeline.rules.stages import SCRATCH, read_from

_FLAG = re.compile(r"^--([a-z-]+)=(\S+)\s*")
_ARGUMENT = re.compile(r"(\w+)(?:=(\"[^\"]*\"|'[^']*'|\S*))?")


@dataclass(frozen=True, slots=True)
class BaseImage(Reference):
    """An image that a build starts from.

    Attributes:
        platform: The value of `--platform`, or empty.
    """

    platform: str = ""

    @property
    def version(self) -> str:
        """The digest if the image is pinned, else the tag."""
        return self.digest or self.tag or ""


def parse_base_image(text: str, *, platform: str = "") -> BaseImage | None:
    """Return the image that a reference in a Dockerfile refers to, or None if it is not a valid reference."""
    found = parse_reference(text)
    return None if found is None else BaseImage(found.registry, found.repository, found.tag, found.digest, platform)


def base_images(dockerfile_text: str, *, build_args: Mapping[str, str] | None = None) -> tuple[BaseImage, ...]:
    """Return the images that a Dockerfile takes from registries, each once, in the order of their first use.

    These are the images in `FROM`, `COPY --from=` and `RUN --mount=…,from=`, without earlier stages and `scratch`. An
    invalid reference is left out, for the builder to report.

    Args:
        dockerfile_text: The Dockerfile.
        build_args: Build arguments; each overrides the default of an `ARG` before the first `FROM`.
    """
    scope = automatic_arguments(host_platform())
    stages: set[str] = set()
    count = 0
    found: dict[BaseImage, None] = {}
    for each in read_instructions(dockerfile_text):
        match each.keyword:
            case "ARG" if count == 0:
                _declare(each.rest, scope, build_args or {})
            case "FROM":
                line = read_from(each.rest)
                name, platform = (expand_word(text, scope) for text in (line.base, line.platform))
                _collect([] if name.lower() in stages else [(name, platform)], found)
                count += 1
                stages |= {str(count - 1), line.name.lower()} - {""}
            case "COPY" | "ADD" | "RUN":
                _collect([(name, "") for name in _other_sources(each.rest) if name.lower() not in stages], found)
            case _:
                continue
    return tuple(found)


def _collect(wanted: list[tuple[str, str]], found: dict[BaseImage, None]) -> None:
    for name, platform in wanted:
        image = parse_base_image(name, platform=platform)
        if image is not None and name.lower() != SCRATCH:
            found[image] = None


def automatic_arguments(target: Platform) -> dict[str, str]:
    """Return the arguments that every build has, such as TARGETARCH, for a platform to build for."""
    return {
        f"{side}{part}": value
        for side, platform in (("BUILD", host_platform()), ("TARGET", target))
        for part, value in {
            "PLATFORM": str(platform),
            "OS": platform.system,
            "ARCH": platform.architecture,
            "VARIANT": platform.variant,
        }.items()
    }


def _declare(rest: str, scope: dict[str, str], given: Mapping[str, str]) -> None:
    for found in _ARGUMENT.finditer(rest):
        name, default = found[1], found[2]
        if name in given:
            scope[name] = given[name]
        elif default is not None:
            scope[name] = expand_word(default, scope)


def _other_sources(rest: str) -> Iterator[str]:
    while (flag := _FLAG.match(rest)) is not None:
        if flag[1] == "from":
            yield _unquote(flag[2])
        elif flag[1] == "mount":
            yield from (part[5:] for part in flag[2].split(",") if part.startswith("from="))
        rest = rest[flag.end() :]


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
