"""Reads and tag writes over a registry's HTTP API (OCI distribution specification v1.1).

Layers never travel here: the engine uploads them. This client asks what a tag names, reads a manifest and an image's
labels, lists tags, and writes a manifest that is in the registry under a further tag.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx

from pipeline.registry.credentials import Access, Credentials, RegistryAuth
from pipeline.registry.failures import RUN_AGAIN, path_of, raise_for, reason_of
from pipeline.registry.manifests import (
    MANIFEST_TYPES,
    ImageConfig,
    Manifest,
    digest_for_platform,
    digest_in,
    digest_of,
    image_config,
    json_object,
)
from pipeline.registry.retry import trying_again
from pipeline.rules.errors import RegistryError, TransientError
from pipeline.rules.image_name import DIGEST, ImageName
from pipeline.rules.platforms import Platform
from pipeline.rules.text import quoted

_API_HOSTS = {"docker.io": "registry-1.docker.io"}
"""Where registries answer whose images carry another name."""
_DIGEST_HEADER = "Docker-Content-Digest"
_REQUEST_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_PAGE_SIZE = 1000
_MOST_PAGES = 1000
_CHANGED_ON_THE_WAY = "Something between here and the registry changes what passes."


class Registry:
    """One repository of a registry; made by `open_registry`."""

    def __init__(self, image: ImageName, http: httpx.AsyncClient) -> None:
        self.image = image
        self._http = http
        self._path = f"/v2/{image.repository}"

    async def check_access(self) -> None:
        """Make sure that the registry answers and takes the credentials, before anything is built.

        Raises:
            AuthError: It wants credentials, or others than these.
            RegistryError: It does not answer, or is no registry.
        """
        response = await self._send("GET", "/v2/", what=str(self.image))
        if response.status_code == httpx.codes.NOT_FOUND:
            msg = f"{self.image.registry} answers, but is no container registry (no /v2/)."
            raise RegistryError(msg, hint="Check --registry.")

    async def digest_of(self, tag: str) -> str | None:
        """Ask what a tag names; None where there is no such tag."""
        response = await self._send("HEAD", f"{self._path}/manifests/{tag}", what=self.image.tagged(tag), accept=True)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        digest = response.headers.get(_DIGEST_HEADER, "")
        if DIGEST.fullmatch(digest) is not None:
            return str(digest)
        manifest = await self.manifest(tag)
        return None if manifest is None else manifest.digest

    async def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest by tag or digest; None where there is none.

        Raises:
            RegistryError: The bytes are not those that the digest names.
        """
        by_digest = DIGEST.fullmatch(reference) is not None
        what = self.image.at(reference) if by_digest else self.image.tagged(reference)
        response = await self._send("GET", f"{self._path}/manifests/{reference}", what=what, accept=True)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        digest = digest_of(response.content)
        promised = reference if by_digest else response.headers.get(_DIGEST_HEADER, digest)
        if digest != promised:
            msg = f"{what} was promised as {quoted(promised)}, but its bytes are {digest}."
            raise RegistryError(msg, hint=_CHANGED_ON_THE_WAY)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip() or MANIFEST_TYPES[0]
        return Manifest(content=response.content, media_type=media_type, digest=digest)

    async def config(self, manifest: Manifest, platform: Platform) -> ImageConfig:
        """Read an image's configuration.

        Args:
            manifest: The image's manifest, or an index that has the platform's image.
            platform: Which image of an index.

        Raises:
            RegistryError: The manifest or the configuration is not what it should be.
        """
        what = self.image.at(manifest.digest)
        try:
            document = manifest.parsed()
        except ValueError as error:
            msg = f"The manifest {what} is not JSON."
            raise RegistryError(msg, hint="Check --registry: what answers there may be no registry.") from error
        if isinstance(document.get("manifests"), list):
            chosen = digest_for_platform(document["manifests"], platform)
            inner = None if chosen is None else await self.manifest(chosen)
            return ImageConfig() if inner is None else await self.config(inner, platform)
        digest = digest_in(document.get("config"))
        if digest is None:
            return ImageConfig()
        response = await self._send("GET", f"{self._path}/blobs/{digest}", what=what)
        if response.status_code == httpx.codes.NOT_FOUND:
            msg = f"The configuration of {what} is missing in the registry."
            raise RegistryError(msg, hint="Delete the image there and run this again.")
        if digest_of(response.content) != digest:
            msg = f"The configuration of {what} should be {digest}, but its bytes are {digest_of(response.content)}."
            raise RegistryError(msg, hint=_CHANGED_ON_THE_WAY)
        try:
            return image_config(response.content)
        except ValueError as error:
            msg = f"The configuration of {what} is not JSON as it should be."
            raise RegistryError(msg) from error

    async def put_tag(self, tag: str, manifest: Manifest) -> str:
        """Write a manifest that the registry holds under a further tag: one PUT, no blob asked for or sent.

        Returns:
            The digest that the registry says it stored.
        """
        what = self.image.tagged(tag)
        response = await self._send(
            "PUT",
            f"{self._path}/manifests/{tag}",
            what=what,
            content=manifest.content,
            headers={"Content-Type": manifest.media_type},
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            msg = f"{what} could not be written: {reason_of(response)}."
            raise RegistryError(msg, hint="Check that the repository exists and is not being deleted.")
        return str(response.headers.get(_DIGEST_HEADER, manifest.digest))

    async def tags(self) -> list[str]:
        """List every tag, page by page; empty where the repository does not exist yet."""
        names: list[str] = []
        url = f"{self._path}/tags/list?n={_PAGE_SIZE}"
        asked = {url, ""}
        for _ in range(_MOST_PAGES):
            response = await self._send("GET", url, what=str(self.image))
            if response.status_code == httpx.codes.NOT_FOUND:
                return names
            try:
                names += [str(name) for name in json_object(response.content).get("tags") or ()]
            except (ValueError, TypeError) as error:
                msg = f"The list of tags of {self.image} is not JSON as it should be."
                raise RegistryError(msg) from error
            following = response.links.get("next", {}).get("url")
            if following is None:
                return names
            # The path alone: a registry behind a proxy may name itself otherwise, and none may lead elsewhere.
            url = path_of(response.url, following)
            if url in asked:
                msg = f"The list of tags of {self.image} does not go on at {quoted(following)}."
                raise RegistryError(msg, hint="Report this to who runs the registry.")
            asked.add(url)
        msg = f"{self.image} has more than {_PAGE_SIZE * _MOST_PAGES} tags."
        raise RegistryError(msg)

    async def _send(
        self,
        method: str,
        url: str,
        *,
        what: str,
        accept: bool = False,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request, again where that may help; the one place where an answer becomes an error.

        404 is left to the caller. Every request may be sent twice: a manifest that is written again is the same one.
        """

        async def attempt() -> httpx.Response:
            return await self._attempt(method, url, what=what, accept=accept, content=content, headers=headers)

        return await trying_again(attempt)

    async def _attempt(
        self,
        method: str,
        url: str,
        *,
        what: str,
        accept: bool,
        content: bytes | None,
        headers: dict[str, str] | None,
    ) -> httpx.Response:
        all_headers = dict(headers or {}) | ({"Accept": ", ".join(MANIFEST_TYPES)} if accept else {})
        try:
            with anyio.fail_after(_REQUEST_SECONDS):
                response = await self._http.request(method, url, content=content, headers=all_headers)
        except (TimeoutError, httpx.TimeoutException) as error:
            msg = f"{self.image.registry} did not answer in time for {what}."
            raise RegistryError(msg, hint="Check the network, and run this again.") from error
        except (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError) as error:
            msg = f"{self.image.registry} dropped the connection for {what}: {str(error) or type(error).__name__}."
            raise TransientError(msg, hint=RUN_AGAIN) from error
        except httpx.HTTPError as error:
            msg = f"{self.image.registry} could not be reached for {what}: {str(error) or type(error).__name__}."
            hint = "Check --registry and the network. A local one: `lr-ci registry up`."
            raise RegistryError(msg, hint=hint) from error
        raise_for(response, self.image, what)
        return response


@asynccontextmanager
async def open_registry(
    image: ImageName,
    credentials: Credentials | None,
    *,
    access: Access = Access.PUSH,
    base_url: str | None = None,
) -> AsyncIterator[Registry]:
    """Open the HTTP API of an image's repository.

    Args:
        image: The image; its registry is spoken to by HTTPS, by plain HTTP on this machine.
        credentials: Who asks, or None to ask without.
        access: What is going to be asked.
        base_url: Where the API is reached when that is not the registry's own address: a Dagger service.
    """
    scheme = "http" if image.is_loopback else "https"
    host = _API_HOSTS.get(image.registry, image.registry)
    async with httpx.AsyncClient(
        base_url=base_url or f"{scheme}://{host}",
        auth=RegistryAuth(image, credentials, access),
        verify=ssl.create_default_context(),
        timeout=httpx.Timeout(_REQUEST_SECONDS, connect=_CONNECT_SECONDS),
        follow_redirects=True,
        headers={"User-Agent": "backend-pipeline"},
        trust_env=not image.is_loopback,
    ) as http:
        yield Registry(image, http)
