"""`ec2_sd_configs`: the instances of Amazon EC2, through boto3 (extra `aiprism[aws]`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar

from aiprism.clock import Clock
from aiprism.httpconfig import HTTP_KEYS, NO_SECRET, Secret, inline_http_options
from aiprism.receive.discovery.following import Group, Tell, polled
from aiprism.receive.discovery.meta import filters, sanitized
from aiprism.yamlfile import Node

_META = "__meta_ec2_"
Instance = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ec2:
    """One entry of `ec2_sd_configs`."""

    kind: ClassVar[str] = "ec2"
    region: str = ""
    endpoint: str = ""
    access_key: str = ""
    secret_key: Secret = NO_SECRET
    profile: str = ""
    role_arn: str = ""
    port: int = 80
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    refresh: float = 60.0

    @property
    def patience(self) -> float:
        return self.refresh

    async def follow(self, tell: Tell, clock: Clock) -> None:
        api = await asyncio.to_thread(self._api)
        zones: dict[str, str] = {}
        await polled(lambda: asyncio.to_thread(self._groups, api, zones), self.refresh, tell, clock)

    def _api(self) -> Any:
        # Optional, and slow to import.
        import boto3

        session = boto3.Session(
            aws_access_key_id=self.access_key or None,
            aws_secret_access_key=self.secret_key.reveal() or None,
            region_name=self.region or None,
            profile_name=self.profile or None,
        )
        region = session.region_name or _region_of_this_machine()
        if self.role_arn:
            session = self._assumed(session, region)
        return session.client("ec2", region_name=region, endpoint_url=self.endpoint or None)

    def _assumed(self, session: Any, region: str) -> Any:
        """A session in the role; botocore takes the role anew before it ends."""
        import boto3
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
        from botocore.session import Session

        fetcher = AssumeRoleCredentialFetcher(
            client_creator=partial(session.client, region_name=region),
            source_credentials=session.get_credentials(),
            role_arn=self.role_arn,
            extra_args={"RoleSessionName": "aiprism"},
        )
        inner = Session()
        inner._credentials = DeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
        return boto3.Session(botocore_session=inner, region_name=region)

    def _groups(self, api: Any, zones: dict[str, str]) -> Sequence[Group]:
        region = api.meta.region_name
        zones.update(zones or _zone_ids(api))
        wanted = [{"Name": name, "Values": list(values)} for name, values in self.filters]
        targets: list[dict[str, str]] = []
        for page in api.get_paginator("describe_instances").paginate(Filters=wanted):
            for reservation in page["Reservations"]:
                for instance in reservation["Instances"]:
                    if instance.get("PrivateIpAddress") or _ipv6(instance):
                        targets.append(self._target(instance, reservation.get("OwnerId", ""), region, zones))
        return [Group(region, tuple(targets))]

    def _target(self, instance: Instance, owner: str, region: str, zones: Mapping[str, str]) -> dict[str, str]:
        zone = (instance.get("Placement") or {}).get("AvailabilityZone") or ""
        address = instance.get("PrivateIpAddress") or f"[{_ipv6(instance)[0]}]"
        labels = {
            "ami": instance.get("ImageId"),
            "architecture": instance.get("Architecture"),
            "availability_zone": zone,
            "availability_zone_id": zones.get(zone),
            "instance_id": instance.get("InstanceId"),
            "instance_lifecycle": instance.get("InstanceLifecycle"),
            "instance_state": (instance.get("State") or {}).get("Name"),
            "instance_type": instance.get("InstanceType"),
            "owner_id": owner,
            "platform": instance.get("Platform"),
            "private_dns_name": instance.get("PrivateDnsName"),
            "private_ip": instance.get("PrivateIpAddress"),
            "public_dns_name": instance.get("PublicDnsName"),
            "public_ip": instance.get("PublicIpAddress"),
            "region": region,
            **_network_labels(instance),
            **{f"tag_{sanitized(tag['Key'])}": tag.get("Value") for tag in instance.get("Tags") or []},
        }
        found = {_META + name: value for name, value in labels.items() if value}
        return {"__address__": f"{address}:{self.port}", **found}


def _network_labels(instance: Instance) -> dict[str, str | None]:
    if not instance.get("VpcId"):
        return {}
    interfaces = instance.get("NetworkInterfaces") or []
    subnets = [each["SubnetId"] for each in interfaces if each.get("SubnetId")]
    return {
        "vpc_id": instance.get("VpcId"),
        "primary_subnet_id": instance.get("SubnetId"),
        "subnet_id": _listed(dict.fromkeys(subnets)),
        "ipv6_addresses": _listed(_ipv6(instance)),
        "primary_ipv6_addresses": _listed(_primary_ipv6(interfaces)),
    }


def _listed(values: Any) -> str:
    """As Prometheus writes lists: a comma before, between and after."""
    return f",{','.join(values)}," if values else ""


def _ipv6(instance: Instance) -> list[str]:
    interfaces = instance.get("NetworkInterfaces") or []
    return [address["Ipv6Address"] for each in interfaces for address in each.get("Ipv6Addresses") or []]


def _primary_ipv6(interfaces: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in sorted(interfaces, key=lambda each: (each.get("Attachment") or {}).get("DeviceIndex", 0)):
        for address in each.get("Ipv6Addresses") or []:
            if address.get("IsPrimaryIpv6"):
                yield address["Ipv6Address"]


def _region_of_this_machine() -> str:
    """What the metadata service of an instance says; ValueError elsewhere."""
    from botocore.session import Session
    from botocore.utils import IMDSRegionProvider

    region = IMDSRegionProvider(Session()).provide()
    if not region:
        raise ValueError("no region: name one in ec2_sd_configs, AWS_DEFAULT_REGION or ~/.aws/config")
    return str(region)


def _zone_ids(api: Any) -> dict[str, str]:
    """Zone name → id; none when we may not ask, which Prometheus forgives, too."""
    from botocore.exceptions import ClientError

    try:
        return {zone["ZoneName"]: zone["ZoneId"] for zone in api.describe_availability_zones()["AvailabilityZones"]}
    except ClientError:
        return {}


def read(node: Node, index: int) -> Ec2:
    """One entry of `ec2_sd_configs`."""
    node.fields(
        "region", "endpoint", "access_key", "secret_key", "profile", "role_arn", "port", "filters", "refresh_interval",
        *HTTP_KEYS,
    )  # fmt: skip
    if find_spec("boto3") is None:
        raise node.error("ec2_sd_configs need the extra aiprism[aws]: pip install 'aiprism[aws]'")
    inline_http_options(node)
    return Ec2(
        region=node["region"].text(""),
        endpoint=node["endpoint"].text(""),
        access_key=node["access_key"].text(""),
        secret_key=Secret(node["secret_key"].text("")),
        profile=node["profile"].text(""),
        role_arn=node["role_arn"].text(""),
        port=node["port"].integer(80),
        filters=filters(node["filters"]),
        refresh=node["refresh_interval"].seconds(60.0),
    )
