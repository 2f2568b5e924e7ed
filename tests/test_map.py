"""The map in CONTRIBUTING.md contains every directory of the product, and every path in it exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(r"^## Map\n(?P<text>.*?)^## ", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\| `(?P<path>[^`]+)` \|", re.MULTILINE)
_PRODUCT = ("pipeline", "ci")


def _rows() -> list[str]:
    section = _SECTION.search((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert section is not None
    return [match["path"] for match in _ROW.finditer(section["text"])]


def _files() -> list[PurePosixPath]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    return [PurePosixPath(path) for path in listed.split("\0") if path and (ROOT / path).exists()]


def test_every_directory_of_the_product_is_in_the_map() -> None:
    files = _files()
    packages = {str(path.parent) for path in files if path.suffix == ".py" and path.parts[0] in _PRODUCT}
    tops = {path.parts[0] for path in files if len(path.parts) > 1}

    assert {f"{directory}/" for directory in packages | tops} <= set(_rows())


def test_every_path_of_the_map_exists() -> None:
    # The paths of directories end with a slash.
    missing = {row for row in _rows() if not ((ROOT / row).is_dir() if row.endswith("/") else (ROOT / row).is_file())}

    assert not missing


def test_a_path_is_in_the_map_once() -> None:
    rows = _rows()

    assert len(rows) == len(set(rows))
