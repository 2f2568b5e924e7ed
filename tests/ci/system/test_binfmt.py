from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from ci.system import binfmt
from ci.system.binfmt import runnable_platforms
from pipeline.rules.platforms import Platform

AMD64 = Platform("linux", "amd64")


@pytest.fixture(autouse=True)
def _on_amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binfmt, "host_platform", lambda: AMD64)


def entry(machine: int, *, bits: int = 64, big: bool = False, first: str = "enabled", flags: str = "OCF") -> str:
    """Return what the kernel tells of an emulator."""
    order: Literal["big", "little"] = "big" if big else "little"
    header = b"\x7fELF" + bytes([bits // 32, 2 if big else 1, 1]) + bytes(9)
    magic = (header + (2).to_bytes(2, order) + machine.to_bytes(2, order)).hex()
    return f"{first}\ninterpreter /usr/bin/qemu\nflags: {flags}\noffset 0\nmagic {magic}\nmask ff\n"


def emulated(folder: Path, **entries: str) -> dict[str, str]:
    for name, text in entries.items():
        (folder / name).write_text(text, encoding="ascii")
    return {str(platform): emulator for platform, emulator in runnable_platforms(folder).items() if emulator}


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        (entry(0xB7), "linux/arm64"),
        (entry(0x28, bits=32), "linux/arm"),
        (entry(0xF3), "linux/riscv64"),
        (entry(0x16, big=True), "linux/s390x"),
        (entry(0x15), "linux/ppc64le"),
        (entry(0x15, big=True), "linux/ppc64"),
    ],
)
def test_an_emulator_is_known_by_the_programs_that_it_runs(tmp_path: Path, text: str, platform: str) -> None:
    assert emulated(tmp_path, qemu=text) == {platform: "qemu"}


@pytest.mark.parametrize(
    "text",
    [
        entry(0xB7, first="disabled"),
        entry(0xB7, flags="OC"),
        entry(0xB7).replace("offset 0", "offset 4"),
        entry(0x16),
        entry(0x9999),
        "enabled\ninterpreter /usr/bin/python3\nflags: F\noffset 0\nmagic 550d0d0a\n",
        "enabled\ninterpreter /usr/bin/wine\nflags: F\nextension .exe\n",
        "enabled\nflags: F\noffset 0\nmagic 7f4\n",
        "enabled\n",
        "",
    ],
)
def test_what_does_not_work_in_a_container_is_left_out(tmp_path: Path, text: str) -> None:
    assert emulated(tmp_path, other=text) == {}


def test_the_own_processor_needs_none(tmp_path: Path) -> None:
    assert emulated(tmp_path, qemu=entry(0x3E)) == {}
    assert runnable_platforms(tmp_path) == {AMD64: "", Platform("linux", "386"): ""}
    assert runnable_platforms(tmp_path / "not-mounted") == {AMD64: "", Platform("linux", "386"): ""}
