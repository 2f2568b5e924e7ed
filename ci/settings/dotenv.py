"""The file `.env`, as Dagger reads it for the defaults of a module's arguments.

Sources there: `core/envfile.go` (lines, prefixes, case), `core/dotenv` (values), `core/modulesource.go` (which files).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ci.settings.places import SHOWN_AS_SECRET, Place, read_text, wrong_value
from ci.settings.shell_words import ValueSyntaxError, evaluate

DOTENV = ".env"

_EXPORT = re.compile(r"export\s+")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a file.

    Attributes:
        raw: Its value as the file has it.
        place: Where it stands.
    """

    raw: str
    place: Place


@dataclass(frozen=True, slots=True)
class Variables:
    """Variables by name, without the prefix that was cut off.

    Attributes:
        own: Those that can be looked up.
        context: Others of the same files, raw, which those may refer to.
    """

    own: Mapping[str, Variable] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)

    def merged(self, later: Variables) -> Variables:
        """Return these variables and later ones, which win."""
        return Variables({**self.own, **later.own}, {**self.context, **later.context})

    def below(self, prefix: str) -> Variables:
        """Return the variables with a prefix, without it.

        Args:
            prefix: A name in any spelling; `BACKEND_PIPELINE_` and `backendPipeline_` both match `backend-pipeline`.
        """
        prefixes = _spellings(prefix)
        own: dict[str, Variable] = {}
        context = dict(self.context)
        for name, variable in sorted(self.own.items()):
            spelled = next((each for each in prefixes if name.lower().startswith(each)), None)
            if spelled is None:
                context[name] = variable.raw
            else:
                own[name[len(spelled) :]] = variable
        return Variables(own, context)

    def find(self, name: str) -> tuple[str, Place] | None:
        """Return a variable's value and place, or None; case does not count.

        Raises:
            UsageError: The value cannot be evaluated.
        """
        found = next((own for own in sorted(self.own) if own.lower() == name.lower()), None)
        if found is None:
            return None
        variable = self.own[found]
        try:
            return self._value(found, ()), variable.place
        except ValueSyntaxError as error:
            shown = variable.raw if "SECRET" not in found.upper() and "TOKEN" not in found.upper() else SHOWN_AS_SECRET
            raise wrong_value(variable.place, shown, f"{error}.") from error

    def _value(self, name: str, referring: tuple[str, ...]) -> str:
        if name in referring:
            msg = f"the variable {name} refers to itself"
            raise ValueSyntaxError(msg)
        raw = self.own[name].raw if name in self.own else self.context[name]

        def look_up(other: str) -> str | None:
            if other in self.own or other in self.context:
                return self._value(other, (*referring, name))
            return os.environ.get(other)

        return evaluate(raw, look_up)


def read_dotenv(file: Path | None) -> Variables:
    """Read a file's variables; none if there is no such regular file.

    Raises:
        UsageError: It cannot be read.
    """
    if file is None or not file.is_file():
        return Variables()
    own: dict[str, Variable] = {}
    for line in read_text(file).split("\n"):
        name, _, raw = _EXPORT.sub("", line.strip(), count=1).partition("=")
        if _NAME.fullmatch(name):  # else it is blank, a comment, or Dagger does not read the file
            own[name] = Variable(raw, Place(file, name))
    return Variables(own)


def _spellings(name: str) -> tuple[str, str]:
    """Return the two prefixes that stand for a name, in lower case: as in camelCase and as in snake_case."""
    words = [word.lower() for word in _WORD.findall(name)]
    return f"{''.join(words)}_", f"{'_'.join(words)}_"
