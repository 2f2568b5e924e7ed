"""Which images a Dockerfile starts from: read from its text, nothing is asked of any registry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ci.local_registry.architecture import host_architecture
from ci.local_registry.settings import HUB

_DIRECTIVE = re.compile(r"^#\s*(\w+)\s*=\s*(\S+)\s*$")
_HEREDOC = re.compile(r"<<-?(['\"]?)(\w+)\1")
_FLAG = re.compile(r"^--([a-z-]+)=(\S+)\s*")
_ARGUMENT = re.compile(r"(\w+)(?:=(\"[^\"]*\"|'[^']*'|\S*))?")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^{}]*))?\})")
# The grammar of https://github.com/distribution/reference, without what only very old registries take.
_REFERENCE = re.compile(
    r"(?P<name>(?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|__?|-+|/)[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image that a build starts from, written out in full.

    Attributes:
        domain: The registry, `docker.io` where none was named.
        repository: The path there; `library/…` for the Hub's official images.
        tag: The tag; `latest` where neither a tag nor a digest was named, empty with a digest alone.
        digest: `sha256:…` when it is pinned, or empty.
        platform: What `--platform` asks for, or empty.
    """

    domain: str
    repository: str
    tag: str
    digest: str = ""
    platform: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.domain}/{self.repository}{tag}{digest}"

    @property
    def version(self) -> str:
        """What a registry is asked for: the digest when it is pinned, the tag otherwise."""
        return self.digest or self.tag


def parse_base_image(reference: str, *, platform: str = "") -> BaseImage | None:
    """Return an image reference written out in full; None when it is not one."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return None
    name, tag, digest = found["name"], found["tag"] or "", found["digest"] or ""
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = HUB, name
    if first == f"index.{HUB}":
        first = HUB
    if first == HUB and "/" not in rest:
        rest = f"library/{rest}"
    return BaseImage(first, rest, tag or ("" if digest else "latest"), digest, platform)


def base_images(dockerfile_text: str, *, build_args: Mapping[str, str] | None = None) -> tuple[BaseImage, ...]:
    """Return the images that a Dockerfile takes from registries, each once, in the order of their first use.

    They are what `FROM`, `COPY --from=` and `RUN --mount=…,from=` name, without earlier stages and `scratch`.
    Total: what cannot be read as an image is left out, for the builder to complain about.

    Args:
        dockerfile_text: The Dockerfile.
        build_args: Values given to the build; each overrules the default of an `ARG` that stands before `FROM`.
    """
    scope = _automatic_arguments()
    stages: set[str] = set()
    count = 0
    found: dict[BaseImage, None] = {}
    for keyword, rest in _instructions(dockerfile_text):
        match keyword:
            case "ARG" if count == 0:
                _declare(rest, scope, build_args or {})
            case "FROM":
                name, platform, stage = _read_from(rest, scope)
                wanted = [(name, platform)]
                wanted = [] if name.lower() in stages else wanted
                count += 1
                stages |= {str(count - 1), stage.lower()} - {""}
                _collect(wanted, found)
            case "COPY" | "ADD" | "RUN":
                _collect([(name, "") for name in _other_sources(rest) if name.lower() not in stages], found)
            case _:
                continue
    return tuple(found)


def _collect(wanted: list[tuple[str, str]], found: dict[BaseImage, None]) -> None:
    for name, platform in wanted:
        image = parse_base_image(name, platform=platform)
        if image is not None and name.lower() != "scratch":
            found[image] = None


def _automatic_arguments() -> dict[str, str]:
    architecture = host_architecture()
    parts = {"PLATFORM": f"linux/{architecture}", "OS": "linux", "ARCH": architecture, "VARIANT": ""}
    return {f"{side}{part}": value for side in ("BUILD", "TARGET") for part, value in parts.items()}


def _declare(rest: str, scope: dict[str, str], given: Mapping[str, str]) -> None:
    for found in _ARGUMENT.finditer(rest):
        name, default = found[1], found[2]
        if name in given:
            scope[name] = given[name]
        elif default is not None:
            scope[name] = _expand(_unquote(default), scope)


def _read_from(rest: str, scope: Mapping[str, str]) -> tuple[str, str, str]:
    platform = ""
    while (flag := _FLAG.match(rest)) is not None:
        platform = _expand(_unquote(flag[2]), scope) if flag[1] == "platform" else platform
        rest = rest[flag.end() :]
    name, *alias = rest.split() or [""]
    stage = alias[1] if len(alias) > 1 and alias[0].upper() == "AS" else ""
    return _expand(_unquote(name), scope), platform, stage


def _other_sources(rest: str) -> Iterator[str]:
    while (flag := _FLAG.match(rest)) is not None:
        if flag[1] == "from":
            yield _unquote(flag[2])
        elif flag[1] == "mount":
            yield from (part[5:] for part in flag[2].split(",") if part.startswith("from="))
        rest = rest[flag.end() :]


def _expand(text: str, scope: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name, operator, other = found[1] or found[2], found[3], found[4] or ""
        current = scope.get(name)
        counts = bool(current) if operator and operator.startswith(":") else current is not None
        if operator is None:
            return current or ""
        if operator.endswith("-"):
            return (current or "") if counts else _expand(other, scope)
        return _expand(other, scope) if counts else ""

    return _VARIABLE.sub(value, text)


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction's keyword in upper case and the rest of it on one line."""
    lines = iter(text.removeprefix("\ufeff").splitlines())
    escape, directives, parts = "\\", True, list[str]()
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            directive = _DIRECTIVE.match(stripped) if directives else None
            directives = directive is not None
            if directive is not None and directive[1].lower() == "escape" and directive[2] in {"\\", "`"}:
                escape = directive[2]
            continue
        directives = False
        parts.append(stripped.removesuffix(escape))
        if stripped.endswith(escape):
            continue
        yield from _instruction(parts, lines)
        parts = []
    yield from _instruction(parts, lines)


def _instruction(parts: list[str], lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    keyword, _, rest = " ".join(parts).strip().partition(" ")
    keyword = keyword.upper()
    if keyword in {"RUN", "COPY", "ADD"}:
        for found in _HEREDOC.finditer(rest):
            while (line := next(lines, None)) is not None and line.strip("\t") != found[2]:
                continue
    if keyword:
        yield keyword, rest.strip()
