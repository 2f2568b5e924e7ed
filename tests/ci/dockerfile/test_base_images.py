from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.dockerfile.base_images import BaseImage, base_images, parse_base_image
from pipeline.rules.platforms import host_platform


def _names(text: str, **build_args: str) -> list[str]:
    return [str(image) for image in base_images(text, build_args=build_args)]


def test_earlier_stages_and_scratch_are_not_asked_of_a_registry() -> None:
    text = "FROM debian:12 AS Base\nFROM base AS app\nFROM scratch\nCOPY --from=app / /\nCOPY --from=0 / /\nfrom BASE\n"
    assert _names(text) == ["docker.io/library/debian:12"]


def test_a_name_used_before_its_stage_is_an_image() -> None:
    assert _names("FROM app\nFROM debian AS app\n") == [
        "docker.io/library/app:latest",
        "docker.io/library/debian:latest",
    ]


def test_every_image_is_told_once_in_order() -> None:
    assert _names("FROM b\nFROM a\nFROM b\n") == ["docker.io/library/b:latest", "docker.io/library/a:latest"]


def test_copies_and_mounts_from_images_count() -> None:
    text = "FROM a\nCOPY --chmod=0755 --from=busybox:1 /bin/sh /\nRUN --mount=type=bind,from=alpine:3,target=/x true\n"
    assert _names(text)[1:] == ["docker.io/library/busybox:1", "docker.io/library/alpine:3"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("$TAG", "12"),
        ("${TAG}", "12"),
        ("${TAG:-13}", "12"),
        ("${NONE:-13}", "13"),
        ("${NONE-13}", "13"),
        ("${EMPTY:-13}", "13"),
        ("${TAG:+13}", "13"),
        ("${TAG}${EMPTY}-slim", "12-slim"),
        ("$QUOTED", "12-x"),
    ],
)
def test_arguments_before_the_first_stage_are_filled_in(name: str, expected: str) -> None:
    text = f'ARG TAG=12 EMPTY=\nARG QUOTED="${{TAG}}-x"\nFROM debian:{name}\n'
    assert _names(text) == [f"docker.io/library/debian:{expected}"]


def test_build_arguments_overrule_defaults_of_declared_ones_alone() -> None:
    assert _names("ARG TAG=12\nFROM debian:$TAG\nFROM a:${OTHER:-1}\n", TAG="13", OTHER="2") == [
        "docker.io/library/debian:13",
        "docker.io/library/a:1",
    ]


def test_arguments_inside_a_stage_do_not_reach_later_from_lines() -> None:
    assert _names("FROM a\nARG TAG=12\nFROM debian:${TAG:-13}\n")[1:] == ["docker.io/library/debian:13"]


def test_platforms_are_kept_and_automatic_ones_filled_in() -> None:
    text = "FROM --platform=$BUILDPLATFORM a\nFROM --platform=linux/s390x a\n"
    assert [image.platform for image in base_images(text)] == [str(host_platform()), "linux/s390x"]


def test_continued_lines_and_comments_between_are_read() -> None:
    assert _names("FROM \\\n# FROM no\n\n  debian:12 \\\n  AS x\nFROM x\n") == ["docker.io/library/debian:12"]


def test_another_escape_character_is_heeded() -> None:
    assert _names("# escape=`\nFROM `\n debian:12\nRUN a \\\nFROM b\n") == [
        "docker.io/library/debian:12",
        "docker.io/library/b:latest",
    ]


@pytest.mark.parametrize("marker", ["EOF", "'EOF'", '"EOF"'])
def test_lines_of_a_heredoc_are_not_instructions(marker: str) -> None:
    assert _names(f"FROM a\nRUN <<{marker}\nFROM b\nEOF\nFROM c\n") == [
        "docker.io/library/a:latest",
        "docker.io/library/c:latest",
    ]


def test_the_backend_starts_from_debian_alone() -> None:
    dockerfile = Path(__file__).parents[3] / "backend" / "Dockerfile"
    assert _names(dockerfile.read_text()) == ["docker.io/library/debian:bookworm-slim"]


_WORDS = 'FROM |ARG |RUN |COPY |--from=|--platform=|a|:1|$A|${A|}|:-|=| AS |\\|\n|<<E|\nE\n|#|"|@|`'
_PIECES = st.sampled_from(_WORDS.split("|"))


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=40).map("".join)))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for image in base_images(text):
        assert isinstance(image, BaseImage)
        assert parse_base_image(str(image), platform=image.platform) == image
