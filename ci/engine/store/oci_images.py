"""From a container to an OCI image, byte for byte the same for the same inputs.

The layers come from the store as gzip blobs. Configuration and manifest are written here and not by buildah, which
would add an empty layer for a label, date it, and name itself in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.engine.protocol.session import Session
from ci.engine.store.containers import ContainerState, ImageConfig, host_platform
from ci.engine.store.dockerfiles import unsalted

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CREATED = "org.opencontainers.image.created"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_EPOCH = "2001-09-09T01:46:40Z"
_LONG = 3600.0


@dataclass(frozen=True, slots=True)
class OciImage:
    """An image as an OCI layout on disk.

    Attributes:
        layout: The layout's folder; its one image has no name.
        digest: The manifest's digest, `sha256:…`.
    """

    layout: Path
    digest: str


async def read_config(session: Session, image: str) -> ImageConfig:
    """Return how an image of the store runs."""
    return ImageConfig.read((await session.buildah.inspect(image))["Docker"].get("config") or {})


async def assemble(session: Session, state: ContainerState) -> OciImage:
    """Make the image of a container, once a session for each image that comes out.

    Raises:
        QueryFailedError: The store could not give the layers, for example because the disk is full.
    """
    base = await _base(session, state.image)
    content = _config(state, base)
    layers = await _layers(session, state.image, content["rootfs"]["diff_ids"])
    config = _json(content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": _digest(config), "size": len(config)},
        "layers": layers,
    }
    if state.annotations:
        manifest["annotations"] = dict(sorted(state.annotations.items()))
    written = _json(manifest)
    layout = session.workspace.own / "images" / _digest(written).removeprefix("sha256:")
    if not (layout / "index.json").exists():
        _write_layout(layout, session.workspace.shared / "blobs", manifest, written, config)
    return OciImage(layout, _digest(written))


async def _base(session: Session, image: str | None) -> Mapping[str, Any]:
    if image is None:
        return {}
    found: Mapping[str, Any] = (await session.buildah.inspect(image))["Docker"]
    return found


def _config(state: ContainerState, base: Mapping[str, Any]) -> dict[str, Any]:
    system, _, architecture = host_platform().partition("/")
    created = state.config.labels.get(_CREATED, "")
    # Not `comment`: the builder puts the ids of its own intermediate images there.
    history = [
        {key: entry[key] for key in ("created", "created_by", "empty_layer") if entry.get(key)}
        | ({"created_by": step} if step else {})
        for entry in base.get("history") or ()
        if (step := unsalted(entry.get("created_by") or "")) or not entry.get("empty_layer")
    ]
    return {
        "created": created if _MOMENT.fullmatch(created) else _EPOCH,
        "architecture": base.get("architecture") or architecture,
        **({"variant": base["variant"]} if base.get("variant") else {}),
        "os": base.get("os") or system,
        "config": state.config.written(),
        "rootfs": {"type": "layers", "diff_ids": (base.get("rootfs") or {}).get("diff_ids") or []},
        "history": history,
    }


async def _layers(session: Session, image: str | None, diff_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the descriptors of an image's layers, whose blobs are in the engine's folder after that."""
    if image is None:
        return []
    found = await session.flights.do(f"layers {image}", lambda: _packed_layers(session, image, diff_ids))
    if not isinstance(found, list):
        raise TypeError
    return found


async def _packed_layers(session: Session, image: str, diff_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Have the layers compressed that are not known yet.

    skopeo leaves a layer alone whose blob is at the destination already. An empty file with an uncompressed layer's
    name tells it so for those that were compressed before.
    """
    shared = session.workspace.shared
    known = {diff_id: kept for diff_id in diff_ids if (kept := _known_layer(shared, diff_id))}
    if len(known) < len(set(diff_ids)):
        with session.workspace.scratch() as folder:
            blobs = folder / "blobs" / "sha256"
            blobs.mkdir(parents=True)
            for diff_id in known:
                (blobs / diff_id.removeprefix("sha256:")).touch()
            await session.buildah.ask(
                "copy", "--quiet", "--policy", session.buildah.storage.policy, "--format", "oci",
                "--dest-shared-blob-dir", blobs.parent, session.buildah.storage.image(image), f"oci:{folder}/image:x",
                time_limit=_LONG, program="skopeo",
            )  # fmt: skip
            index = json.loads((folder / "image" / "index.json").read_text(encoding="utf-8"))
            manifest = json.loads((blobs / _hex(index["manifests"][0])).read_text(encoding="utf-8"))
            for diff_id, layer in zip(diff_ids, manifest["layers"], strict=True):
                if diff_id not in known:
                    known[diff_id] = _keep_layer(shared, diff_id, blobs / _hex(layer), folder / "note")
    return [known[diff_id] for diff_id in diff_ids]


def _known_layer(shared: Path, diff_id: str) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads(_layer_note(shared, diff_id).read_text(encoding="utf-8"))
        whole = (shared / "blobs" / "sha256" / _hex(kept)).stat().st_size == kept["size"]
    except (OSError, ValueError, KeyError):
        return None
    return kept if whole else None


def _keep_layer(shared: Path, diff_id: str, blob: Path, draft: Path) -> dict[str, Any]:
    layer = {"mediaType": _LAYER, "digest": f"sha256:{blob.name}", "size": blob.stat().st_size}
    target = shared / "blobs" / "sha256" / blob.name
    target.parent.mkdir(parents=True, exist_ok=True)
    blob.replace(target)
    note = _layer_note(shared, diff_id)
    note.parent.mkdir(exist_ok=True)
    draft.write_text(json.dumps(layer), encoding="utf-8")
    draft.replace(note)
    return layer


def _layer_note(shared: Path, diff_id: str) -> Path:
    return shared / "layers" / f"{diff_id.removeprefix('sha256:')}.json"


def _write_layout(layout: Path, blobs: Path, manifest: Mapping[str, Any], content: bytes, config: bytes) -> None:
    own = layout / "blobs" / "sha256"
    own.mkdir(parents=True, exist_ok=True)
    for layer in manifest["layers"]:
        target = own / _hex(layer)
        if not target.exists():
            target.hardlink_to(blobs / "sha256" / _hex(layer))
    for blob in (config, content):
        (own / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    descriptor = {"mediaType": _MANIFEST, "digest": _digest(content), "size": len(content)}
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [descriptor]}))


def _hex(descriptor: Mapping[str, Any]) -> str:
    return str(descriptor["digest"]).removeprefix("sha256:")


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
