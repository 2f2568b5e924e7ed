"""Rewrites what Docker knows and buildah 1.28 does not: here-documents, `--link`, and flags with their default value.

A RUN with a here-document becomes one command in one line, a COPY one becomes a COPY from a generated directory. Every
line keeps its number, and the text of a here-document is part of its line, so that buildah's cache reacts to it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ci.dockerfile.variables import ExpansionError, Scope, expand
from ci.engine.errors import NotServedError, QueryFailedError
from pipeline.rules.dockerfile import Heredoc, Instruction, escape_character, exec_form, read_instructions

GENERATED = "embedded-engine-heredocs"
"""The name of the build context that holds the generated files."""

_MARK = "# heredoc"
_LONGEST = 60_000
_AS_A_FILE = "write the script to a file with COPY, and run the file"
_MEMORY = "/dev/shm/heredoc-"  # noqa: S108 - in the container, and removed after use
_GENERATED_RUN = re.compile(rf"(?:eval \"\$\(|file={_MEMORY}\$\$; )printf %b '([^']*)'(?:\)\"| > \$file && .*) {_MARK}")
_ENCODED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "'": "\\0047"}
_DECODED = {code: character for character, code in _ENCODED.items()}
_CODE = re.compile(r"\\(?:0047|.)")
_HEREDOC_WORD = re.compile(r"\d*<<-?[\"']?[^\s<\"']+[\"']?")
_SHELL_NAME = re.compile(r"(?:ba|da|a|k|mk|z)?sh|busybox|\S+\.sh")
_DROPPED = {
    "COPY": re.compile(r"--link(?:=(?:true|false))?"),
    "ADD": re.compile(r"--link(?:=(?:true|false))?"),
    "RUN": re.compile(r"--network=default|--security=sandbox"),
}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A Dockerfile for buildah 1.28.

    Attributes:
        text: The Dockerfile; its lines have the numbers of the original.
        files: The generated files by path in the build context `GENERATED`.
        originals: What stood for each generated line, without the text of here-documents.
    """

    text: str
    files: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)

    def write_files(self, folder: Path) -> None:
        """Write the generated files, readable by all, below a directory."""
        for path, content in self.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8", errors="surrogateescape", newline="")
            file.chmod(0o644)

    def original(self, message: str) -> str:
        """Return a message of buildah with the lines of the original Dockerfile."""
        for line, original in self.originals.items():
            message = message.replace(line, original)
        return message


def needs_environment(instruction: Instruction) -> bool:
    """Return whether the result depends on variables: a here-document that becomes a file contains some."""
    copies = instruction.keyword in {"COPY", "ADD"}
    return copies and any(heredoc.expands and "$" in heredoc.body for heredoc in instruction.heredocs)


def rewritten(text: str, scopes: Sequence[Scope], path: str) -> Rewritten:
    """Rewrite a Dockerfile. One without the features of this module stays as it is.

    Args:
        text: The Dockerfile.
        scopes: The scope of each instruction.
        path: Its path, for messages.

    Raises:
        QueryFailedError: A here-document has no end, or its instruction is not valid.
        NotServedError: It cannot be rewritten.
    """
    lines = text.split("\n")
    escape = escape_character(lines)
    files: dict[str, str] = {}
    originals: dict[str, str] = {}
    shell: list[str] = []
    for each, scope in zip(read_instructions(text), scopes, strict=True):
        where = f"(line {each.first + 1} of {path})"
        if each.keyword == "FROM":
            shell = []
        elif each.keyword == "SHELL":
            shell = exec_form(each.rest)
        if not each.heredocs:
            _drop_flags(lines, each, escape)
            continue
        if missing := next((heredoc.name for heredoc in each.heredocs if not heredoc.ended), None):
            msg = f"failed to build: unterminated heredoc {missing} {where}"
            raise QueryFailedError(msg)
        if each.keyword == "RUN":
            made = [_run(each, lines, escape, shell, where)]
        elif each.keyword == "ONBUILD":
            what = f"ONBUILD with a heredoc {where}"
            raise NotServedError(what, instead="write the command of ONBUILD in one line")
        else:
            made = _copies(each, scope, files, where)
        originals |= dict.fromkeys(made, f"{each.keyword} {each.rest}")
        lines[each.first : each.last + 1] = made + [""] * (each.last + 1 - each.first - len(made))
    return Rewritten("\n".join(lines), files, originals)


def readable(command: str) -> str:
    """Return a command with the text of its here-document in the place of what `rewritten` made of it."""
    return _GENERATED_RUN.sub(lambda found: _decoded(found[1]), command)


