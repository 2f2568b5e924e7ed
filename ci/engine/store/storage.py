"""Configures buildah and skopeo to use the engine's own directory instead of root's default store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.system.process_identity import boot_id
from ci.system.processes import plain_environment

_POLICY = {"default": [{"type": "insecureAcceptAnything"}]}


@dataclass(frozen=True, slots=True)
class Mirror:
    """A registry that is used instead of another, as long as it has the image.

    Args:
        registry: The registry in image references, such as `docker.io`.
        location: The registry to use instead, with a path if it needs one: `localhost:5001/docker.io`. It is reached by
            plain HTTP.
    """

    registry: str
    location: str


@dataclass(frozen=True, slots=True)
class Storage:
    """The store that sessions share, with one session's configuration of it.

    Attributes:
        graph: The directory of images, layers and working containers.
        run: The directory of state that is valid until the next boot.
        config: The directory of the configuration files.
        mirrors: Registries to use instead of others.
    """

    graph: Path
    run: Path
    config: Path
    mirrors: Sequence[Mirror] = ()

    @classmethod
    def of(cls, shared: Path, config: Path, mirrors: Sequence[Mirror] = ()) -> Storage:
        """Return the store of an engine's directory; nothing is written or read."""
        return cls(shared / "store", shared / f"run-{boot_id()[:8]}", config, mirrors)

    @classmethod
    def prepare(cls, shared: Path, config: Path, mirrors: Sequence[Mirror]) -> Storage:
        """Write the configuration files and return the store.

        Args:
            shared: The engine's directory.
            config: The session's directory.
            mirrors: Registries to use instead of others.
        """
        storage = cls.of(shared, config, mirrors)
        lines = ["[storage]", 'driver = "overlay"', f"graphroot = {_quoted(storage.graph)}"]
        lines += [f"runroot = {_quoted(storage.run)}"]
        (config / "storage.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (config / "policy.json").write_text(json.dumps(_POLICY), encoding="utf-8")
        (config / "containers.conf").write_text("", encoding="utf-8")
        (config / "no-auth.json").write_text("{}", encoding="utf-8")
        (config / "no-auth.json").chmod(0o600)
        # The builders' temporary files are removed with the session, except the caches of RUN --mount.
        caches = shared / "mount-caches"
        caches.mkdir(exist_ok=True)
        storage.temporary.mkdir()
        (storage.temporary / "buildah-cache").symlink_to(caches)
        return storage

    def environment(
        self, *, auth: Path | None = None, plain: Sequence[str] = (), temporary: Path | None = None
    ) -> dict[str, str]:
        """Return the whole environment of a buildah or skopeo process.

        Args:
            auth: The file with the credentials that it may use.
            plain: Registries that are reached by plain HTTP.
            temporary: Its directory for temporary files; the session's own when None.
        """
        return plain_environment() | {
            "CONTAINERS_STORAGE_CONF": str(self.config / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self._registries(tuple(sorted(set(plain))))),
            "CONTAINERS_CONF": str(self.config / "containers.conf"),
            "REGISTRY_AUTH_FILE": str(auth or self.config / "no-auth.json"),
            "TMPDIR": str(temporary or self.temporary),
        }

    @property
    def temporary(self) -> Path:
        """The builders' directory for temporary files."""
        return self.config / "tmp"

    @property
    def policy(self) -> Path:
        """The file that defines which images are trusted: all, as with a Dagger engine."""
        return self.config / "policy.json"

    @property
    def builds_lock(self) -> Path:
        """The lock that every `buildah build` holds, shared with the others."""
        return self.graph.parent / "builds.lock"

    def image(self, image_id: str) -> str:
        """Return skopeo's reference to an image of this store."""
        return f"containers-storage:[overlay@{self.graph}+{self.run}]@{image_id}"

    def _registries(self, plain: tuple[str, ...]) -> Path:
        text = registries_conf(self.mirrors, plain)
        path = self.config / f"registries-{hashlib.sha256(text.encode()).hexdigest()[:12]}.conf"
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        return path


def registries_conf(mirrors: Sequence[Mirror], plain: Sequence[str]) -> str:
    """Return a registries.conf (format 2): Docker Hub for short names, mirrors, registries reached by plain HTTP."""
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "disabled"']
    grouped: Mapping[str, list[Mirror]] = {mirror.registry: [] for mirror in mirrors}
    for mirror in mirrors:
        grouped[mirror.registry].append(mirror)
    for registry, entries in grouped.items():
        lines += ["", "[[registry]]", f"location = {_quoted(registry)}"]
        for entry in entries:
            lines += ["[[registry.mirror]]", f"location = {_quoted(entry.location)}", "insecure = true"]
    for registry in plain:
        if registry not in grouped:
            lines += ["", "[[registry]]", f"location = {_quoted(registry)}", "insecure = true"]
    return "\n".join(lines) + "\n"


def _quoted(value: str | Path) -> str:
    return json.dumps(str(value))
