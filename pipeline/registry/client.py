"""Reads and tag writes over a registry's HTTP API (OCI distribution specification v1.1).

Layers are not sent here: the engine uploads them. This client reads the digest that a tag points to, manifests and the
labels of images, lists tags, and writes a manifest that is in the registry under a further tag.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio
import httpx

from pipeline.concurrency import each
from pipeline.registry.answers import CONFIG_BYTES, MANIFEST_BYTES, MOST, PAGE_BYTES, SMALL_BYTES, BoundedTransport
from pipeline.registry.authentication import Access, ChallengeAuth
from pipeline.registry.credentials import Credentials
from pipeline.registry.failures import WRONG_SECONDS, connection_error, raise_for, reason_of, service_error, shown
from pipeline.registry.manifests import (
    ImageProperties,
    Manifest,
    StoredImage,
    digest_in,
    image_properties,
    json_object,
)
from pipeline.registry.retry import RetryPolicy, time_left
from pipeline.rules.errors import InvalidImageError, RegistryError, TransientError
from pipeline.rules.image_name import DIGEST, HUB, HUB_API, ImageName, digest_of
from pipeline.rules.media_types import MANIFEST, MANIFEST_TYPES
from pipeline.rules.platforms import Platform

_API_HOSTS = {HUB: HUB_API}
"""The API's host, if it differs from the registry in the names of images."""
_DIGEST_HEADER = "Docker-Content-Digest"
_REQUEST_SECONDS = 60.0
_READ_SECONDS = 20.0
_CONNECT_SECONDS = 10.0
_CONNECTIONS = 8
_PAGE_SIZE = 1000
_MOST_PAGES = 1000
_CHANGED_ON_THE_WAY = "A proxy between this process and the registry changes its answers."


