"""What a user gave to a command, completed by the files of the repository.

A flag wins over an environment variable, that over a file, and that over the default in the code.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ci.cli.extra_options import DebugOptions
from ci.local.run_settings import current_directory
from ci.settings.arguments import Kind
from ci.settings.images import Image, Setting, choose_image, read_images
from ci.system.secret_source import SecretSourceError, parse_secret_source
from pipeline.rules.errors import UsageError
from pipeline.rules.image_name import image_name
from pipeline.rules.runtime_checks import RuntimeChecks
from pipeline.rules.shared_options import options_of
from pipeline.rules.tagging import LatestPolicy

Options = TypeVar("Options", bound=DebugOptions)

_ANY_REGISTRY, _ANY_NAME = "localhost", "image"
_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "registry": lambda registry: image_name(registry, None, _ANY_NAME),
    "owner": lambda owner: image_name(_ANY_REGISTRY, owner, _ANY_NAME),
    "name": lambda name: image_name(_ANY_REGISTRY, None, name),
    "path": lambda path: RuntimeChecks(path=path),
    "port": lambda port: RuntimeChecks(port=port),
}
"""What is otherwise checked where nothing is known of the file that a value came from."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of an option comes from.

    Attributes:
        given: The flag or the environment variable; empty if it is neither.
        setting: The value of a file that is used, or None.
    """

    given: str = ""
    setting: Setting | None = None


@dataclass(frozen=True, slots=True)
class Invocation(Generic[Options]):
    """A command with what was given to it.

    Attributes:
        model: The model of its options.
        function: The module's function that does the same.
        values: The values of its options, by name: given ones, and defaults.
        given: The flags and environment variables that were given, by the name of the option.
        image: The image that `lr-ci --image` chose.
    """

    model: type[Options]
    function: str
    values: Mapping[str, Any]
    given: Mapping[str, str]
    image: str | None = None

    def images(self) -> tuple[Image, ...]:
        """Return the images of the repository, or the chosen one alone.

        Raises:
            UsageError: A file is not valid, or there is no such image.
        """
        found = read_images(current_directory())
        chosen = self.values.get("image") or self.image
        return found if chosen is None else (choose_image(found, chosen),)

    def options(self, image: Image | None = None, function: str | None = None) -> Options:
        """Return the options for an image; by default for the only one, or the chosen one.

        Args:
            image: The image.
            function: The function whose settings count, instead of this command's.

        Raises:
            UsageError: A value is not valid, or there are several images.
        """
        values = _parsed(self.model, self.values)
        for name, origin in self.origins(image, function).items():
            if origin.setting is not None:
                values[name] = _from_file(self.model, name, origin.setting)
        return self.model(**values)

    def origins(self, image: Image | None = None, function: str | None = None) -> dict[str, Origin]:
        """Return where the value of each option comes from, for this command or another function."""
        settings: dict[str, Setting] = {}
        if "image" in self.values:  # a command without it has nothing that files set
            settings = (choose_image(self.images(), None) if image is None else image).settings(
                self.function if function is None else function
            )
        return {
            name: Origin(given=self.given[name]) if name in self.given else Origin(setting=settings.get(name))
            for name in self.values
        }


def _parsed(model: type[DebugOptions], values: Mapping[str, Any]) -> dict[str, Any]:
    """Parse the values of the options that `Option` parses."""
    return {**values, **dict(_parsed_options(model, values))}


def _parsed_options(model: type[DebugOptions], values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, option in options_of(model).items():
        if option.parse_all is not None:
            yield name, option.parse_all(values[name] or ())
        elif option.parse is not None and values[name] is not None:
            yield name, option.parse(values[name])


def _from_file(model: type[DebugOptions], name: str, setting: Setting) -> object:
    """Return the value of a file as the option has it.

    Raises:
        UsageError: It is not valid; the message names the file and the key.
    """
    option = options_of(model)[name]
    try:
        if setting.kind.is_secret:
            _check_places(setting)
        if option.parse_all is not None:
            return option.parse_all(_items(setting.value))
        if option.parse is not None:
            return option.parse(",".join(_items(setting.value)))
        if isinstance(setting.value, tuple):
            return shlex.join(setting.value)
        if name == "latest":
            return _policy(str(setting.value))
        if name in _CHECKS:
            _CHECKS[name](setting.value)
    except (UsageError, SecretSourceError) as error:
        raise setting.wrong(error.message, error.hint) from error
    return setting.value


def _check_places(setting: Setting) -> None:
    for item in _items(setting.value):
        parse_secret_source(item.partition("=")[2] if setting.kind is Kind.SECRETS else item)


def _items(value: object) -> Sequence[str]:
    return value if isinstance(value, tuple) else (str(value),)


def _policy(text: str) -> LatestPolicy:
    try:
        return LatestPolicy(text.lower())
    except ValueError as error:
        msg = f"expected one of {', '.join(each.value for each in LatestPolicy)}."
        raise UsageError(msg) from error
