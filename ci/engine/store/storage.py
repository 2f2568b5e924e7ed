"""Configuration that keeps buildah and skopeo in the engine's own folder, away from root's default store."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.system.process_identity import boot_id

_POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
_KEPT_ENVIRONMENT = (
    "PATH", "HOME", "LANG", "TZ", "XDG_RUNTIME_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mirror:
    """A registry that is asked in place of another one.

    Args:
        registry: The one that image names say, `docker.io`.
        location: The one that is asked first, with a path where it has one: `localhost:5001/docker.io`.
        insecure: It speaks plain HTTP.
    """

    registry: str
    location: str
    insecure: bool = True


@dataclass(frozen=True, slots=True)
class Storage:
    """The store that sessions share, with one session's configuration of it.

    Attributes:
        graph: Images, layers and working containers.
        run: State that only counts until the machine is started anew.
        config: Where the configuration files are written.
        mirrors: Registries that are asked in place of others.
    """

    graph: Path
    run: Path
    config: Path
    mirrors: Sequence[Mirror] = ()

    @classmethod
    def prepare(cls, shared: Path, config: Path, mirrors: Sequence[Mirror]) -> Storage:
        """Write the configuration files and return the store.

        Args:
            shared: The engine's folder.
            config: The session's folder.
            mirrors: Registries that are asked in place of others.
        """
        storage = cls(shared / "store", shared / f"run-{boot_id()[:8]}", config, mirrors)
        lines = ["[storage]", 'driver = "overlay"', f"graphroot = {_quoted(storage.graph)}"]
        lines += [f"runroot = {_quoted(storage.run)}"]
        (config / "storage.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (config / "policy.json").write_text(json.dumps(_POLICY), encoding="utf-8")
        (config / "containers.conf").write_text("", encoding="utf-8")
        (config / "no-auth.json").write_text("{}", encoding="utf-8")
        (config / "no-auth.json").chmod(0o600)
        # What builders put into their temporary folder goes with the session, but for the caches of RUN --mount.
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
            auth: The file with the credentials it may use; none when None.
            plain: Registries, `host:port`, that are spoken to by plain HTTP.
            temporary: Its folder for temporary files; the session's own when None.
        """
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        return kept | {
            "CONTAINERS_STORAGE_CONF": str(self.config / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self._registries(tuple(sorted(set(plain))))),
            "CONTAINERS_CONF": str(self.config / "containers.conf"),
            "REGISTRY_AUTH_FILE": str(auth or self.config / "no-auth.json"),
            "TMPDIR": str(temporary or self.temporary),
        }

    @property
    def temporary(self) -> Path:
        """The builders' folder for temporary files."""
        return self.config / "tmp"

    @property
    def policy(self) -> Path:
        """The file that says which images are trusted: all, as with a Dagger engine."""
        return self.config / "policy.json"

    @property
    def builds_lock(self) -> Path:
        """The lock that every `buildah build` holds, together with the others."""
        return self.graph.parent / "builds.lock"

    def image(self, image_id: str) -> str:
        """Return how skopeo names an image of this store."""
        return f"containers-storage:[overlay@{self.graph}+{self.run}]@{image_id}"

    def _registries(self, plain: tuple[str, ...]) -> Path:
        text = registries_conf(self.mirrors, plain)
        path = self.config / f"registries-{hashlib.sha256(text.encode()).hexdigest()[:12]}.conf"
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        return path


def registries_conf(mirrors: Sequence[Mirror], plain: Sequence[str]) -> str:
    """Render a registries.conf (format 2): Docker Hub for short names, the mirrors, and who speaks plain HTTP."""
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "disabled"']
    grouped: Mapping[str, list[Mirror]] = {mirror.registry: [] for mirror in mirrors}
    for mirror in mirrors:
        grouped[mirror.registry].append(mirror)
    for registry, entries in grouped.items():
        lines += ["", "[[registry]]", f"location = {_quoted(registry)}"]
        for entry in entries:
            lines += ["[[registry.mirror]]", f"location = {_quoted(entry.location)}"]
            lines += [f"insecure = {str(entry.insecure).lower()}"]
    for registry in plain:
        if registry not in grouped:
            lines += ["", "[[registry]]", f"location = {_quoted(registry)}", "insecure = true"]
    return "\n".join(lines) + "\n"


def _quoted(value: str | Path) -> str:
    return json.dumps(str(value))
