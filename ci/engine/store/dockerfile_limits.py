"""What buildah 1.28 cannot build: found before a build and refused by name, with the line and the ways out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ci.engine.errors import NotServedError, QueryFailedError
from pipeline.rules.dockerfile import Instruction

_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_SYNTAX = re.compile(r"#\s*syntax\s*=\s*(\S+)\s*", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*\w+\s*=.*")
_FRONTEND = re.compile(r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?(?:[:@]\S*)?")
_GIT = re.compile(r"(?:git|ssh)://|git@[\w.-]+:|github\.com/|https?://[^\s#]+\.git(?:#\S*)?$")
_FROM = re.compile(r"(?<=[-,]from=)[^\s,]+")
_MODE = re.compile(r"[0-7]+|.*\$.*")
_QUOTED = re.compile(r"\\.|'[^']*'")
_SUBSTITUTION = re.compile(r"\$\{\w+(?!:[-+]|\}|\w)[^}]*\}?")
_EXPANDED = frozenset(
    {"ADD", "ARG", "COPY", "ENV", "EXPOSE", "FROM", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
# `link` is removed by the rewriting, like the flags without an effect.
_SERVED = {
    "ADD": frozenset({"chmod", "chown", "link"}),
    "COPY": frozenset({"chmod", "chown", "from", "link"}),
    "RUN": frozenset({"mount"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "retries"}),
}
_WITHOUT_EFFECT = frozenset({("network", "default"), ("security", "sandbox")})
_REWRITE = {
    "parents": "copy each directory with a COPY of its own",
    "exclude": "name the files in .dockerignore, or copy only what you need",
    "checksum": "download the file in a RUN, and check it with sha256sum",
    "keep-git-dir": "clone the repository in a RUN",
    "unpack": "extract the archive in a RUN",
    "network": "remove the flag; commands use the host's network",
    "security": "remove the flag",
    "device": "remove the flag",
    "start-interval": "use --start-period alone",
}
_TARGET = frozenset({"target", "dst", "destination"})
_SOURCE = frozenset({"from", "source", "src", "ro", "readonly", "z"})
_OWNER = frozenset({"uid", "gid", "mode"})
_MOUNT_OPTIONS = {
    "bind": _TARGET | _SOURCE | {"rw", "readwrite"},
    "cache": _TARGET | _SOURCE | _OWNER | {"id", "sharing"},
    "tmpfs": _TARGET,
    "secret": _TARGET | _OWNER | {"id", "required"},
}
_REWRITE_OPTION = {
    "size": "remove size",
    "env": "read the file: NAME=$(cat /run/secrets/ID)",
    "sharing": "use sharing=locked",
}


def check_dockerfile(text: str, found: Sequence[Instruction], path: str) -> None:
    """Refuse a Dockerfile that buildah cannot build.

    Raises:
        QueryFailedError: It has no FROM.
        NotServedError: It uses what only a Dagger engine builds.
    """
    if not any(each.keyword == "FROM" for each in found):
        msg = f"{path}: no build stage: there is no FROM" if found else f"{path}: file with no instructions"
        raise QueryFailedError(msg)
    _check_frontend(text, path)
    stages: dict[str, str] = {}
    for each in found:
        for what, rewrite in (*_unserved(each.keyword, each.rest), *_other_case(each, stages)):
            where = f"{what} (line {each.first + 1} of {path})"
            raise NotServedError(where, instead=f"rewrite the line: {rewrite}")


def _check_frontend(text: str, path: str) -> None:
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not _DIRECTIVE.fullmatch(line.strip()):
            return
        syntax = _SYNTAX.fullmatch(line.strip())
        if syntax and not _FRONTEND.fullmatch(syntax[1]):
            what = f"the Dockerfile syntax {syntax[1]} (line {number} of {path})"
            raise NotServedError(what, instead="rewrite the file in the syntax docker/dockerfile")


def _other_case(each: Instruction, stages: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each stage that is not written as in its own FROM, and add the stage that begins with the instruction."""
    words = [word for word in each.rest.split() if not word.startswith("--")]
    used = words[:1] if each.keyword == "FROM" else _FROM.findall(each.rest) if each.keyword in {"COPY", "RUN"} else []
    for name in used:
        if (own := stages.get(name.lower(), name)) != name:
            yield f"the stage {own} under the name {name}", f"write {own}"
    if each.keyword == "FROM" and [word.lower() for word in words[1:2]] == ["as"]:
        stages |= {name.lower(): name for name in words[2:3]}


def _unserved(keyword: str, rest: str) -> Iterator[tuple[str, str]]:
    """Yield each part of an instruction that buildah cannot build, and how to do without."""
    if keyword == "ONBUILD":
        inner, _, rest = rest.partition(" ")
        yield from ((f"ONBUILD {what}", rewrite) for what, rewrite in _unserved(inner.upper(), rest.strip()))
        return
    if keyword in _EXPANDED and (used := _SUBSTITUTION.search(_QUOTED.sub("", rest))):
        yield f"{used[0]} in {keyword}", "use ${NAME}, ${NAME:-default} or ${NAME:+value}"
    while (flag := _FLAG.match(rest)) is not None:
        yield from _unserved_flag(keyword, flag[1], flag[2] or "")
        rest = rest[flag.end() :]
    if keyword == "ADD":
        urls = (word for word in rest.split()[:-1] if _GIT.match(word))
        yield from ((f"ADD of the Git repository {url}", "clone the repository in a RUN") for url in urls)


def _unserved_flag(keyword: str, name: str, value: str) -> Iterator[tuple[str, str]]:
    if (served := _SERVED.get(keyword)) is None:
        return
    if name not in served and (name, value) not in _WITHOUT_EFFECT:
        yield f"{keyword} --{name}", _REWRITE.get(name, "do without the flag")
    elif name == "chmod" and not _MODE.fullmatch(value.strip("\"'")):
        yield f"{keyword} --chmod={value}", "write the mode in octal, such as --chmod=755"
    elif name == "mount":
        options = dict(part.partition("=")[::2] for part in value.strip("\"'").split(","))
        yield from _unserved_mount(options)


def _unserved_mount(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    kind = options.get("type", "bind")
    if kind not in _MOUNT_OPTIONS:
        rewrite = "mount a key as a secret" if kind == "ssh" else "use a bind, cache, tmpfs or secret mount"
        yield f"RUN --mount=type={kind}", rewrite
        return
    for name, value in options.items():
        if name != "type" and name not in _MOUNT_OPTIONS[kind]:
            yield f"RUN --mount=type={kind},{name}", _REWRITE_OPTION.get(name, f"remove {name}")
        elif name == "sharing" and value not in {"shared", "locked"}:
            yield f"RUN --mount=type={kind},sharing={value}", _REWRITE_OPTION["sharing"]
        elif name == "required" and value not in {"true", "false", "1", "0"}:
            yield f"RUN --mount=type={kind},required", "write required=true"
    if kind == "secret" and "id" not in options:
        yield "RUN --mount=type=secret without id", "write id=NAME"
