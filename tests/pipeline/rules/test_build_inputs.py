from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from pipeline.rules.build_inputs import (
    INPUTS,
    KEY,
    BuildInputs,
    Recipe,
    default_dockerfile,
    hashed,
    recorded_inputs,
)
from pipeline.rules.platforms import parse_platforms

TREE, OTHER_TREE = "a1" * 20, "b2" * 20
INPUTS_OF_API = BuildInputs(
    tree=TREE,
    dockerfile="Dockerfile",
    platforms=("linux/amd64",),
    build_args=hashed((("A", "1"), ("B", "2"))),
    secrets=("pip",),
    annotations=(("team", "api"),),
)


def test_the_labels_record_the_inputs_and_their_key() -> None:
    labels = INPUTS_OF_API.labels()
    assert set(labels) == {INPUTS, KEY}
    assert recorded_inputs(labels) == INPUTS_OF_API
    assert labels[KEY] == hashlib.sha256(labels[INPUTS].encode()).hexdigest()
    assert json.loads(labels[INPUTS])["tree"] == TREE


def test_a_value_of_a_build_argument_is_recorded_as_a_hash() -> None:
    document = BuildInputs(tree=TREE, dockerfile="D", platforms=(), build_args=hashed((("A", "hunter2"),))).document()
    assert "hunter2" not in document
    assert hashlib.sha256(b"hunter2").hexdigest() in document


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ((), "Dockerfile"),
        (("Containerfile",), "Containerfile"),
        (("Containerfile", "Dockerfile"), "Dockerfile"),
    ],
)
def test_a_containerfile_stands_in_for_a_dockerfile(found: tuple[str, ...], name: str) -> None:
    assert default_dockerfile(found) == name


def test_labels_are_not_inputs() -> None:
    plain = Recipe("Dockerfile", parse_platforms("linux/amd64"))
    assert replace(plain, labels=(("a", "b"),)).inputs(TREE) == plain.inputs(TREE)
    assert replace(plain, annotations=(("a", "b"),)).inputs(TREE) != plain.inputs(TREE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ()),
        ({"tree": OTHER_TREE}, ("source tree b2b2b2b2b2b2 instead of a1a1a1a1a1a1",)),
        ({"tree": None}, ()),
        ({"dockerfile": "Containerfile"}, ("Dockerfile 'Containerfile' instead of 'Dockerfile'",)),
        ({"target": "test"}, ("target 'test' instead of ''",)),
        ({"platforms": ("linux/arm64",)}, ("platform 'linux/arm64' instead of 'linux/amd64'",)),
        ({"secrets": ()}, ("build secrets '' instead of 'pip'",)),
        ({"annotations": ()}, ("annotation 'team' missing",)),
        (
            {"build_args": hashed((("A", "9"), ("C", "3")))},
            ("build argument 'A' with another value", "build argument 'B' missing", "build argument 'C' added"),
        ),
    ],
)
def test_what_differs_is_named(change: dict[str, object], words: tuple[str, ...]) -> None:
    assert INPUTS_OF_API.model_copy(update=change).differences(INPUTS_OF_API) == words


def test_an_image_without_the_label_records_nothing() -> None:
    assert recorded_inputs({"other": "label"}) is None


@pytest.mark.parametrize("document", ["", "{}", "[]", '{"tree": null, "dockerfile": "D", "platforms": [], "new": 1}'])
def test_a_record_that_is_not_of_this_version_is_told_apart(document: str) -> None:
    with pytest.raises(ValueError, match=INPUTS):
        recorded_inputs({INPUTS: document})
