"""Reads a registry's answers, however large or compressed they are, in bounded memory.

A transport reads each body before anything else does: also those of redirects, challenges and token services.
"""

from __future__ import annotations

import zlib

import httpx
from typing_extensions import override

from pipeline.rules.errors import RegistryError

MANIFEST_BYTES = 4 * 1024 * 1024
"""The limit that registries set (OCI distribution specification v1.1, "Pushing Manifests")."""
CONFIG_BYTES = 8 * 1024 * 1024
PAGE_BYTES = 8 * 1024 * 1024
SMALL_BYTES = 64 * 1024
"""The limit of any other answer: an error, a challenge, a token."""

MOST = "most"
"""The extension of a request that holds how many bytes its answer may have."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class BoundedTransport(httpx.AsyncBaseTransport):
    """Sends requests by a client, and reads the answers, decompressed, up to a limit.

    Of an error no more than the limit is read, as its status says enough. A success beyond the limit is an error.

    Args:
        client: Sends each request once; a client, as it uses the proxies that the environment names.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        most = request.extensions.get(MOST, SMALL_BYTES) if response.is_success else SMALL_BYTES
        try:
            content = await _read(response, request, most)
        finally:
            await response.aclose()
        if len(content) > most:
            if response.is_success:
                msg = f"{request.url.host} answered {request.method} {request.url.path} with more than {_size(most)}."
                raise RegistryError(msg, hint="Check --registry: what answers there may not be a registry.")
            content = content[:most]
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _OF_THE_BODY]
        return httpx.Response(response.status_code, headers=headers, content=content, request=request)

    @override
    async def aclose(self) -> None:
        await self._client.aclose()


_OF_THE_BODY = {b"content-encoding", b"content-length", b"transfer-encoding"}


async def _read(response: httpx.Response, request: httpx.Request, most: int) -> bytes:
    """Read a body up to one byte more than the limit."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"gzip", "deflate"}:  # `identity` was requested, but a proxy may not care
        decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    elif encoding in {"", "identity"}:
        decoder = None
    else:
        msg = f"{request.url.host} answered in an encoding that was not requested."
        raise RegistryError(msg)
    content = bytearray()
    async for piece in response.aiter_raw():
        left = most + 1 - len(content)
        try:
            content += piece[:left] if decoder is None else decoder.decompress(piece, left)
        except zlib.error as error:
            msg = f"the body is not valid {encoding}"
            raise httpx.RemoteProtocolError(msg, request=request) from error
        if len(content) > most:
            break
    if decoder is not None and not decoder.eof and len(content) <= most and request.method != "HEAD":
        msg = f"the {encoding} body is incomplete"
        raise httpx.RemoteProtocolError(msg, request=request)
    return bytes(content)


def _size(count: int) -> str:
    return f"{count // 1024**2} MiB" if count >= 1024**2 else f"{count // 1024} KiB"
