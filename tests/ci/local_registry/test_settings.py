from __future__ import annotations

import re
from pathlib import Path

import pytest

from ci.local_registry.settings import DEFAULT_PORT, RegistrySettings
from pipeline.rules.errors import UsageError

MAKEFILE = Path(__file__).parents[3] / "Makefile"


def test_the_makefile_has_the_default_port() -> None:
    makefile = MAKEFILE.read_text(encoding="utf-8")
    assert re.findall(r"^DEFAULT_PORT := (\d+)$", makefile, re.MULTILINE) == [str(DEFAULT_PORT)]
    assert makefile.count(str(DEFAULT_PORT)) == 1


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_an_invalid_port_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match=f"Invalid port {port}"):
        RegistrySettings(port=port)
