"""A tiny base image made of the host's shell and tools, so that tests do not need Docker Hub."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import httpx

from pipeline.rules.platforms import host_platform

TOOLS = ("sh", "cat", "chmod", "cp", "env", "id", "ls", "mkdir", "rm", "sleep", "stat", "touch", "true", "false")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_CREATED = "2024-01-01T00:00:00Z"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def push_base_image(url: str, repository: str, tag: str) -> None:
    """Create the image and push it.

    Args:
        url: The registry, `http://localhost:5001`.
        repository: The repository in it.
        tag: The tag.
    """
    tar = _layer()
    layer = gzip.compress(tar, mtime=0)
    config = {
        "architecture": host_platform().architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
        # Without a date in its history, buildah does not use its cache for the steps on top of a base image.
        "created": _CREATED,
        "history": [{"created": _CREATED, "created_by": "the tests"}],
    }
    written = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", written),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    }
    with httpx.Client(base_url=f"{url}/v2/{repository}", trust_env=False, timeout=30) as client:
        for blob in (layer, written):
            place = client.post("/blobs/uploads/").raise_for_status().headers["location"]
            target = httpx.URL(place).copy_merge_params({"digest": _digest(blob)})
            client.put(target, content=blob).raise_for_status()
        client.put(
            f"/manifests/{tag}", content=json.dumps(manifest).encode(), headers={"content-type": _MANIFEST}
        ).raise_for_status()


def _layer() -> bytes:
    tools = {f"usr/bin/{name}": Path(shutil.which(name) or f"/bin/{name}").resolve() for name in TOOLS}
    libraries = {path for tool in tools.values() for path in _libraries(tool)}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for folder in ("tmp", "root", "run", "usr", "usr/bin", "etc"):
            _add(archive, folder, kind=tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        _add(archive, "bin", kind=tarfile.SYMTYPE, link="usr/bin")
        for name, content in _FILES.items():
            _add(archive, name, content.encode(), mode=0o644)
        for name, path in sorted(tools.items()):
            _add(archive, name, path.read_bytes())
        for library in sorted(libraries):
            _add(archive, library.removeprefix("/"), Path(library).read_bytes())
    return written.getvalue()


def _libraries(program: Path) -> list[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]


def _add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o755,
    link: str = "",
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.size = kind, mode, link, len(content)
    archive.addfile(member, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
