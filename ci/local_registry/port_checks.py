"""Loopback ports: whether one is free, and whether a registry answers there."""

from __future__ import annotations

import socket
import ssl

import anyio
import httpx

from ci.system.processes import POLL_SECONDS
from pipeline.rules.errors import RegistryError, UsageError

_ANSWER_SECONDS = 2.0


def loopback_client(port: int, *, timeout: float) -> httpx.AsyncClient:
    """Return a client for the HTTP API of a registry on a loopback port, without proxies.

    Args:
        port: The port.
        timeout: Seconds for one request.
    """
    # An empty trust store: plain HTTP needs none, and loading the real one would cost more than the request.
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=trust, trust_env=False, timeout=timeout)


async def answers(port: int) -> bool:
    """Return whether a registry answers on a loopback port, even if it requires credentials."""
    async with loopback_client(port, timeout=_ANSWER_SECONDS) as client:
        try:
            response = await client.get("/v2/")
        except httpx.HTTPError:
            return False
    known = {httpx.codes.OK, httpx.codes.UNAUTHORIZED}
    return response.status_code in known and "docker-distribution-api-version" in response.headers


async def wait_until_free(port: int, *, time_limit: float) -> None:
    """Wait until a loopback port is free, or the time limit in seconds has passed."""
    with anyio.move_on_after(time_limit):
        while True:
            try:
                _try_bind(port)
            except OSError:
                await anyio.sleep(POLL_SECONDS)
            else:
                return


async def refuse_taken_port(port: int) -> None:
    """Check that a registry can listen on a loopback port.

    Raises:
        RegistryError: Something listens there already.
        UsageError: Only root may listen on the port.
    """
    try:
        _try_bind(port)
    except PermissionError as error:
        msg = f"Permission denied to listen on port {port}."
        raise UsageError(msg, hint="Choose a port above 1023 with --port.") from error
    except OSError as error:
        owner = "another registry" if await answers(port) else "another program"
        msg = f"Port {port} is already in use by {owner}."
        raise RegistryError(
            msg, hint="Choose a free port with --port, or stop the program that listens there."
        ) from error


def _try_bind(port: int) -> None:
    """Bind to a port on both loopback addresses, as far as they exist, and release it."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        _try_address(family, address, port)


def _try_address(family: socket.AddressFamily, address: str, port: int) -> None:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return  # the kernel does not support this address family
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            if family == socket.AF_INET6 and not _has_ipv6_loopback():
                return
            raise


def _has_ipv6_loopback() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True
