"""Which engine the tests marked `engine` talk to: `pytest --engine embedded`, `--engine dagger`, or what is there."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings

from ci.local.engine_choice import CLI_BIN, SESSION_PORT, dagger_program

# An example has no deadline, which a busy machine would exceed.
settings.register_profile("ci", deadline=None)
settings.register_profile("fuzz", settings.get_profile("ci"), max_examples=100_000)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=("auto", "embedded", "dagger"),
        default="auto",
        help="the engine for the tests marked `engine`; auto uses a Dagger engine if `dagger` is on PATH",
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say at once, and once, that the engine that was asked for is not there."""
    wanted = any("engine_kind" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.getoption("--engine") != "dagger" or os.environ.get(SESSION_PORT):
        return
    if dagger_program() is None:
        missing = f"{CLI_BIN} is not a program" if os.environ.get(CLI_BIN) else "`dagger` is not on PATH"
        msg = f"--engine dagger: {missing}, and no session is open."
        raise pytest.UsageError(msg)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio alone, which is what the SDK runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def engine_kind(request: pytest.FixtureRequest) -> str:
    """`embedded` or `dagger`; the test is skipped where that one cannot run."""
    kind: str = request.config.getoption("--engine")
    if kind == "auto":
        kind = "dagger" if shutil.which("dagger") else "embedded"
    if kind == "embedded":
        require_embedded_engine()
    return kind


def require_embedded_engine() -> None:
    """Skip the test where the embedded engine cannot run."""
    missing = [name for name in ("buildah", "skopeo") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed; `make setup` installs what is missing")
    if os.geteuid() != 0:
        pytest.skip("the embedded engine builds as root only")
