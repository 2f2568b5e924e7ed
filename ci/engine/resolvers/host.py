"""Fields of `Host` and `Service`: directories of the host, and ports that the host reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from ci.engine.errors import NotServedError, QueryFailedError
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.snapshots import Snapshot

_CONNECT_SECONDS = 10.0


@RESOLVERS.field("Host.directory")
async def directory(
    session: Session, _host: None, *, path: str, exclude: list[str], include: list[str], nonce: str = ""
) -> Snapshot:
    """Capture a directory as it is now; with `noCache`, each call has its own `nonce`."""
    del nonce
    async with session.step(f"read {path}"):
        return await session.snapshots.capture(session.on_host(path), include=include, exclude=exclude)


@dataclass(frozen=True, slots=True)
class HostService:
    """Ports of a machine that the host reaches.

    Attributes:
        host: The machine's name.
        ports: The port of the machine by the port of the service.
    """

    host: str
    ports: Mapping[int, int]

    def backend(self, frontend: int) -> str:
        """Return where a port of the service is, as `host:port`.

        Raises:
            QueryFailedError: The service does not have the port.
        """
        if frontend not in self.ports:
            known = ", ".join(map(str, self.ports))
            msg = f"the service has no port {frontend}, only {known}: use localhost:PORT with a port of the service"
            raise QueryFailedError(msg)
        return f"{self.host}:{self.ports[frontend]}"


@RESOLVERS.field("Host.service")
async def service(_session: Session, _host: None, *, ports: Sequence[Mapping[str, object]], host: str) -> HostService:
    found: dict[int, int] = {}
    for port in ports:
        if port.get("protocol", "TCP") != "TCP":
            what = "Host.service(ports: {protocol: UDP})"
            raise NotServedError(what)
        backend = int(str(port["backend"]))
        found[int(str(port.get("frontend") or backend))] = backend
    return HostService(host, found)


@RESOLVERS.field("Service.start")
async def start(_session: Session, service: HostService) -> None:
    """Check that its ports accept connections."""
    for backend in service.ports.values():
        try:
            with anyio.fail_after(_CONNECT_SECONDS):
                stream = await anyio.connect_tcp(service.host, backend)
        except (OSError, TimeoutError) as e:
            msg = f"the service at {service.host}:{backend} does not answer: {str(e) or 'timed out'}"
            raise QueryFailedError(msg) from e
        await stream.aclose()


@RESOLVERS.field("Service.endpoint")
async def endpoint(_session: Session, service: HostService, *, port: int | None = None, scheme: str) -> str:
    address = service.backend(port if port is not None else next(iter(service.ports)))
    return f"{scheme}://{address}" if scheme else address
