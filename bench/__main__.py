"""Measures what users wait for, side by side with doing it by hand: `make bench`.

    .venv/bin/python -m bench --only starts --only runs --rounds 3 --json

Prints medians and ratios; `!` marks a ratio that is beyond its mark. Needs root, buildah, skopeo and docker-registry.
The first run of all makes the base images, which is not counted. A Dagger engine has rows if `dagger` is on PATH.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from bench.scenarios import SCENARIOS, Row


def main() -> None:
    """Run the scenarios, and print their rows as they come."""
    parser = argparse.ArgumentParser(description="Measure what users wait for.")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="only this group of rows, repeatable")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")
    options = parser.parse_args()
    rows: list[Row] = []
    if not options.json:
        sys.stdout.write("| what | way | seconds | ratio | mark | own memory, MiB | requests | loopback, MiB |\n")
        sys.stdout.write("|---|---|---|---|---|---|---|---|\n")
    for name in options.only or SCENARIOS:
        for row in SCENARIOS[name](options.rounds):
            rows.append(row)
            if not options.json:
                sys.stdout.write(_line(row))
                sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def _line(row: Row) -> str:
    took = row.median
    ratio = f"{row.ratio:.2f}" if row.against else ""
    mark = "" if row.mark is None else f"≤ {row.mark:g}{'' if row.ratio <= row.mark else ' !'}"
    figures = f"{took.mebibytes:.0f} | {took.requests:.0f} | {took.loopback_mebibytes:.1f}"
    return f"| {row.what} | {row.way} | {took.seconds:.2f} | {ratio} | {mark} | {figures} |\n"


if __name__ == "__main__":
    main()
