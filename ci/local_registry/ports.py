"""Ports of this machine: whether one is free, and whether a registry answers there."""

from __future__ import annotations

import socket
import ssl

import httpx

from pipeline.rules.errors import RegistryError, UsageError

_ANSWER_SECONDS = 2.0


async def answers(port: int) -> bool:
    """Tell whether a registry answers on a port of this machine, with or without asking for credentials."""
    # An empty trust store: plain HTTP needs none, and loading the real one would cost more than the request.
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=_ANSWER_SECONDS) as client:
        try:
            response = await client.get(f"http://127.0.0.1:{port}/v2/")
        except httpx.HTTPError:
            return False
    known = {httpx.codes.OK, httpx.codes.UNAUTHORIZED}
    return response.status_code in known and "docker-distribution-api-version" in response.headers


async def refuse_taken_port(port: int) -> None:
    """Return when a registry can listen on a port of this machine.

    Raises:
        RegistryError: Something listens there already.
        UsageError: The port is one that only root may use.
    """
    try:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            _try_bind(family, address, port)
    except PermissionError as error:
        msg = f"Port {port} is not for ordinary users."
        raise UsageError(msg, hint="Choose one above 1023 by --port.") from error
    except OSError as error:
        who = "another registry" if await answers(port) else "another program"
        msg = f"Port {port} of this machine is taken by {who}."
        raise RegistryError(msg, hint="Choose a free one by --port, or stop what listens there.") from error


def _try_bind(family: socket.AddressFamily, address: str, port: int) -> None:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return  # no such address family on this machine
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
