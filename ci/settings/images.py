"""The images of a repository and the settings of each, by `dagger.json` and `.env`.

The rules are Dagger's, in the order in which a later one wins:

- in the module's own repository, and for a blueprint: `.env` beside the module's `dagger.json`, if that is local;
- everywhere: the nearest `.env` above the current directory, of which only variables with the prefix
  `BACKEND_PIPELINE_` count, whatever a toolchain is called;
- for a blueprint: `.env` beside the `dagger.json` that names it.

If a toolchain has a customization for the constructor, its constructor reads no `.env` at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ci.settings.arguments import CONSTRUCTOR, FUNCTIONS, Kind, Value, read_function_default, read_value, spelled
from ci.settings.dagger_json import (
    DAGGER_JSON,
    MODULE,
    Customization,
    Dependency,
    is_this_module,
    local_folder,
    read_dagger_json,
)
from ci.settings.dotenv import DOTENV, Variables, read_dotenv
from ci.settings.places import SHOWN_AS_SECRET, Place, find_up, wrong_value
from pipeline.rules.errors import UsageError
from pipeline.rules.named_values import secret_ids
from pipeline.rules.text import quoted


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a file gives to an argument.

    Attributes:
        value: The value.
        kind: The argument's type.
        text: The value as it is shown.
        place: Where it stands.
    """

    value: Value
    kind: Kind
    text: str = field(repr=False)
    place: Place

    def wrong(self, problem: str, hint: str = "") -> UsageError:
        """Return the error about the value."""
        return wrong_value(self.place, self.text, problem, hint=hint)


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a repository.

    Attributes:
        name: The name of its toolchain; None for a repository's only image.
        file: The `dagger.json` of its toolchain.
        variables: What `.env` files say.
        customizations: What its toolchain says, by the key of each.
    """

    name: str | None = None
    file: Path | None = None
    variables: Variables = field(default_factory=Variables)
    customizations: Mapping[str, Customization] = field(default_factory=dict)

    def settings(self, function: str) -> dict[str, Setting]:
        """Return the settings of the arguments of the constructor and of a function, by argument.

        Args:
            function: The function's name; one that the module does not have has no arguments.

        Raises:
            UsageError: A value is not valid, or a customization names an argument that does not exist.
        """
        found = dict(self._customized(function))
        of_constructor = not any(self._sets_constructor())
        variables = self.variables.below(function)
        for kinds, source, counts in (
            (CONSTRUCTOR, self.variables, of_constructor),
            (FUNCTIONS.get(function, {}), variables, True),
        ):
            for name, kind in kinds.items():
                variable = source.find(spelled(name)) if counts else None
                if variable is not None:
                    text, place = variable
                    found[name] = _setting(kind, text, place, of_function=False)
        return _with_named_secrets(found)

    def _sets_constructor(self) -> Iterator[bool]:
        return (True for each in self.customizations.values() if each.default and not each.function)

    def _customized(self, function: str) -> Iterator[tuple[str, Setting]]:
        for key, customization in self.customizations.items():
            assert self.file is not None  # noqa: S101 - the type checker cannot know
            place = Place(self.file, f"{key} ({customization.argument})")
            of_function = customization.function
            name, kind = _argument(customization, place)
            if not customization.default or (of_function and spelled(function).lower() != _lower(of_function[-1])):
                continue
            yield name, _setting(kind, customization.default, place, of_function=bool(of_function))


def read_images(folder: Path) -> tuple[Image, ...]:
    """Read the images of the repository that contains a directory.

    Args:
        folder: The current directory.

    Raises:
        UsageError: A file cannot be read.
    """
    outer = read_dotenv(find_up(folder, DOTENV)).below(MODULE)
    file = find_up(folder, DAGGER_JSON)
    if file is None or not file.is_file():
        return (Image(variables=outer),)
    config = read_dagger_json(file)
    toolchains = tuple(
        _toolchain(file, index, each, outer)
        for index, each in enumerate(config.toolchains)
        if is_this_module(each, file)
    )
    if toolchains:
        return toolchains
    if config.blueprint is not None and is_this_module(config.blueprint, file):
        inner = _inner(local_folder(config.blueprint, file))
        return (Image(variables=inner.merged(outer).merged(_inner(file.parent))),)
    if config.name == MODULE:
        return (Image(variables=_inner(file.parent).merged(outer)),)
    return (Image(variables=outer),)


def choose_image(images: Sequence[Image], name: str | None) -> Image:
    """Return the image that a user chose, or the only one.

    Raises:
        UsageError: There is no such image, or there are several and none was chosen.
    """
    names = ", ".join(image.name for image in images if image.name is not None)
    if name is None and len(images) == 1:
        return images[0]
    if name is None:
        msg = f"This repository has several images: {names}."
        raise UsageError(msg, hint="Give --image with one of them, or build-and-push --all.")
    for image in images:
        if image.name == name:
            return image
    msg = f"Image {quoted(name)} not found: {DAGGER_JSON} has no such toolchain of {MODULE}."
    raise UsageError(msg, hint=f"It has: {names}." if names else f"Add it to `toolchains` in {DAGGER_JSON}.")


def _toolchain(file: Path, index: int, dependency: Dependency, outer: Variables) -> Image:
    customizations = {
        f"toolchains[{index}].customizations[{number}]": each for number, each in enumerate(dependency.customizations)
    }
    variables = _inner(local_folder(dependency, file)).merged(outer)
    return Image(dependency.name or MODULE, file, variables, customizations)


def _inner(folder: Path | None) -> Variables:
    return Variables() if folder is None else read_dotenv(folder / DOTENV)


def _argument(customization: Customization, place: Place) -> tuple[str, Kind]:
    """Return the name of the argument in code, and its type; Dagger ignores one that does not exist."""
    kinds, where = CONSTRUCTOR, "the constructor"
    if customization.function:
        functions = {spelled(name).lower(): name for name in FUNCTIONS}
        function = functions.get(_lower(customization.function[-1]))
        if len(customization.function) > 1 or function is None:
            names = ", ".join(spelled(name) for name in FUNCTIONS)
            raise wrong_value(place, ".".join(customization.function), "no such function.", hint=f"It has: {names}.")
        kinds, where = FUNCTIONS[function], spelled(function)
    by_spelling = {spelled(name).lower(): name for name in kinds}
    wanted = customization.argument if not customization.function else _camel(customization.argument)
    name = by_spelling.get(wanted.lower())
    if name is None:
        listed = ", ".join(spelled(each) for each in kinds) or "none"
        raise wrong_value(place, customization.argument, f"no such argument of {where}.", hint=f"It has: {listed}.")
    if customization.default_path or customization.default_address:
        shown = customization.default_path or customization.default_address
        raise wrong_value(place, shown, "the argument is text, neither a path nor an address.", hint="Use `default`.")
    return name, kinds[name]


def _setting(kind: Kind, text: str, place: Place, *, of_function: bool) -> Setting:
    shown = SHOWN_AS_SECRET if kind.is_secret else text
    try:
        value = read_function_default(kind, text) if of_function else read_value(kind, text)
    except ValueError as error:
        raise wrong_value(place, shown, f"expected {error}.") from error
    return Setting(value, kind, shown, place)


def _with_named_secrets(found: dict[str, Setting]) -> dict[str, Setting]:
    """Give each build secret its id, as `--build-secret ID=PLACE` has it."""
    ids, secrets = found.pop("build_secret_id", None), found.get("build_secret")
    either = secrets or ids
    if either is None:
        return found
    names = ids.value if ids is not None and isinstance(ids.value, tuple) else ()
    places = secrets.value if secrets is not None and isinstance(secrets.value, tuple) else ()
    try:
        secret_ids(names, len(places))
    except UsageError as error:
        raise either.wrong(error.message, "Set buildSecret and buildSecretId, in the same order.") from error
    value = tuple(f"{name}={place}" for name, place in zip(names, places, strict=True))
    return {**found, "build_secret": replace(either, value=value, kind=Kind.SECRETS)}


def _camel(name: str) -> str:
    return spelled(name.replace("-", "_"))


def _lower(name: str) -> str:
    return _camel(name).lower()
