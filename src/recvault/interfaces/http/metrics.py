"""``GET /metrics``: the gauges in the text format of Prometheus.

Keeps: only those who ask directly from an address in ``server.metrics_networks`` are answered; a request that a proxy
passed on is refused, because then everybody would come from the proxy's address. Numbers only, no id, nothing personal.
What the numbers are is decided in ``services.gauges``.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping

from fastapi import APIRouter, Request, Response

from recvault.domain.errors import Forbidden
from recvault.interfaces.http.doors import PROXY_HEADERS
from recvault.interfaces.http.identity import ArchiveDep
from recvault.services.gauges import GAUGES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PREFIX = "recvault_"

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request, archive: ArchiveDep) -> Response:
    """The gauges. Always 200 for who may ask: what cannot be reached is a number of its own."""
    require_direct(request, archive.config.server.metrics_networks)
    return Response(exposition(archive.gauges.read()), headers={"Content-Type": CONTENT_TYPE})


def require_direct(request: Request, networks: Iterable[str]) -> None:
    """Returns when the request comes straight from one of the networks; Forbidden otherwise."""
    if any(name in request.headers for name in PROXY_HEADERS):
        raise Forbidden("/metrics is not passed on by a proxy; let Prometheus ask this process directly")
    if request.client is None or not is_within(request.client.host, networks):
        raise Forbidden("/metrics is not open to this address; add its network to server.metrics_networks")


def is_within(host: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of the networks (CIDR); an IPv4 address written as IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in ipaddress.ip_network(network) for network in networks)


def exposition(values: Mapping[str, float]) -> str:
    """Gauges in the Prometheus text exposition format 0.0.4: for each a line of help, of type, and ``name value``."""
    lines: list[str] = []
    for gauge in GAUGES:
        if gauge.name in values:
            name = PREFIX + gauge.name
            lines += [f"# HELP {name} {gauge.help}", f"# TYPE {name} gauge", f"{name} {_number(values[gauge.name])}"]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
