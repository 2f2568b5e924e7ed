"""Writes OCI images of containers, byte for byte the same for the same inputs.

The layers come from the store as gzip blobs. The configuration and the manifest are not written by buildah: it would
add an empty layer for a label, date it, and add its own name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.engine.store.buildah import TRANSFER_SECONDS, Buildah
from ci.engine.store.buildah_dockerfiles import unsalted
from ci.engine.store.containers import ContainerState, RunConfig
from ci.engine.store.dockerfile_rewriting import readable
from ci.engine.store.session_folders import SessionFolders
from pipeline.rules.image_name import digest_of
from pipeline.rules.media_types import CONFIG, GZIP_LAYER, INDEX, MANIFEST
from pipeline.rules.platforms import Platform

_CREATED = "org.opencontainers.image.created"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_EPOCH = "2001-09-09T01:46:40Z"


@dataclass(frozen=True, slots=True)
class OciImage:
    """An image as an OCI layout on disk.

    Attributes:
        layout: The directory of the layout; its one image or image index has no name.
        digest: The digest of the manifest or the index, `sha256:…`.
    """

    layout: Path
    digest: str


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in the store.

    Attributes:
        content: Its configuration in Docker's form.
        layers: The descriptors of its layers, whose blobs are in the engine's directory.
    """

    content: Mapping[str, Any] = field(default_factory=dict)
    layers: Sequence[Mapping[str, Any]] = ()


async def container_of(buildah: Buildah, image: str) -> ContainerState:
    """Return a new container of an image in the store."""
    found = (await buildah.inspect(image))["Docker"]
    platform = Platform(found["os"], found["architecture"], found.get("variant") or "")
    return ContainerState(image, RunConfig.read(found.get("config") or {}), platform)


async def stored_image(buildah: Buildah, image: str) -> StoredImage:
    """Read an image of the store and compress its layers, except those that were compressed before.

    Raises:
        QueryFailedError: The layers cannot be read, for example because the disk is full.
    """
    content: Mapping[str, Any] = (await buildah.inspect(image))["Docker"]
    layers = await _compressed_layers(buildah, image, (content.get("rootfs") or {}).get("diff_ids") or [])
    return StoredImage(content, layers)


def write_image(folders: SessionFolders, state: ContainerState, stored: StoredImage) -> OciImage:
    """Write the image of a container as an OCI layout, unless the session has it already.

    Args:
        folders: The session's directories.
        state: The container.
        stored: The image that is its file system.
    """
    config = _json(_config(state, stored.content))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": list(stored.layers),
    }
    if state.annotations:
        manifest["annotations"] = dict(sorted(state.annotations.items()))
    written = _json(manifest)
    layout = folders.own / "images" / digest_of(written).removeprefix("sha256:")
    if not (layout / "index.json").exists():
        _write_layout(layout, folders.shared / "blobs", manifest, written, config)
    return OciImage(layout, digest_of(written))


def write_index(folders: SessionFolders, images: Mapping[Platform, OciImage]) -> OciImage:
    """Write an image index of the images of several platforms as an OCI layout.

    Args:
        folders: The session's directories.
        images: The images by platform, in the order of the index.
    """
    manifests = []
    for platform, image in images.items():
        (descriptor,) = json.loads((image.layout / "index.json").read_text(encoding="utf-8"))["manifests"]
        manifests.append({**descriptor, "platform": _platform_fields(platform)})
    index = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    layout = folders.own / "images" / digest_of(index).removeprefix("sha256:")
    if not (layout / "index.json").exists():
        own = layout / "blobs" / "sha256"
        own.mkdir(parents=True, exist_ok=True)
        for blob in {path for image in images.values() for path in (image.layout / "blobs" / "sha256").iterdir()}:
            if not (own / blob.name).exists():
                (own / blob.name).hardlink_to(blob)
        _finish_layout(layout, INDEX, index)
    return OciImage(layout, digest_of(index))


def _config(state: ContainerState, base: Mapping[str, Any]) -> dict[str, Any]:
    created = state.config.labels.get(_CREATED, "")
    # Not `comment`: the builder writes the ids of its own intermediate images there.
    history = [
        {key: entry[key] for key in ("created", "created_by", "empty_layer") if entry.get(key)}
        | ({"created_by": step} if step else {})
        for entry in base.get("history") or ()
        if (step := readable(unsalted(entry.get("created_by") or ""))) or not entry.get("empty_layer")
    ]
    return {
        "created": created if _MOMENT.fullmatch(created) else _EPOCH,
        **_platform_fields(state.platform),
        "config": state.config.written(),
        "rootfs": {"type": "layers", "diff_ids": (base.get("rootfs") or {}).get("diff_ids") or []},
        "history": history,
    }


def _platform_fields(platform: Platform) -> dict[str, str]:
    variant = {"variant": platform.variant} if platform.variant else {}
    return {"architecture": platform.architecture, **variant, "os": platform.system}


async def _compressed_layers(buildah: Buildah, image: str, diff_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the descriptors of an image's layers.

    skopeo does not compress a layer whose blob exists at the destination. An empty file with the name of the
    uncompressed layer stands for each that was compressed before.
    """
    shared = buildah.folders.shared
    known = {diff_id: kept for diff_id in diff_ids if (kept := _known_layer(shared, diff_id))}
    if len(known) < len(set(diff_ids)):
        with buildah.folders.scratch() as folder:
            blobs = folder / "blobs" / "sha256"
            blobs.mkdir(parents=True)
            for diff_id in known:
                (blobs / diff_id.removeprefix("sha256:")).touch()
            await buildah.ask(
                "copy", "--quiet", "--policy", buildah.storage.policy, "--format", "oci",
                "--dest-shared-blob-dir", blobs.parent, buildah.storage.image(image), f"oci:{folder}/image:x",
                time_limit=TRANSFER_SECONDS, program="skopeo",
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
    layer = {"mediaType": GZIP_LAYER, "digest": f"sha256:{blob.name}", "size": blob.stat().st_size}
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
    (own / hashlib.sha256(config).hexdigest()).write_bytes(config)
    _finish_layout(layout, MANIFEST, content)


def _finish_layout(layout: Path, media_type: str, content: bytes) -> None:
    """Write a layout's manifest or index, and the files that refer to it."""
    (layout / "blobs" / "sha256" / hashlib.sha256(content).hexdigest()).write_bytes(content)
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    descriptor = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}))


def _hex(descriptor: Mapping[str, Any]) -> str:
    return str(descriptor["digest"]).removeprefix("sha256:")


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
