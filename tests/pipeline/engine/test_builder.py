from __future__ import annotations

import pytest

from pipeline.engine.builder import check_platform
from pipeline.rules.build_inputs import Recipe
from pipeline.rules.errors import BuildError
from pipeline.rules.platforms import parse_platform
from pipeline.rules.shared_options import RunRequest

# The embedded engine gives an image the platform that was requested, or refuses; a Dagger engine may answer otherwise.


@pytest.mark.parametrize(
    ("wanted", "built"),
    [("linux/amd64", "linux/amd64"), ("linux/arm64", "linux/arm64/v8"), ("linux/arm/v7", "linux/arm")],
)
def test_an_image_for_the_requested_platform_is_taken(wanted: str, built: str) -> None:
    check_platform(built, Recipe("Dockerfile", parse_platform(wanted)), "api")


def test_an_image_for_another_platform_than_requested_is_never_published() -> None:
    with pytest.raises(BuildError, match=r"^api from Dockerfile was built for linux/arm64, not for linux/amd64"):
        check_platform("linux/arm64", Recipe("Dockerfile", RunRequest().platform), "api")
