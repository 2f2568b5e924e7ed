"""The backend's own tests, in the image that its Dockerfile makes for them."""

from __future__ import annotations

import re

import dagger
import pytest
from dagger import dag

from ci.engine.events import Event, OutputLine
from ci.local.base_image_mirrors import prepare_base_images
from ci.local.dagger_session import open_session
from ci.local.engine_choice import EngineKind
from tests.acceptance.command import ROOT, Command

_COUNTS = re.compile(r"^(\d+) runs, \d+ assertions, (\d+) failures, (\d+) errors, (\d+) skips$", re.MULTILINE)


async def test_the_backends_own_tests_pass_in_its_image(lr_ci: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    output: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, OutputLine):
            output.append(event.text)

    monkeypatch.setenv("XDG_CACHE_HOME", str(lr_ci.cache))
    mirrors = await prepare_base_images(ROOT / "backend" / "Dockerfile", output.append)
    async with open_session(EngineKind.EMBEDDED, note, mirrors):
        source = dag.host().directory(str(ROOT / "backend"))
        try:
            answer = await source.docker_build(target="test").with_exec(["bin/rails", "test"]).stdout()
        except dagger.ExecError as error:
            pytest.fail("\n".join([*output, error.stdout]))

    counts = _COUNTS.search(answer)
    assert counts is not None, "\n".join([*output, answer])
    runs, failures, errors, skips = map(int, counts.groups())
    assert (failures, errors, skips) == (0, 0, 0), answer
    assert runs > 50
