"""A registry, what tests publish to it, and what it holds then."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from pipeline.progress import Steps
from pipeline.promotion import History
from pipeline.publishing import Published, publish
from pipeline.registry.client import open_registry
from pipeline.rules.planning import RunPlan
from pipeline.rules.platforms import Platforms
from pipeline.rules.shared_options import RunRequest
from pipeline.rules.tagging import INCOMING, LatestPolicy
from tests.access_log import Request
from tests.pipeline.images import Builder, Image, digest_of
from tests.pipeline.samples import SHA, Order, run_plan
from tests.registry_fixtures import RunningRegistry

REPOSITORY = "linkradar/lr-backend"
MANIFESTS = f"/v2/{REPOSITORY}/manifests/"


@dataclass
class Heard:
    """A progress that keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def started(self, step: str) -> None:
        self.lines.append(step)

    def finished(self, step: str, seconds: float) -> None:
        """Say nothing; the report holds it."""

    def notice(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Bench:
    """A registry and what tests do with it.

    Attributes:
        running: The registry.
        host: What images are published to: the registry, or what stands in front of it.
    """

    running: RunningRegistry
    host: str

    def plan(
        self,
        ref: str = "refs/heads/master",
        sha: str = SHA,
        latest: LatestPolicy = LatestPolicy.AUTO,
        platform: Platforms = RunRequest.platform,
    ) -> RunPlan:
        return run_plan(self.host, ref, sha=sha, latest=latest, platform=platform)

    def builder(self, plan: RunPlan) -> Builder:
        return Builder(plan, self.running.url, self.running.auth)

    async def publish(
        self,
        plan: RunPlan,
        builder: Builder | None = None,
        history: History = Order(),  # noqa: B008 # frozen
        heard: Heard | None = None,
    ) -> Published:
        steps = Steps(heard or Heard())
        async with open_registry(plan.image, None) as registry:
            return await publish(plan, registry, builder or self.builder(plan), history, steps)

    def digests(self) -> dict[str, str]:
        """Return what every tag in the registry but that of uploads names, by the registry itself."""
        with self.running.client() as client:
            listed = client.get(f"/v2/{REPOSITORY}/tags/list")
            names = [] if listed.status_code == 404 else listed.json().get("tags") or []
            return {name: digest_of(self._content(client, name)) for name in names if name != INCOMING}

    def contents(self) -> list[bytes]:
        names = self.digests()
        with self.running.client() as client:
            return [self._content(client, name) for name in names]

    def _content(self, client: httpx.Client, name: str) -> bytes:
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}
        return client.get(MANIFESTS + name, headers=accept).raise_for_status().content

    def push(self, image: Image, *tags: str) -> str:
        with self.running.client() as client:
            return image.push(client, REPOSITORY, *tags)

    def delete(self, tag: str) -> None:
        """Delete a tag and leave its image, as a package's page on GHCR can."""
        folder = self.running.settings.data_folder
        (found,) = folder.rglob(f"_manifests/tags/{tag}/current/link")
        for part in sorted(found.parents[1].rglob("*"), reverse=True):
            part.rmdir() if part.is_dir() else part.unlink()
        found.parents[1].rmdir()

    def written(self) -> list[str]:
        """Return the tags that were written, by whoever it was, in the order of the access log."""
        return [r.path.removeprefix(MANIFESTS) for r in self.running.requests() if _writes(r)]

    def writes(self) -> list[Request]:
        return [request for request in self.running.requests() if request.method not in {"GET", "HEAD"}]


def _writes(request: Request) -> bool:
    return request.method == "PUT" and request.path.startswith(MANIFESTS) and request.status == 201
