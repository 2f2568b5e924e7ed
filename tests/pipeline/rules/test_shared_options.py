from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest

from pipeline.rules.errors import UsageError
from pipeline.rules.platforms import Platform, Platforms
from pipeline.rules.shared_options import SHARED, Option, RunRequest, environment_variable, options_of

ROOT = Path(__file__).parents[3]
PRODUCT = [path for folder in ("ci", "pipeline") for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("name", SHARED)
def test_an_option_is_described_once(name: str) -> None:
    written = {path.name: path.read_text(encoding="utf-8").count(SHARED[name].help) for path in PRODUCT}
    assert {file: times for file, times in written.items() if times} == {"shared_options.py": 1}


@pytest.mark.parametrize("name", SHARED)
def test_a_description_fits_a_sentence(name: str) -> None:
    option = SHARED[name]
    assert option.help[0].isupper()
    assert not option.help.endswith(".")
    assert str(option).startswith(option.help)
    assert option.fallback in str(option)


def test_all_that_is_requested_is_an_option_that_need_not_be_given() -> None:
    assert list(options_of(RunRequest)) == [field.name for field in fields(RunRequest)]
    assert RunRequest().registry == "ghcr.io"


def test_an_option_reads_its_own_values() -> None:
    parse = SHARED["platform"].parse
    assert parse is not None
    assert parse("linux/arm/v7") == Platforms((Platform("linux", "arm", "v7"),))
    with pytest.raises(UsageError, match="Invalid platform"):
        parse("linux")


def test_a_variable_is_named_after_its_option() -> None:
    assert environment_variable("allow_dirty") == "LR_CI_ALLOW_DIRTY"


@dataclass(frozen=True, kw_only=True)
class Mixed:
    shared: Annotated[str, Option("Shared")] = ""
    other: Annotated[str, "of another kind"] = ""
    bare: str = ""


def test_only_what_is_shared_is_an_option_of_a_model() -> None:
    assert list(options_of(Mixed)) == ["shared"]
