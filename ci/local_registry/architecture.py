"""What this machine's processor is called in image references and manifests."""

from __future__ import annotations

import platform

# https://github.com/opencontainers/image-spec/blob/main/image-index.md: names as Go's GOARCH has them.
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def host_architecture() -> str:
    """Return this machine's architecture as images name it, `amd64` or `arm64` on most."""
    machine = platform.machine()
    return _GO_NAMES.get(machine, machine)
