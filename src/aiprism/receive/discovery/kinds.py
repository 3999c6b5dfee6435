"""Every way of finding targets that a scrape job may name, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiprism.receive.discovery import azure, consul, docker, ec2, gce, kubernetes, listed, names
from aiprism.receive.discovery.following import Provider
from aiprism.yamlfile import Node

Read = Callable[[Node, int], Provider]

READERS: Mapping[str, Read] = {
    "static_configs": listed.read_static,
    "file_sd_configs": listed.read_files,
    "http_sd_configs": listed.read_web,
    "kubernetes_sd_configs": kubernetes.read,
    "dns_sd_configs": names.read,
    "consul_sd_configs": consul.read,
    "docker_sd_configs": docker.read,
    "ec2_sd_configs": ec2.read,
    "gce_sd_configs": gce.read,
    "azure_sd_configs": azure.read,
}
# What Prometheus knows besides: accepted, so that files load as they are, and named in a warning.
NOT_FOLLOWED = (
    "aws_sd_configs", "digitalocean_sd_configs", "dockerswarm_sd_configs", "eureka_sd_configs", "hetzner_sd_configs",
    "ionos_sd_configs", "kuma_sd_configs", "lightsail_sd_configs", "linode_sd_configs", "marathon_sd_configs",
    "nerve_sd_configs", "nomad_sd_configs", "openstack_sd_configs", "outscale_sd_configs", "ovhcloud_sd_configs",
    "puppetdb_sd_configs", "scaleway_sd_configs", "serverset_sd_configs", "stackit_sd_configs", "triton_sd_configs",
    "uyuni_sd_configs", "vultr_sd_configs",
)  # fmt: skip


def read(node: Node) -> tuple[Provider, ...]:
    """The providers among the keys of a scrape job, in the order they stand there."""
    found: list[Provider] = []
    for key, entries in node.entries().items():
        if key in READERS:
            found += [_read(READERS[key], entry, at) for at, entry in enumerate(entries.items())]
    return tuple(found)


def _read(reader: Read, node: Node, at: int) -> Provider:
    if node.missing:
        raise node.error("empty or null section")
    return reader(node, at)


def not_followed(node: Node) -> list[Node]:
    """The entries of a scrape job by which targets would be found that we do not follow."""
    return [entries for key, entries in node.entries().items() if key in NOT_FOLLOWED and entries.items()]
