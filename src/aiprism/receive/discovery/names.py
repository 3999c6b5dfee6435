"""`dns_sd_configs`: names whose records are the targets (A, AAAA, SRV, MX, NS), asked of the servers of /etc/resolv.conf."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import dns.asyncresolver
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.NS
import dns.rdtypes.IN.SRV
import dns.resolver

from aiprism.clock import Clock
from aiprism.receive.discovery.following import Group, Tell
from aiprism.receive.discovery.meta import joined
from aiprism.yamlfile import Node

_META = "__meta_dns_"
_TYPES = ("SRV", "A", "AAAA", "MX", "NS")


@dataclass(frozen=True, slots=True)
class Dns:
    """One entry of `dns_sd_configs`."""

    kind: ClassVar[str] = "dns"
    names: tuple[str, ...]
    type: str = "SRV"
    port: int = 0
    refresh: float = 30.0

    @property
    def patience(self) -> float:
        return self.refresh

    async def follow(self, tell: Tell, clock: Clock) -> None:
        while True:
            found = await asyncio.gather(*(self._group(name) for name in self.names), return_exceptions=True)
            tell.some(*(group for group in found if isinstance(group, Group)))
            for failure in found:
                if isinstance(failure, BaseException):
                    raise failure
            tell.well()
            await clock.sleep(self.refresh)

    async def _group(self, name: str) -> Group:
        """The targets of a name: none when there is no such name. Raises when nobody can say."""
        resolver = dns.asyncresolver.Resolver()
        try:
            answer = await resolver.resolve(name, self.type, search=True)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Group(name, ())
        return Group(name, tuple(self._targets(name, answer)))

    def _targets(self, name: str, records: Any) -> Iterator[dict[str, str]]:
        for record in records:
            labels = {_META + "name": name}
            match record:
                case dns.rdtypes.IN.SRV.SRV():
                    host, port = str(record.target), record.port
                    labels |= {_META + "srv_record_target": host, _META + "srv_record_port": str(port)}
                case dns.rdtypes.ANY.MX.MX():
                    host, port = str(record.exchange), self.port
                    labels[_META + "mx_record_target"] = host
                case dns.rdtypes.ANY.NS.NS():
                    host, port = str(record.target), self.port
                    labels[_META + "ns_record_target"] = host
                case _:
                    host, port = str(record.address), self.port
            host = host.rstrip(".")
            yield {**labels, "__address__": joined(host, port)}


def read(node: Node, index: int) -> Dns:
    """One entry of `dns_sd_configs`."""
    node.fields("names", "type", "port", "refresh_interval")
    names = tuple(node["names"].texts())
    if not names:
        raise node.error("DNS-SD config must contain at least one record name")
    kind = node["type"].text("SRV").upper()
    if kind not in _TYPES:
        raise node["type"].error(f"expected one of {', '.join(_TYPES)}, not {kind!r}")
    if kind != "SRV" and not node["port"]:
        raise node.error("a port is required in DNS-SD configs for all record types except SRV")
    return Dns(names, kind, node["port"].integer(0), node["refresh_interval"].seconds(30.0))
