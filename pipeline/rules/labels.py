"""The OCI labels of an image (image-spec, "Pre-Defined Annotation Keys").

Pure. They depend on the commit and the build inputs alone, so that a branch and a release of a commit make one image.
A Dockerfile's own LABEL lines take precedence for what never changes (title, description, licenses); labels that
identify the commit are always the pipeline's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC
from types import MappingProxyType

from pipeline.rules.build_inputs import INPUTS, KEY, BuildInputs, recorded_inputs
from pipeline.rules.checkout import Commit
from pipeline.rules.errors import UsageError
from pipeline.rules.github_origin import GitHubRepository
from pipeline.rules.image_name import ImageName
from pipeline.rules.text import quoted

PREFIX = "org.opencontainers.image."
REVISION = f"{PREFIX}revision"
CREATED = f"{PREFIX}created"
SOURCE = f"{PREFIX}source"
URL = f"{PREFIX}url"
TITLE = f"{PREFIX}title"
DESCRIPTION = f"{PREFIX}description"

GIVEN = "io.github.linkradar.labels"
"""The label with the names of the labels that the caller gave, sorted and separated by spaces."""

_OWN = {REVISION, CREATED, SOURCE, URL, INPUTS, KEY, GIVEN}
_NONE: Mapping[str, str] = MappingProxyType({})
_WEB_URL = re.compile(
    r"(?P<scheme>https?://)(?:[^/?#]*@)?(?P<host>[^/?#@:]+(?::[0-9]+)?)(?P<path>/[^?#@]*)?(?:[?#].*)?"
)

FROM_DOCKERFILE = (TITLE, DESCRIPTION)
"""The labels for which a Dockerfile takes precedence."""


def oci_labels(
    *,
    image: ImageName,
    commit: Commit,
    inputs: BuildInputs,
    repository: GitHubRepository | None,
    origin: str | None,
    from_dockerfile: Mapping[str, str],
    given: Mapping[str, str] = _NONE,
) -> dict[str, str]:
    """Return the labels that the pipeline sets.

    Args:
        image: The image that is published.
        commit: The commit it is built from.
        inputs: All else that it is built from.
        repository: The repository on GitHub; GHCR links the package to it by the `source` label.
        origin: The origin's URL, used if it is not on GitHub.
        from_dockerfile: The labels that the Dockerfile set.
        given: The labels that the caller gave.

    Returns:
        Label names and values, sorted by name so that equal inputs make equal images. Labels whose values are not
        known are left out.
    """
    source = repository.url if repository is not None else _public_url(origin)
    labels = {
        REVISION: commit.sha,
        CREATED: None if commit.time is None else commit.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        SOURCE: source,
        URL: repository.commit_url(commit.sha) if repository is not None else source,
        TITLE: image.name,
        DESCRIPTION: f"The image of {image.name}.",
        **inputs.labels(),
    }
    known = {
        key: value
        for key, value in labels.items()
        if value is not None and not (key in FROM_DOCKERFILE and from_dockerfile.get(key))
    }
    if given:
        known[GIVEN] = " ".join(sorted(given))
    return dict(sorted({**known, **given}.items()))


def relabelled(labels: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of an image that another run built, with a run's own in the place of that run's.

    Args:
        labels: The image's labels.
        own: The labels that this run sets; see `oci_labels`.
    """
    return {name: value for name, value in labels.items() if name not in _OWN} | dict(own)


def is_made_from(labels: Mapping[str, str], inputs: BuildInputs, given: Collection[str]) -> bool:
    """Return whether an image of any commit has the build inputs, and labels of the same names from its caller.

    Only then may it be relabelled: of a label that was replaced, the value that the Dockerfile gave is lost.

    Args:
        labels: The image's labels.
        inputs: The build inputs; they match nothing if the source's tree is not known.
        given: The names of the labels that the caller gives.
    """
    try:
        recorded = recorded_inputs(labels)
    except ValueError:
        return False
    return inputs.tree is not None and recorded == inputs and labels.get(GIVEN, "").split() == sorted(given)


def check_given(labels: Mapping[str, str]) -> None:
    """Check that a caller's labels are not those by which the pipeline recognizes an image.

    Raises:
        UsageError: One of them is.
    """
    for name in labels:
        if name in _OWN:
            msg = f"The label {quoted(name)} is set by the pipeline."
            raise UsageError(msg, hint="Give --label another name.")


def _public_url(origin: str | None) -> str | None:
    """Return an origin's web URL without user, password, query and fragment; None if it is not a web URL."""
    match = None if origin is None else _WEB_URL.fullmatch(origin.strip())
    if match is None:
        return None
    return f"{match['scheme']}{match['host']}{match['path'] or ''}".removesuffix(".git")
