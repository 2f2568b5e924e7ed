from __future__ import annotations

import pytest

from pipeline.rules import errors
from pipeline.rules.errors import PipelineError
from pipeline.rules.exit_codes import ExitCode, worst

EXIT_CODES = {
    errors.UsageError: 2,
    errors.RefError: 2,
    errors.ImageNameError: 2,
    errors.CheckoutError: 2,
    errors.NotPublishedError: 2,
    errors.BuildError: 3,
    errors.VerificationError: 3,
    errors.AuthError: 4,
    errors.RegistryError: 5,
    errors.TransientError: 5,
    errors.InvalidImageError: 5,
    errors.EngineError: 5,
    errors.GuardError: 6,
    errors.CollisionError: 6,
    errors.DirtyTreeError: 6,
    errors.SourceMismatchError: 6,
    errors.WriteOnceError: 6,
}


def _subclasses(kind: type[PipelineError]) -> set[type[PipelineError]]:
    direct = {found for found in kind.__subclasses__() if found.__module__ == errors.__name__}
    return direct.union(*map(_subclasses, direct)) if direct else direct


def test_every_kind_of_error_has_its_exit_code() -> None:
    assert {kind: kind.exit_code for kind in _subclasses(PipelineError)} == EXIT_CODES


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (ExitCode.OK, 0),
        (ExitCode.BUG, 1),
        (ExitCode.USAGE, 2),
        (ExitCode.BUILD, 3),
        (ExitCode.AUTH, 4),
        (ExitCode.NETWORK, 5),
        (ExitCode.GUARD, 6),
    ],
)
def test_exit_codes_do_not_change(code: ExitCode, number: int) -> None:
    assert code == number


def test_an_error_shows_what_happened_and_then_what_to_do() -> None:
    assert str(PipelineError("It broke.", hint="Mend it.")) == "It broke.\nMend it."
    assert str(PipelineError("It broke.")) == "It broke."


def test_an_error_is_extended_by_a_new_one_of_its_kind() -> None:
    error = errors.TransientError("It broke.", hint="Mend it.", after=7.0)
    extended = error.extended("Twice.")
    assert isinstance(extended, errors.TransientError)
    assert (str(extended), extended.after) == ("It broke. Twice.\nMend it.", 7.0)
    assert repr(extended) == "TransientError('It broke. Twice.')"
    assert str(error) == "It broke.\nMend it."


@pytest.mark.parametrize(("codes", "code"), [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 6, 2], 6), ([6, 1], 1)])
def test_the_worst_of_several_exit_codes_is_a_bug_or_the_highest(codes: list[int], code: int) -> None:
    assert worst(codes) == code
