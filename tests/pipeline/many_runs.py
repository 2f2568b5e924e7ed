"""Publishes many images at once in one process: `python -m tests.pipeline.many_runs HOST URL COUNT`.

It prints the digests as JSON, and the most memory that the process had.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import anyio

from pipeline.concurrency import each
from pipeline.rules.planning import plan_run
from pipeline.rules.shared_options import RunRequest
from pipeline.run import RegistryAccess, publish_run
from tests.pipeline.bench import Heard
from tests.pipeline.images import Builder
from tests.pipeline.samples import Order, checkout


async def publish_all(host: str, url: str, count: int) -> dict[str, str]:
    """Publish images and return their digests by name.

    Args:
        host: Where the runs send their requests.
        url: Where the builder uploads layers.
        count: How many images.
    """
    digests: dict[str, str] = {}

    async def publish(name: str) -> None:
        request = RunRequest(registry=host, owner="many", name=name, ref="refs/tags/v1.2.3")
        plan = plan_run(request, checkout())
        report = await publish_run(plan, Builder(plan, url), RegistryAccess(), Order(), Heard())
        digests[name] = report.digest

    await each([f"image-{number}" for number in range(count)], publish, at_once=count)
    return digests


if __name__ == "__main__":
    published = anyio.run(publish_all, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    # Not `ru_maxrss`, which starts with what the parent process had.
    (kibibytes,) = re.findall(
        r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE
    )
    sys.stdout.write(json.dumps({"digests": published, "bytes": int(kibibytes) * 1024}))
