"""What `lr-ci config` prints: each value with where it comes from. `docs/config-report.schema.json` describes it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ValueSource(StrEnum):
    """What a value comes from, in the order in which the first one that has it wins."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


class ConfigValue(BaseModel):
    """The value of an option."""

    model_config = ConfigDict(frozen=True)

    option: str = Field(description="The option, such as --name.")
    command: str | None = Field(description="The command that it is for; null for an option of every command.")
    value: str | int | bool | tuple[str, ...] | None = Field(
        description="The value; null if it is only known when a command runs. Of a secret, the place that it is in."
    )
    source: ValueSource = Field(description="What it comes from.")
    key: str | None = Field(description="The flag, the environment variable, or the key in the file.")
    file: str | None = Field(description="The file, by its path from the current directory.")


class ImageConfig(BaseModel):
    """The values of the options for one image."""

    model_config = ConfigDict(frozen=True)

    image: str | None = Field(description="The name of its toolchain; null for a repository's only image.")
    values: tuple[ConfigValue, ...]


class ConfigReport(BaseModel):
    """The values of the options, with where they come from."""

    model_config = ConfigDict(frozen=True, title="ConfigReport")

    schema_version: Literal[1] = 1
    images: tuple[ImageConfig, ...]