class Registry:
    """One repository of a registry; created by `open_registry`.

    Args:
        image: The image.
        http: Sends the requests.
        auth: Authorises them.
        retries: How long each request is tried. An operation of several requests that must be repeated as a whole is
            `await registry.retries.run(operation)`: every method called in it sends its requests once.
        is_service: Whether the registry is a Dagger service, which accepts connections even if nothing is behind it.
    """

    def __init__(
        self,
        image: ImageName,
        http: httpx.AsyncClient,
        auth: ChallengeAuth,
        retries: RetryPolicy,
        *,
        is_service: bool = False,
    ) -> None:
        self.image = image
        self.retries = retries
        self._http = http
        self._auth = auth
        self._is_service = is_service
        self._answered = False
        self._manifests: dict[str, Manifest] = {}
        self._images: dict[str, tuple[StoredImage, ...]] = {}
        self._path = f"/v2/{image.repository}"

    async def check_access(self) -> None:
        """Check that the registry answers and accepts the credentials, before anything is built.

        Raises:
            AuthError: It requires credentials, or denied these.
            RegistryError: It does not answer, or is not a registry.
        """
        response = await self._send("GET", "/v2/", what=str(self.image))
        if response.status_code == httpx.codes.NOT_FOUND:
            msg = f"{self.image.registry} answers, but is not a container registry: it has no /v2/."
            raise RegistryError(msg, hint="Check --registry.")

    async def digest_of(self, tag: str) -> str | None:
        """Return the digest that a tag points to, or None if there is no such tag.

        A digest that this client has not seen before is that of a manifest that it reads: a wrong header is no digest.
        """

        async def looked_up() -> str | None:
            what = self.image.tagged(tag)
            response = await self._send("HEAD", f"{self._path}/manifests/{tag}", what=what, accept=True)
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            digest = str(response.headers.get(_DIGEST_HEADER, ""))
            if digest in self._manifests:
                return digest
            manifest = await self.manifest(tag)
            if DIGEST.fullmatch(digest) is not None and (manifest is None or manifest.digest != digest):
                found = "is missing" if manifest is None else f"has digest {manifest.digest}"
                msg = f"{what} {found}, but the registry reported {digest}."
                raise _contradiction(msg)
            return None if manifest is None else manifest.digest

        return await self.retries.run(looked_up)

    def known(self, digest: str) -> Manifest:
        """Return a manifest that this client has read or written: that of any digest that it answered."""
        return self._manifests[digest]

    async def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest by tag or digest; return None if there is no such manifest.

        Raises:
            RegistryError: The content does not have the digest.
        """
        by_digest = DIGEST.fullmatch(reference) is not None
        what = self.image.at(reference) if by_digest else self.image.tagged(reference)

        async def read() -> Manifest | None:
            response = await self._send(
                "GET", f"{self._path}/manifests/{reference}", what=what, accept=True, most=MANIFEST_BYTES
            )
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            digest = digest_of(response.content)
            promised = reference if by_digest else response.headers.get(_DIGEST_HEADER, digest)
            if digest != promised:
                msg = f"{what} has digest {digest}, but the registry reported {self._shown(promised, response)}."
                raise _contradiction(msg)
            _check_manifest(response.content, what)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip() or MANIFEST
            self._manifests[digest] = Manifest(content=response.content, media_type=media_type, digest=digest)
            return self._manifests[digest]

        return await self.retries.run(read)

    async def images(self, manifest: Manifest) -> tuple[ImageProperties, ...]:
        """Read the labels and the platform of an image, or of each image of an index; see `stored_images`."""
        return tuple([image.properties for image in await self.stored_images(manifest)])

    async def stored_images(self, manifest: Manifest) -> tuple[StoredImage, ...]:
        """Read the configuration of an image, or of each image of an index; once for each digest.

        Raises:
            InvalidImageError: A manifest or a configuration is missing or not valid.
        """
        if manifest.digest not in self._images:
            self._images[manifest.digest] = await self._read_images(manifest)
        return self._images[manifest.digest]

    async def _read_images(self, manifest: Manifest) -> tuple[StoredImage, ...]:
        what = self.image.at(manifest.digest)
        try:
            variants = manifest.variants()
        except ValueError as error:
            raise _invalid_manifest(what) from error
        if variants is None:
            return (await self._stored_image(manifest),)
        found: dict[str, StoredImage] = {}

        async def read(digest: str) -> None:
            inner = await self.manifest(digest)
            if inner is None:
                msg = f"The image for {variants[digest]} of the index {what} is missing in the registry."
                raise InvalidImageError(msg, hint="Delete the index there and run this again.")
            found[digest] = await self._stored_image(inner, variants[digest])

        await each(variants, read)
        return tuple(found[digest] for digest in variants)

    async def _stored_image(self, manifest: Manifest, platform: Platform | None = None) -> StoredImage:
        what = self.image.at(manifest.digest)
        try:
            document = manifest.parsed()
        except ValueError as error:
            raise _invalid_manifest(what) from error
        digest = digest_in(document.get("config"))
        if digest is None:
            return StoredImage(manifest, b"", ImageProperties(platform=platform))

        async def read() -> bytes:
            response = await self._send("GET", f"{self._path}/blobs/{digest}", what=what, most=CONFIG_BYTES)
            if response.status_code == httpx.codes.NOT_FOUND:
                msg = f"The configuration of {what} is missing in the registry."
                raise InvalidImageError(msg, hint="Delete the image there and run this again.")
            if (found := digest_of(response.content)) != digest:
                msg = f"The configuration of {what} has digest {found}, but should have {digest}."
                raise _contradiction(msg)
            return response.content

        content = await self.retries.run(read)
        try:
            properties = image_properties(content)
        except ValueError as error:
            msg = f"The configuration of {what} is not valid."
            raise InvalidImageError(msg) from error
        return StoredImage(manifest, content, replace(properties, platform=properties.platform or platform))

    async def put_tag(self, tag: str, manifest: Manifest) -> None:
        """Write a manifest that the registry holds under a further tag: one PUT, and no request for a blob.

        Raises:
            TransientError: It may be written or not, and writing it again is safe if the tag may still be written.
        """
        await self._put_manifest(tag, self.image.tagged(tag), manifest)

    async def put_manifest(self, manifest: Manifest) -> None:
        """Write a manifest under its digest alone; the registry must hold what it refers to."""
        await self._put_manifest(manifest.digest, self.image.at(manifest.digest), manifest)

    async def _put_manifest(self, reference: str, what: str, manifest: Manifest) -> None:
        async def write() -> None:
            response = await self._send(
                "PUT",
                f"{self._path}/manifests/{reference}",
                what=what,
                content=manifest.content,
                headers={"Content-Type": manifest.media_type},
            )
            self._check_stored(response, what, manifest.digest)
            self._manifests[manifest.digest] = manifest

        await self.retries.run(write)

    async def put_blob(self, content: bytes) -> None:
        """Upload a small blob in two requests (specification, "Pushing a blob monolithically")."""
        digest = digest_of(content)
        what = self.image.at(digest)

        async def write() -> None:
            opened = await self._send("POST", f"{self._path}/blobs/uploads/", what=what)
            location = opened.headers.get("Location")
            path = "" if location is None else _path_of(opened.url, location)
            if opened.status_code != httpx.codes.ACCEPTED or not path:
                reason = reason_of(opened, self._auth.credentials) or f"HTTP {opened.status_code}"
                msg = f"{self.image.registry} opened no upload for {what}: {reason}."
                raise RegistryError(msg, hint="Check that the repository exists and that the registry accepts uploads.")
            stored = await self._send(
                "PUT",
                f"{path}{'&' if '?' in path else '?'}digest={digest}",
                what=what,
                content=content,
                headers={"Content-Type": "application/octet-stream"},
            )
            self._check_stored(stored, what, digest)

        await self.retries.run(write)

    def _check_stored(self, response: httpx.Response, what: str, digest: str) -> None:
        if response.status_code == httpx.codes.NOT_FOUND:
            msg = f"{what} could not be written: {reason_of(response, self._auth.credentials) or 'HTTP 404'}."
            raise RegistryError(msg, hint="Check that the repository exists and is not being deleted.")
        stored = str(response.headers.get(_DIGEST_HEADER, digest))
        if stored != digest:
            msg = f"{what} was stored as {self._shown(stored, response)}, not as {digest}."
            raise _contradiction(msg)

    async def tags(self) -> list[str]:
        """List every tag, page by page; empty if the repository does not exist yet."""
        names: list[str] = []
        url = f"{self._path}/tags/list?n={_PAGE_SIZE}"
        requested = {url, ""}
        for _ in range(_MOST_PAGES):
            page = await self._page(url)
            if page is None:
                return names
            names += page.names
            if page.link is None:
                return names
            url = page.next_path
            if url in requested:
                msg = f"The list of tags of {self.image} cannot be continued at {page.link}."
                raise RegistryError(msg, hint="Report this to the registry's administrator.")
            requested.add(url)
        msg = f"{self.image} has more than {_PAGE_SIZE * _MOST_PAGES} tags."
        raise RegistryError(msg)

    async def _page(self, url: str) -> _Page | None:
        """Return a page of the list of tags, or None if there is no such repository."""

        async def read() -> _Page | None:
            response = await self._send("GET", url, what=str(self.image), most=PAGE_BYTES)
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            try:
                names = [str(name) for name in json_object(response.content).get("tags") or ()]
            except (ValueError, TypeError) as error:
                msg = f"The list of tags of {self.image} is not valid."
                raise TransientError(msg, within=WRONG_SECONDS) from error
            link = response.links.get("next", {}).get("url")
            # The path alone: behind a proxy the host may be a different one, and no link may lead to another server.
            path = "" if link is None else _path_of(response.url, link)
            return _Page(names, None if link is None else self._shown(link, response), path)

        return await self.retries.run(read)

    def _shown(self, text: str, response: httpx.Response) -> str:
        return shown(text, response, self._auth.credentials)

    async def _send(
        self,
        method: str,
        url: str,
        *,
        what: str,
        accept: bool = False,
        most: int = SMALL_BYTES,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request, with retries; 404 is left to the caller.

        Every request may be sent twice: a manifest that is written again is the same one.
        """
        all_headers = (headers or {}) | ({"Accept": ", ".join(MANIFEST_TYPES)} if accept else {})

        async def attempt() -> httpx.Response:
            try:
                with anyio.fail_after(min(_REQUEST_SECONDS, time_left())):
                    response = await self._http.request(
                        method, url, content=content, headers=all_headers, extensions={MOST: most}
                    )
            except (TimeoutError, httpx.HTTPError) as error:
                if self._is_service and not self._answered:
                    raise service_error(error, self.image) from error
                raise connection_error(error, self.image, what, answered=self._answered) from error
            self._answered = True
            raise_for(response, self.image, what, self._auth.credentials)
            return response

        return await self.retries.run(attempt)


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of the list of tags, with the link to the next one, as messages show it, and the path in it."""

    names: list[str]
    link: str | None
    next_path: str


def _contradiction(message: str) -> TransientError:
    return TransientError(message, hint=_CHANGED_ON_THE_WAY, within=WRONG_SECONDS)


def _invalid_manifest(what: str) -> InvalidImageError:
    msg = f"The manifest {what} is not valid."
    return InvalidImageError(msg, hint="Check --registry: what answers there may not be a registry.")


def _check_manifest(content: bytes, what: str) -> None:
    try:
        json_object(content)
    except ValueError as error:
        invalid = _invalid_manifest(what)
        raise TransientError(invalid.message, hint=invalid.hint, within=WRONG_SECONDS) from error


@asynccontextmanager
async def open_registry(
    image: ImageName,
    credentials: Credentials | None,
    *,
    access: Access = Access.PUSH,
    service_url: str | None = None,
    retries: RetryPolicy = RetryPolicy(),  # noqa: B008 # frozen
) -> AsyncIterator[Registry]:
    """Open the HTTP API of an image's repository.

    Args:
        image: The image; its registry is reached by HTTPS, or by plain HTTP if it is on the loopback interface.
        credentials: The user's, or None for anonymous access.
        access: What the requests do.
        service_url: The API's address, if the registry is a Dagger service.
        retries: How long each request is tried.
    """
    scheme = "http" if image.is_loopback else "https"
    host = _API_HOSTS.get(image.registry, image.registry)
    auth = ChallengeAuth(image, credentials, access)
    sender = httpx.AsyncClient(
        verify=ssl.create_default_context(),
        limits=httpx.Limits(max_connections=_CONNECTIONS),
        trust_env=not image.is_loopback,
    )
    async with httpx.AsyncClient(
        transport=BoundedTransport(sender),
        base_url=service_url or f"{scheme}://{host}",
        auth=auth,
        timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS, pool=None),
        follow_redirects=True,
        headers={"User-Agent": "backend-pipeline", "Accept-Encoding": "identity"},
        trust_env=False,
    ) as http:
        yield Registry(image, http, auth, retries, is_service=service_url is not None)


def _path_of(base: httpx.URL, link: str) -> str:
    """Return the path and query of a link; empty if it is not a valid address."""
    try:
        path = base.join(link).raw_path.decode()
    except (httpx.InvalidURL, ValueError):
        return ""
    return "" if path.startswith("//") else path  # httpx would read a host in it
