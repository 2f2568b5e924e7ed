"""Builds the root filesystems of Debian's base images from Debian's packages, with mmdebstrap."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ci.dockerfile.base_images import BaseImage
from ci.system.processes import plain_environment, run_process
from pipeline.rules.errors import EngineError
from pipeline.rules.image_name import HUB
from pipeline.rules.platforms import host_platform
from pipeline.rules.text import last_lines

# Newer files get this date, so that the same packages give the same image (the date of Debian 12.0).
EPOCH = 1_686_355_200
_SUITES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
_SLIM = "-slim"
# Debian's slim images leave these out, too.
_LEFT_OUT = ("man", "locale", "doc", "info", "lintian")
_TIME_LIMIT = 900.0
_ARCHIVE = "Check that Debian's archive is reachable: apt-get update"
_WITHOUT_ROOT = "Without root, it requires user namespaces and your entries in /etc/subuid and /etc/subgid."


@dataclass(frozen=True, slots=True)
class DebianBase:
    """A base image that mmdebstrap can build.

    Attributes:
        suite: The codename of the release.
        slim: Whether manuals and translations are left out.
    """

    suite: str
    slim: bool


def debian_base(image: BaseImage) -> DebianBase | None:
    """Return how to build an image locally, or None if it is only available from its registry.

    A digest or a dated tag stands for particular content, which cannot be built again.
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
        base: The base image.
        into: The tar file to create.

    Raises:
        EngineError: mmdebstrap is not installed, or failed; the message ends with its last lines.
    """
    program = shutil.which("mmdebstrap")
    if program is None:
        msg = f"Cannot build Debian {base.suite}: mmdebstrap is not installed."
        raise EngineError(msg, hint="Install it with `make setup`, or: apt-get install mmdebstrap")
    is_root = os.geteuid() == 0
    command = [program, f"--mode={'root' if is_root else 'unshare'}", "--variant=apt", "--quiet"]
    if base.slim:
        command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    env = plain_environment() | {"SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C.UTF-8"}
    try:
        ended = await run_process([*command, base.suite, str(into)], time_limit=_TIME_LIMIT, env=env)
    except TimeoutError as error:
        msg = f"mmdebstrap did not build Debian {base.suite} within {_TIME_LIMIT:.0f} s."
        raise EngineError(msg, hint=_ARCHIVE) from error
    if ended.exit_code != 0:
        msg = f"mmdebstrap could not build Debian {base.suite}: {last_lines(ended.stderr) or 'no message'}"
        raise EngineError(msg, hint=_ARCHIVE if is_root else _WITHOUT_ROOT)
