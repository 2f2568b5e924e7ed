"""The part of `dagger.json` that says which images a repository has, and their settings.

The fields are those of `core/modules/config.go` in the source of Dagger; all others are left to Dagger.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ci.settings.places import Place, read_text, wrong_value

DAGGER_JSON = "dagger.json"
MODULE = "backend-pipeline"
"""The module's name in its own `dagger.json`, in prefixes of `.env`, and at the end of the addresses it is used by."""

_BEFORE_HOST = re.compile(r"(?:[a-z]+://)?(?:[^/@]+@)?(?=[^/@]+[/:])")
_VERSION = re.compile(r"[@#]")


class Customization(BaseModel):
    """The value of one argument; of the constructor, if no function is named."""

    model_config = ConfigDict(frozen=True, strict=True)

    argument: str = ""
    function: tuple[str, ...] = Field(default=(), strict=False)
    default: str = ""
    default_path: str = Field(default="", alias="defaultPath")
    default_address: str = Field(default="", alias="defaultAddress")


class Dependency(BaseModel):
    """A module that this one uses: a blueprint or toolchain."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: str = ""
    source: str = ""
    pin: str = ""
    customizations: tuple[Customization, ...] = Field(default=(), strict=False)


def _dependency(value: object) -> object:
    return {"source": value} if isinstance(value, str) else value


_Dependency = Annotated[Dependency, BeforeValidator(_dependency)]


class DaggerJson(BaseModel):
    """A `dagger.json`."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: str = ""
    blueprint: _Dependency | None = None
    toolchains: tuple[_Dependency, ...] = Field(default=(), strict=False)


def read_dagger_json(file: Path) -> DaggerJson:
    """Read a file.

    Raises:
        UsageError: It cannot be read, or a value in it is not valid.
    """
    text = read_text(file)
    try:
        return DaggerJson.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = _path(first["loc"]) or "the whole file"
        value = first["input"] if isinstance(first["input"], str) else json.dumps(first["input"])
        raise wrong_value(Place(file, key), value, f"{first['msg']}.") from error


def local_folder(dependency: Dependency, file: Path) -> Path | None:
    """Return the directory of a local module, or None if it comes from git; see `core/modulerefs.go` in Dagger."""
    source = dependency.source
    remote = bool(dependency.pin) or "://" in source or ("." in source and not source.startswith((".", "/")))
    return None if remote else file.parent / source


def is_this_module(dependency: Dependency, file: Path) -> bool:
    """Return whether a dependency is this module, by the name in its own file, or at the end of its git address."""
    folder = local_folder(dependency, file)
    if folder is not None:
        found = folder / DAGGER_JSON
        return found.is_file() and read_dagger_json(found).name == MODULE
    address = _VERSION.split(_BEFORE_HOST.sub("", dependency.source, count=1))[0]
    return address.rpartition("/")[2].removesuffix(".git") == MODULE


def _path(location: tuple[int | str, ...]) -> str:
    """Spell a location as code does: `toolchains[0].source`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