def _run(each: Instruction, lines: Sequence[str], escape: str, shell: Sequence[str], where: str) -> str:
    if shell and not (_SHELL_NAME.fullmatch(PurePosixPath(shell[0]).name) and len(shell) > 1):
        what = f"RUN with a heredoc {where} under SHELL {json.dumps(list(shell))}"
        raise NotServedError(what, instead=_AS_A_FILE)
    flags, command = _split_flags(_command(each, lines, escape))
    kept = [flag for flag in flags if not _DROPPED["RUN"].fullmatch(flag)]
    first = each.heredocs[0]
    if len(each.heredocs) > 1 or not _HEREDOC_WORD.fullmatch(command):
        script = command + "".join(f"\n{heredoc.raw}{heredoc.name}" for heredoc in each.heredocs)
        line = _evaluated(script)
    elif first.body.startswith("#!"):
        line = _interpreted(first.body)
    else:
        line = _evaluated(first.body)
    line = " ".join(["RUN", *kept, line])
    if len(line.encode("utf-8", "surrogateescape")) > _LONGEST:
        what = f"RUN with a heredoc of more than {_LONGEST} bytes {where}"
        raise NotServedError(what, instead=_AS_A_FILE)
    return line


def _evaluated(script: str) -> str:
    """Return a command that has the image's shell run a script; whichever shell that is, `eval` is in it."""
    return f"eval \"$(printf %b '{_encoded(script)}')\" {_MARK}"


def _interpreted(script: str) -> str:
    """Return a command that runs a script by the interpreter of its first line, from a file in memory."""
    program, _, argument = script.partition("\n")[0].removeprefix("#!").strip().partition(" ")
    words = [shlex.quote(word) for word in (program, argument.strip()) if word]
    run = f"{' '.join(words)} $file; code=$?; rm -f $file; exit $code"
    return f"file={_MEMORY}$$; printf %b '{_encoded(script)}' > $file && {run} {_MARK}"


def _copies(each: Instruction, scope: Scope, files: dict[str, str], where: str) -> list[str]:
    flags, rest = _split_flags(each.rest)
    *sources, target = rest.split()
    flags = [flag for flag in flags if not _DROPPED[each.keyword].fullmatch(flag)]
    others = [word for word in sources if not _HEREDOC_WORD.fullmatch(word)]
    if len(sources) > 1 and not target.endswith("/"):
        msg = f"failed to build: {each.keyword} {where} has several sources, so its destination must end with /"
        raise QueryFailedError(msg)
    made = [" ".join([each.keyword, *flags, *others, target])] if others else []
    paths = []
    for heredoc in each.heredocs:
        content = _content(heredoc, scope, each.keyword, where)
        paths.append(f"{_hash(content)}/{PurePosixPath(heredoc.name).name or 'heredoc'}")
        files[paths[-1]] = content
    kept = [flag for flag in flags if not flag.startswith("--from=")]
    return [*made, " ".join(["COPY", f"--from={GENERATED}", *kept, *paths, target])]


def _content(heredoc: Heredoc, scope: Scope, keyword: str, where: str) -> str:
    if not heredoc.expands:
        return heredoc.body
    try:
        return expand(heredoc.body, scope.variables, quotes=False)
    except ExpansionError as e:
        what = f"{e} in a heredoc of {keyword} {where}"
        raise NotServedError(what, instead=f"quote the delimiter (<<'{heredoc.name}') to copy the text as it is") from e


def _drop_flags(lines: list[str], each: Instruction, escape: str) -> None:
    """Remove flags without an effect from the lines of an instruction; nothing else changes."""
    onbuild = each.keyword == "ONBUILD"
    dropped = _DROPPED.get(each.rest.partition(" ")[0].upper() if onbuild else each.keyword)
    keywords = 1 + onbuild
    for number in range(each.first, each.last + 1) if dropped else ():
        line = lines[number]
        words = [] if line.lstrip().startswith("#") else list(re.finditer(r"\S+", line))
        for word in words:
            if keywords:
                keywords -= 1
            elif dropped and dropped.fullmatch(word[0]):
                start = word.start() - len(line)
                lines[number] = lines[number][:start] + lines[number][start + len(word[0]) :].lstrip()
            elif not word[0].startswith("--") and word[0] != escape:
                return


def _command(each: Instruction, lines: Sequence[str], escape: str) -> str:
    """Return what follows the keyword, with the spaces of the lines that continue it."""
    end = each.last - sum(heredoc.raw.count("\n") + 1 for heredoc in each.heredocs)
    parts = [line.rstrip() for line in lines[each.first : end + 1] if not line.lstrip().startswith("#")]
    joined = "".join(part.removesuffix(escape) for part in parts).strip()
    return joined.partition(each.keyword)[2].strip() if each.keyword in joined else joined.split(maxsplit=1)[1]


def _split_flags(rest: str) -> tuple[list[str], str]:
    flags = []
    while (found := re.match(r"(--\S+)\s+", rest)) is not None:
        flags.append(found[1])
        rest = rest[found.end() :]
    return flags, rest


def _encoded(text: str) -> str:
    return "".join(_ENCODED.get(character, character) for character in text)


def _decoded(text: str) -> str:
    return _CODE.sub(lambda found: _DECODED.get(found[0], found[0]), text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
