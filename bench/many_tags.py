"""Promotes a small image to many tags: `python -m bench.many_tags HOST COUNT NAME`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace

import anyio

from pipeline.progress import PlainProgress, Steps
from pipeline.publishing import publish
from pipeline.registry.client import Registry, open_registry
from pipeline.registry.manifests import Manifest
from pipeline.rules.image_name import digest_of
from pipeline.rules.media_types import MANIFEST
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.refs import CommitSha
from pipeline.rules.shared_options import RunRequest
from pipeline.rules.tagging import PlannedTag, TagKind


@dataclass(frozen=True)
class Tiny:
    """Builds an image without layers, over the registry's API."""

    registry: Registry

    async def content(self) -> str:
        """Return a fixed text."""
        return "tiny"

    async def build(self, plan: RunPlan) -> None:
        """Build nothing."""

    async def upload(self, plan: RunPlan, reference: str) -> str:
        """Upload a configuration and a manifest."""
        del reference
        config = {"os": "linux", "architecture": "amd64", "config": {"Labels": plan.labels({})}, "rootfs": {}}
        content = json.dumps(config).encode()
        await self.registry.put_blob(content)
        descriptor = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(content)}
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "layers": [],
            "config": descriptor | {"size": len(content)},
        }
        manifest = json.dumps(document).encode()
        await self.registry.put_manifest(Manifest(manifest, MANIFEST, digest_of(manifest)))
        return digest_of(manifest)


class NoHistory:
    """Knows no commit."""

    async def descends(self, commit: CommitSha, ancestor: CommitSha) -> bool | None:
        """Return that it is not known."""


async def main(host: str, count: int, name: str) -> None:
    """Publish an image under many tags."""
    request = RunRequest(registry=host, owner="bench", name=name, ref="refs/heads/master", sha="a" * 40)
    plan = plan_run(request, None)
    more = tuple(PlannedTag(f"branch-{number}", TagKind.BRANCH) for number in range(count - 1))
    plan = replace(plan, tags=replace(plan.tags, tags=(plan.tags.tags[0], *more)))
    async with open_registry(plan.image, None) as registry:
        await publish(plan, registry, Tiny(registry), NoHistory(), Steps(PlainProgress()))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
