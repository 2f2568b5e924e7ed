"""Which platforms' programs this machine can run: its own, and those that an emulator is registered for.

The kernel lists the emulators in `/proc/sys/fs/binfmt_misc`, each with the first bytes of the programs that it runs
(https://docs.kernel.org/admin-guide/binfmt-misc.html). Debian's `qemu-user-static` registers them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipeline.rules.platforms import Platform, host_platform

REGISTERED = Path("/proc/sys/fs/binfmt_misc")
_MAGIC = b"\x7fELF"
_CLASS, _ORDER, _MACHINE = 4, 5, slice(18, 20)
_BIG_ENDIAN = 2
# The machines of ELF programs (bits, byte order, number) by the names that images use.
_ARCHITECTURES = {
    (64, "little", 0x3E): "amd64",
    (64, "little", 0xB7): "arm64",
    (32, "little", 0x03): "386",
    (32, "little", 0x28): "arm",
    (64, "little", 0xF3): "riscv64",
    (64, "little", 0x102): "loong64",
    (64, "little", 0x15): "ppc64le",
    (64, "big", 0x15): "ppc64",
    (64, "big", 0x16): "s390x",
}
_ALSO_NATIVE = {"amd64": "386"}


def runnable_platforms(folder: Path = REGISTERED) -> dict[Platform, str]:
    """Return the platforms whose programs run in containers here, each with its emulator; empty for a native one.

    Args:
        folder: Where the kernel lists the emulators.
    """
    host = host_platform()
    found = {host: ""}
    if (also := _ALSO_NATIVE.get(host.architecture)) is not None:
        found[Platform(host.system, also)] = ""
    for entry in sorted(folder.glob("*")) if folder.is_dir() else ():
        try:
            architecture = _architecture(entry.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # `register`, which cannot be read, or an entry for something other than programs
        if architecture is not None:
            found.setdefault(Platform("linux", architecture), entry.name)
    return found


def _architecture(entry: str) -> str | None:
    """Return the architecture that an emulator is for; None if it is not enabled or does not work in containers."""
    enabled, *lines = entry.splitlines() or [""]
    fields = dict(line.partition(" ")[::2] for line in lines)
    # Without the flag F, the kernel looks for the emulator inside the container.
    if enabled != "enabled" or "F" not in fields.get("flags:", "") or fields.get("offset") != "0":
        return None
    magic = bytes.fromhex(fields.get("magic", ""))
    if not magic.startswith(_MAGIC) or len(magic) < _MACHINE.stop:
        return None
    order: Literal["little", "big"] = "big" if magic[_ORDER] == _BIG_ENDIAN else "little"
    return _ARCHITECTURES.get((32 * magic[_CLASS], order, int.from_bytes(magic[_MACHINE], order)))
