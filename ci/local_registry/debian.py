"""Makes Debian's base images on this machine, out of Debian's own packages, by mmdebstrap."""

from __future__ import annotations

import os
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from ci.dockerfile.base_images import BaseImage
from ci.system.processes import run_process
from pipeline.rules.errors import EngineError
from pipeline.rules.image_name import HUB
from pipeline.rules.platforms import host_platform

# Files newer than this are dated to it, so that the same packages give the same image (Debian 12's first release).
EPOCH = 1_686_355_200
_SUITES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
_SLIM = "-slim"
# What Debian's slim images leave out as well.
_LEFT_OUT = ("man", "locale", "doc", "info", "lintian")
_TIME_LIMIT = 900.0
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class DebianBase:
    """A base image that mmdebstrap can make.

    Attributes:
        suite: Debian's name of the release.
        slim: Whether manuals and translations are left out.
    """

    suite: str
    slim: bool


def debian_base(image: BaseImage) -> DebianBase | None:
    """Return how an image can be made here; None for one that only its registry has.

    A digest or a dated tag asks for certain bytes, which nobody else can make.
    """
    if (image.registry, image.repository, image.digest) != (HUB, "library/debian", None) or image.tag is None:
        return None
    if image.platform not in {"", host_platform().architecture, str(host_platform())}:
        return None
    release = image.tag.removesuffix(_SLIM)
    suite = _SUITES.get(release, release)
    if suite not in _SUITES.values():
        return None
    return DebianBase(suite, image.tag.endswith(_SLIM))


async def make_root_filesystem(base: DebianBase, into: Path) -> None:
    """Write a Debian root filesystem with apt as a tar file; the same packages give the same bytes.

    Args:
        base: Which one.
        into: The tar file to make.

    Raises:
        EngineError: mmdebstrap is not installed, or failed; its last lines are told.
    """
    program = shutil.which("mmdebstrap")
    if program is None:
        msg = f"Debian {base.suite} cannot be made here: mmdebstrap is not installed."
        raise EngineError(msg, hint="`make setup` installs it; by hand: apt-get install mmdebstrap")
    is_root = os.geteuid() == 0
    command = [program, f"--mode={'root' if is_root else 'unshare'}", "--variant=apt", "--quiet"]
    if base.slim:
        command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    env = os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C.UTF-8"}
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        ended = await run_process(
            [*command, base.suite, str(into)], time_limit=_TIME_LIMIT, env=env, on_stderr=last_lines.append
        )
    except TimeoutError as error:
        msg = f"mmdebstrap did not make Debian {base.suite} within {_TIME_LIMIT:.0f} s."
        raise EngineError(msg, hint="Is Debian's archive reachable? Try: apt-get update") from error
    if ended.exit_code != 0:
        msg = f"mmdebstrap could not make Debian {base.suite}: {' / '.join(last_lines) or 'it said nothing'}"
        hint = "Is Debian's archive reachable? Try: apt-get update"
        if not is_root:
            hint = "Without root it needs user namespaces, and lines for you in /etc/subuid and /etc/subgid."
        raise EngineError(msg, hint=hint)
