"""Runs at once, in every order that their requests can have, and what becomes of the promises of their tags.

`python -m tests.pipeline.races` prints a table; the smaller part of it is tested in `test_interleavings.py`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

from pipeline.rules.labels import REVISION
from pipeline.rules.planning import RunPlan
from tests.pipeline.interleavings import Exploration, Run
from tests.pipeline.samples import OTHER_SHA, SHA, Order, run_plan

OLDER = "1" * 40
MASTER, V1, V2 = "refs/heads/master", "refs/tags/v1.0.0", "refs/tags/v2.0.0"
ORDER = Order((OLDER, SHA, OTHER_SHA))
RUNS = {
    "older": (MASTER, OLDER),
    "branch": (MASTER, SHA),
    "release": (V1, SHA),
    "newer": (MASTER, OTHER_SHA),
    "next release": (V2, OTHER_SHA),
}
PAIRS = tuple(combinations_with_replacement(RUNS, 2))
QUICK_TRIPLES = (("older", "branch", "newer"), ("branch", "release", "newer"))
TRIPLES = (
    *QUICK_TRIPLES,
    ("older", "release", "next release"),
    ("branch", "release", "next release"),
    ("release", "newer", "next release"),
    ("branch", "branch", "release"),
    ("branch", "release", "release"),
)


@dataclass(frozen=True)
class Races:
    """What the interleavings of some runs lead to.

    Attributes:
        states: How many states were visited.
        ends: In how many of them all runs have ended.
        broken: The promises that do not hold in the end, and in how many ends.
        late: The same of the ends in which a run wrote a tag after another one had read it for the last time.
    """

    states: int
    ends: int
    broken: Counter[str]
    late: Counter[str]


def races(kinds: tuple[str, ...]) -> Races:
    """Explore the interleavings of runs, given their kinds."""
    runs = tuple(
        Run(run_plan(ref=RUNS[kind][0], sha=RUNS[kind][1], no_reuse=True), f"run {n}") for n, kind in enumerate(kinds)
    )
    exploration = Exploration(runs, ORDER)
    commits = {run.manifest.digest: run.labels[REVISION] for run in runs}
    broken: Counter[str] = Counter()
    late: Counter[str] = Counter()
    ends = 0
    for end in exploration.ends():
        ends += 1
        found = broken_promises([run.plan for run in runs], commits, end.tags)
        found += [f"failed: {outcome.error.message}" for outcome in end.outcomes if outcome.error is not None]
        (late if end.late else broken).update(found)
    return Races(exploration.states, ends, broken, late)


def broken_promises(plans: Sequence[RunPlan], commits: Mapping[str, str], tags: Mapping[str, str]) -> list[str]:
    """Return which promises do not hold after some runs.

    Args:
        plans: The runs.
        commits: The commit of each image, by digest.
        tags: What each tag points to.
    """
    broken = [
        "two images for one commit"
        for commit in set(commits.values())
        if len({digest for digest in tags.values() if commits[digest] == commit}) > 1
    ]
    branches = [plan.commit.sha for plan in plans if plan.tags.version is None]
    releases = {plan.tags.ref: plan.commit.sha for plan in plans if plan.tags.version is not None}
    if branches and commits[tags["master"]] != max(branches, key=ORDER.commits.index):
        broken.append("master went back")
    if releases and commits[tags["latest"]] != releases[max(releases)]:
        broken.append("latest went back")
    return broken


def counted(promises: Counter[str]) -> str:
    """Return broken promises and how often they broke, as a cell of a table."""
    return "; ".join(f"{what}: {count}" for what, count in promises.items()) or "0"


def main() -> int:
    """Print a table of all pairs and triples; return 1 if a promise does not hold where it must."""
    sys.stdout.write("| runs at once | states | ends | broken | broken by a write after the last reading |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    failed = False
    for kinds in (*PAIRS, *TRIPLES):
        found = races(kinds)
        failed = failed or bool(found.broken)
        told = f"{counted(found.broken)} | {counted(found.late)}"
        sys.stdout.write(f"| {', '.join(kinds)} | {found.states} | {found.ends} | {told} |\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
