from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagger.mod._exceptions import FunctionError

from pipeline.module import BackendPipeline
from pipeline.rules.checkout import Checkout, Commit
from pipeline.rules.errors import CheckoutError, PipelineError
from tests.pipeline.interface import cli_name, registered
from tests.pipeline.rules.test_report import REWRITE
from tests.pipeline.samples import SHA

EXPECTED = Path(__file__).with_name("module_interface.txt")


async def test_the_module_shows_what_is_checked_in(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = await registered(monkeypatch)
    if os.environ.get(REWRITE):
        EXPECTED.write_text(listing, encoding="utf-8")
    assert EXPECTED.read_text(encoding="utf-8") == listing, f"{REWRITE}=1 pytest {Path(__file__).name} writes it anew"


async def test_every_type_function_and_argument_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "(no description)" not in await registered(monkeypatch)


@pytest.mark.parametrize("function", ["plan", "publish", "build-and-push", "verify"])
async def test_what_reads_or_writes_a_registry_is_never_cached(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    lines = (await registered(monkeypatch)).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(f"  function {function} ->"))
    assert lines[place + 1] == "    cache: Never"


def test_names_are_spelled_as_on_the_command_line() -> None:
    assert cli_name("build_and_push") == "build-and-push"
    assert cli_name("allowDirty") == "allow-dirty"
    assert cli_name("ref") == "ref"


async def _call(function: str, arguments: dict[str, Any]) -> Any:
    """Call a function of the module as the engine does."""
    module = BackendPipeline.__dagger_module__  # type: ignore[attr-defined] # object_type adds it
    state = {"ws": "id-of-workspace"}
    return await module.get_result("BackendPipeline", state, function, arguments)


def _git_says(monkeypatch: pytest.MonkeyPatch, answer: Checkout | Exception) -> None:
    """Stand in for git, which only an engine can ask."""

    async def read_checkout(*_: object) -> Checkout:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("pipeline.module.read_checkout", read_checkout)


CHECKOUT = Checkout(
    head=Commit(sha=SHA, message="Save links\n", time=datetime(2025, 11, 3, tzinfo=UTC)),
    ref="refs/heads/master",
    origin="https://github.com/acme/links",
)


@pytest.mark.parametrize("function", ["plan", "build", "build_and_push", "publish", "verify"])
async def test_our_errors_reach_the_person_as_their_message_alone(
    monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    _git_says(monkeypatch, CheckoutError("There is no commit.", hint="Make one."))
    with pytest.raises(FunctionError) as caught:
        await _call(function, {})
    assert str(caught.value) == "There is no commit.\nMake one."
    assert isinstance(caught.value.__cause__, PipelineError)


async def test_our_errors_leave_no_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _git_says(monkeypatch, CHECKOUT)
    with pytest.raises(FunctionError, match="not a version"):
        await _call("plan", {"ref": "refs/tags/vendor.x.y"})
    assert caplog.text == ""


async def test_any_other_exception_is_a_bug_and_stays_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    _git_says(monkeypatch, LookupError("a bug"))
    module = BackendPipeline.__dagger_module__  # type: ignore[attr-defined] # object_type adds it
    pipeline = BackendPipeline(ws=None)  # type: ignore[call-arg] # as above
    assert module.log_exceptions
    with pytest.raises(LookupError, match="a bug"):
        await pipeline.plan()


async def test_a_plan_is_json_and_takes_the_flags_values(monkeypatch: pytest.MonkeyPatch) -> None:
    _git_says(monkeypatch, CHECKOUT)
    answer = await _call("plan", {"ref": "refs/tags/v1.2.3", "latest": "NEVER"})
    assert '"tags": [\n    "sha-9c68c4a",\n    "v1.2.3"\n  ]' in answer
    assert '"latest": "never"' in answer
    assert '"image": "ghcr.io/acme/links"' in answer


async def test_what_a_publication_answers_starts_no_further_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field is read from what `publish` returned; each function would start Python anew."""
    listing = (await registered(monkeypatch)).strip().split("\n\n")
    (publication,) = [part for part in listing if part.startswith("object Publication")]
    fields = [line.split(":")[0] for line in publication.splitlines() if line.startswith("  field ")]
    assert fields == [f"  field {name}" for name in ("digest", "image", "tags", "references", "report", "summary")]
    assert "function" not in publication
