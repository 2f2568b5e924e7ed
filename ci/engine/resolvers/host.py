"""Services of the caller's machine: what a container needs to reach a registry there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from ci.engine.errors import NotServedError, QueryFailedError
from ci.engine.protocol.descriptions import Call, literal
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session

_CONNECT_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class HostService:
    """Ports of a host that the caller's machine reaches.

    Attributes:
        host: Its name.
        ports: The port there by the port that the service shows.
    """

    host: str
    ports: Mapping[int, int]

    def backend(self, frontend: int) -> str:
        """Return where a port of the service really is, as `host:port`.

        Raises:
            QueryFailedError: The service has no such port.
        """
        if frontend not in self.ports:
            shown = ", ".join(map(str, self.ports))
            msg = f"the service has no port {frontend}, only {shown}: address it as localhost:<the service's port>"
            raise QueryFailedError(msg)
        return f"{self.host}:{self.ports[frontend]}"


@OPERATIONS.serves("Host.service")
async def host_service(
    _session: Session, _host: None, *, ports: Sequence[Mapping[str, object]], host: str
) -> HostService:
    """A service of the caller's machine."""
    found: dict[int, int] = {}
    for port in ports:
        if port.get("protocol", "TCP") != "TCP":
            what = "Host.service(ports: {protocol: UDP})"
            raise NotServedError(what)
        backend = int(str(port["backend"]))
        found[int(str(port.get("frontend") or backend))] = backend
    return HostService(host, found)


@OPERATIONS.serves("Service.start", "Service.sync")
async def start(_session: Session, service: HostService) -> None:
    """See that its ports answer."""
    for backend in service.ports.values():
        try:
            with anyio.fail_after(_CONNECT_LIMIT):
                stream = await anyio.connect_tcp(service.host, backend)
        except (OSError, TimeoutError) as e:
            msg = f"the service at {service.host}:{backend} does not answer: {str(e) or 'timed out'}"
            raise QueryFailedError(msg) from e
        await stream.aclose()


@OPERATIONS.serves("Service.stop")
async def stop(_session: Session, _service: HostService, *, kill: bool) -> None:
    """Do nothing: the service is the caller's, and only a way to it was opened."""
    del kill


@OPERATIONS.serves("Service.hostname")
async def hostname(_session: Session, service: HostService) -> str:
    """Where it is reached."""
    return service.host


@OPERATIONS.serves("Service.endpoint")
async def endpoint(_session: Session, service: HostService, *, port: int | None = None, scheme: str) -> str:
    """The address of a port, from where the caller is."""
    address = service.backend(port if port is not None else next(iter(service.ports)))
    return f"{scheme}://{address}" if scheme else address


@OPERATIONS.serves("Service.ports")
async def ports(_session: Session, service: HostService) -> list[Call]:
    """Its ports."""
    return [literal("Port", port=port, protocol="TCP", description=None) for port in service.ports]
