"""The backend's own tests, in the image that its Dockerfile makes for them."""

from __future__ import annotations

import re

import dagger
import pytest
from dagger import dag

from ci.engine.protocol.events import Event, OutputLine
from ci.engine.store.storage import Mirror
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
    found = await prepare_base_images(ROOT / "backend" / "Dockerfile", output.append)
    mirrors = [Mirror(registry=mirror.prefix, location=mirror.location) for mirror in found]
    async with open_session(EngineKind.EMBEDDED, note, mirrors):
        source = dag.host().directory(str(ROOT / "backend"))
        tested = source.docker_build(target="test").with_exec(["bin/rails", "test"], expect=dagger.ReturnType.ANY)
        answer, exit_code = await tested.stdout(), await tested.exit_code()

    counts = _COUNTS.search(answer)
    assert counts is not None, "\n".join([*output, answer])
    runs, failures, errors, skips = map(int, counts.groups())
    assert (failures, errors, skips, exit_code) == (0, 0, 0, 0), answer
    assert runs > 50
