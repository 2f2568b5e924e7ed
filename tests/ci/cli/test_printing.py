from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from ci.cli.printing import headline, plan_text, print_answer, print_tags
from pipeline.rules.report import BuildReport, ImageOutcome, RelabelledFrom, TagForecast, TagOutcome, TagReport
from tests.pipeline.samples import IMAGE, OTHER_DIGEST, OTHER_SHA, build_report, run_plan


def tags_of(report: BuildReport, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_tags(console, report)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("text", ["sha256:abc", "größe 🚢", "[bold]not markup[/]", "x" * 500, "two\nlines"])
def test_an_answer_comes_out_as_it_is_on_standard_output_alone(
    capfdbinary: pytest.CaptureFixture[bytes], text: str
) -> None:
    print_answer(text)
    assert capfdbinary.readouterr() == (f"{text}\n".encode(), b"")


def test_a_path_that_is_not_text_comes_out_as_it_came(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print_answer("caf\udce9.tar")
    assert capfdbinary.readouterr().out == b"caf\xe9.tar\n"


def test_a_plan_is_one_reference_a_line_in_the_order_of_writing() -> None:
    plan = run_plan(ref="refs/tags/v1.2.3")
    assert plan_text(plan.report()).splitlines() == [
        "ghcr.io/linkradar/lr-backend:sha-9c68c4a",
        "ghcr.io/linkradar/lr-backend:v1.2.3",
        "ghcr.io/linkradar/lr-backend:latest",
    ]


def test_each_tag_is_shown_with_what_became_of_it_and_why() -> None:
    text = tags_of(build_report())
    for tag in build_report().tags:
        (line,) = [line for line in text.splitlines() if line.startswith(f"{tag.name} ")]
        assert tag.outcome.value in line
        assert (tag.reason or "") in line


@pytest.mark.parametrize("outcome", TagOutcome)
def test_every_outcome_has_its_word(outcome: TagOutcome) -> None:
    tag = build_report().tags[0].model_copy(update={"outcome": outcome})
    assert outcome.value in tags_of(build_report().model_copy(update={"tags": (tag,)}))


def test_the_longest_tag_is_one_line_on_a_narrow_terminal() -> None:
    first = build_report().tags[0]
    longest = "b" * 120 + "-12345678"[:8]
    tag = TagReport(name=longest, kind=first.kind, reference=IMAGE.tagged(longest), outcome=TagOutcome.WRITTEN)
    text = tags_of(build_report().model_copy(update={"tags": (tag,)}), width=60)
    assert text == f"{longest}  written\n"


def test_a_reason_is_text_and_no_markup() -> None:
    tag = build_report().tags[0].model_copy(update={"reason": "because [/] of [red]this[/red] y.js:100:1"})
    text = tags_of(build_report().model_copy(update={"tags": (tag,)}), width=200)
    assert "because [/] of [red]this[/red] y.js:100:1" in text


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (ImageOutcome.BUILT, "built and uploaded"),
        (ImageOutcome.REUSED, "already in the registry, not built again"),
        (ImageOutcome.RELABELLED, "relabelled, not built: the image of commit 0123456 has the same build inputs"),
    ],
)
def test_the_headline_says_how_the_run_came_to_the_image(outcome: ImageOutcome, words: str) -> None:
    source = RelabelledFrom(reference=IMAGE.tagged("master"), digest=OTHER_DIGEST, commit=OTHER_SHA)
    report = build_report().model_copy(update={"outcome": outcome, "relabelled_from": source})
    assert headline(report) == f"{IMAGE}: {words}"


def test_json_is_the_report_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(build_report().model_dump_json(indent=2))
    assert json.loads(capsys.readouterr().out) == json.loads(build_report().model_dump_json())


def test_an_online_plan_shows_what_would_be_done_with_each_tag() -> None:
    report = run_plan(ref="refs/tags/v1.2.3").report()
    previews = {
        "sha-9c68c4a": ("present", None, None, None),
        "v1.2.3": ("written", None, None, None),
        "latest": ("kept", OTHER_DIGEST, OTHER_SHA, "v2.0.0 is a higher release than v1.2.3"),
        "master": ("moved", OTHER_DIGEST, None, None),
        "v1": ("refused", None, None, "this tag is written only once"),
    }
    tags = tuple(
        TagForecast.model_validate(
            {
                "name": name,
                "kind": "sha",
                "reference": f"a/b:{name}",
                "outcome": outcome,
                "previous_digest": digest,
                "previous_commit": commit,
                "reason": reason,
            }
        )
        for name, (outcome, digest, commit, reason) in previews.items()
    )
    shown = plan_text(report.model_copy(update={"online": tags, "references": tuple(tag.reference for tag in tags)}))
    assert shown.splitlines() == [
        "a/b:sha-9c68c4a  is already there",
        "a/b:v1.2.3       would be written",
        f"a/b:latest       would be kept at {OTHER_DIGEST} of commit 0123456: v2.0.0 is a higher release than v1.2.3",
        f"a/b:master       would be moved from {OTHER_DIGEST}",
        "a/b:v1           would be refused: this tag is written only once",
    ]
