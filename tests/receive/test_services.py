"""Targets that services know of: DNS, Consul, Docker, EC2, GCE and Azure, each asked over its real protocol.

DNS is answered by a small server of dnspython, EC2 by moto; the others by a server that speaks the documented part of their
APIs, for none of them is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError
from aiprism.receive.discovery import kinds
from tests.receive.following import Following, providers
from tests.webserver import Answer, Asked, serving

# -- DNS --------------------------------------------------------------------------------------------------------------


class Zone(asyncio.DatagramProtocol):
    """Records by name and type; a name with None is one that nobody can say anything about."""

    def __init__(self, records: dict[tuple[str, str], list[str] | None]) -> None:
        self.records = records

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        key = (question.name.to_text().rstrip("."), dns.rdatatype.to_text(question.rdtype))
        found = self.records.get(key, [])
        if found is None:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not any(name == key[0] for name, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif found:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", key[1], *found))
        self._transport.sendto(response.to_wire(), address)


@contextlib.asynccontextmanager
async def zone(patched: pytest.MonkeyPatch, **records: list[str] | None) -> AsyncIterator[Zone]:
    """A DNS server that holds `records` (TYPE__name), and the only one that is asked."""
    split = {
        (key.partition("__")[2].replace("_", "."), key.partition("__")[0]): value for key, value in records.items()
    }
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Zone(split), local_addr=("127.0.0.1", 0)
    )

    def resolver() -> dns.asyncresolver.Resolver:
        found = real(configure=False)
        found.nameservers, found.port, found.lifetime = ["127.0.0.1"], transport.get_extra_info("sockname")[1], 60.0
        return found

    real = dns.asyncresolver.Resolver
    patched.setattr(dns.asyncresolver, "Resolver", resolver)
    try:
        yield protocol
    finally:
        patched.setattr(dns.asyncresolver, "Resolver", real)
        transport.close()


@pytest.mark.parametrize(
    ("config", "records", "targets"),
    [
        (
            "{names: [web.test]}",
            {"SRV__web_test": ["1 1 8080 a.test.", "1 1 8081 b.test."]},
            [
                {"__address__": "a.test:8080", "srv_record_target": "a.test.", "srv_record_port": "8080"},
                {"__address__": "b.test:8081", "srv_record_target": "b.test.", "srv_record_port": "8081"},
            ],
        ),
        ("{names: [web.test], type: A, port: 90}", {"A__web_test": ["10.0.0.1"]}, [{"__address__": "10.0.0.1:90"}]),
        ("{names: [web.test], type: aaaa, port: 90}", {"AAAA__web_test": ["::1"]}, [{"__address__": "[::1]:90"}]),
        (
            "{names: [web.test], type: MX, port: 25}",
            {"MX__web_test": ["10 mail.test."]},
            [{"__address__": "mail.test:25", "mx_record_target": "mail.test."}],
        ),
        (
            "{names: [web.test], type: NS, port: 53}",
            {"NS__web_test": ["ns.test."]},
            [{"__address__": "ns.test:53", "ns_record_target": "ns.test."}],
        ),
    ],
)
def test_records_are_targets(monkeypatch: pytest.MonkeyPatch, config: str, records: Any, targets: list[dict[str, str]]):
    async def run() -> list[dict[str, str]]:
        async with zone(monkeypatch, **records), Following(*providers(f"dns_sd_configs: [{config}]")) as job:
            await job.until(lambda: len(job.targets()) == len(targets))
            return sorted(
                ({name.removeprefix("__meta_dns_"): value for name, value in each.items()} for each in job.targets()),
                key=lambda each: each["__address__"],
            )

    assert asyncio.run(run()) == [{**each, "name": "web.test"} for each in targets]


def test_a_name_that_is_gone_has_no_targets_and_one_that_nobody_can_say_keeps_them(monkeypatch: pytest.MonkeyPatch):
    text = "dns_sd_configs: [{names: [a.test, b.test], type: A, port: 1, refresh_interval: 10s}]"

    async def run() -> None:
        found = providers(text)
        async with (
            zone(monkeypatch, A__a_test=["10.0.0.1"], A__b_test=["10.0.0.2"]) as server,
            Following(*found) as job,
        ):
            await job.until(lambda: len(job.targets()) == 2)
            server.records[("a.test", "A")] = None
            server.records[("b.test", "A")] = ["10.0.0.3"]
            await job.clock.advance(10)
            await job.until(lambda: job.failures("dns") == 1)
            assert sorted(each["__address__"] for each in job.targets()) == ["10.0.0.1:1", "10.0.0.3:1"]
            server.records.clear()
            await job.clock.advance(10)
            await job.until(lambda: job.targets() == [])

    asyncio.run(run())


# -- Consul -----------------------------------------------------------------------------------------------------------


def entry(address: str, **service: Any) -> dict[str, Any]:
    return {
        "Node": {
            "Node": "n1",
            "Address": "10.0.0.1",
            "Meta": {"rack-id": "r1"},
            "TaggedAddresses": {"lan": "10.0.0.1"},
        },
        "Service": {
            "ID": "web-1",
            "Address": address,
            "Port": 8080,
            "Tags": ["v1", "prod"],
            "Meta": {"team": "t"},
            **service,
        },
        "Checks": [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "c", "Status": "warning"}],
    }


class Agent:
    """As much of Consul's HTTP API as is asked: a blocking query waits until the index is another."""

    def __init__(self, services: dict[str, list[dict[str, Any]]]) -> None:
        self.services, self.index = services, 1
        self._changed = asyncio.Condition()

    async def change(self, services: dict[str, list[dict[str, Any]]]) -> None:
        async with self._changed:
            self.services, self.index = services, self.index + 1
            self._changed.notify_all()

    async def answer(self, asked: Asked) -> Answer:
        if asked.path == "/v1/agent/self":
            return Answer({"Config": {"Datacenter": "dc7"}})
        async with self._changed:
            await self._changed.wait_for(lambda: str(self.index) != asked.query["index"])
        headers = {"X-Consul-Index": str(self.index)}
        if asked.path == "/v1/catalog/services":
            return Answer({name: ["prod"] if name == "web" else [] for name in self.services}, headers=headers)
        return Answer(self.services.get(asked.path.rsplit("/", 1)[1], []), headers=headers)


def test_services_of_the_catalog_are_followed_with_blocking_queries():
    async def run() -> None:
        agent = Agent({"web": [entry("")], "db": [entry("10.0.0.5")]})
        async with serving(agent.answer) as server:
            more = "node_meta: {k: v}, refresh_interval: 1s, health_filter: h"
            text = f"consul_sd_configs: [{{server: '{server.host}', token: t, {more}}}]"
            async with Following(*providers(text)) as job:
                await job.until(lambda: {group.source for group in job.groups} == {"web", "db"})
                web = next(group for group in job.groups if group.source == "web")
                assert web.targets == (
                    {
                        "__address__": "10.0.0.1:8080",
                        "__meta_consul_address": "10.0.0.1",
                        "__meta_consul_node": "n1",
                        "__meta_consul_dc": "dc7",
                        "__meta_consul_tags": ",v1,prod,",
                        "__meta_consul_health": "warning",
                        "__meta_consul_service": "web",
                        "__meta_consul_service_id": "web-1",
                        "__meta_consul_service_port": "8080",
                        "__meta_consul_metadata_rack_id": "r1",
                        "__meta_consul_tagged_address_lan": "10.0.0.1",
                        "__meta_consul_service_metadata_team": "t",
                    },
                )
                await agent.change({"web": [entry("10.0.0.8"), entry("10.0.0.9", ID="web-2")]})
                now = ["10.0.0.8:8080", "10.0.0.9:8080"]
                await job.until(lambda: sorted(each["__address__"] for each in job.targets()) == now, passing=0.5)
                assert {group.source for group in job.groups} == {"web"}
            health = next(asked for asked in server.asked if asked.path == "/v1/health/service/web")
            assert health.query["filter"] == "h"
            catalog = next(asked for asked in server.asked if asked.path == "/v1/catalog/services")
            assert catalog.headers["x-consul-token"] == "t"
            assert catalog.query == {"dc": "dc7", "wait": "120s", "index": "0", "node-meta": "k:v", "stale": ""}

    asyncio.run(run())


def test_services_that_are_named_are_asked_for_themselves_and_tags_choose_from_the_catalog():
    async def run(more: str) -> tuple[set[str], set[str]]:
        agent = Agent({"web": [entry("")], "db": [entry("10.0.0.5")]})
        async with serving(agent.answer) as server:
            text = f"consul_sd_configs: [{{server: '{server.host}', datacenter: d, allow_stale: false, {more}}}]"
            async with Following(*providers(text)) as job:
                await job.until(lambda: bool(job.targets()))
                return {group.source for group in job.groups}, {asked.path for asked in server.asked}

    assert asyncio.run(run("services: [db]")) == ({"db"}, {"/v1/health/service/db"})
    assert asyncio.run(run("tags: [prod]")) == ({"web"}, {"/v1/catalog/services", "/v1/health/service/web"})


# -- Docker -----------------------------------------------------------------------------------------------------------

NETWORKS = [
    {"Id": "N1", "Name": "front", "Scope": "local", "Internal": False, "Ingress": False, "Labels": {"a.b": "c"}},
    {"Id": "N2", "Name": "back", "Scope": "local", "Internal": True, "Ingress": False},
]


def box(name: str, mode: str, networks: dict[str, Any], ports: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {"Networks": networks}
    return {
        "Id": name, "Names": [f"/{name}"], "Labels": {"com.x/y": "z"}, "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": settings, "Ports": ports,
    }  # fmt: skip


FRONT, BACK = {"NetworkID": "N1", "IPAddress": "172.18.0.2"}, {"NetworkID": "N2", "IPAddress": "172.19.0.2"}
CONTAINERS = [
    box("web", "front", {"front": FRONT, "back": BACK}, [
        {"PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0", "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"},
    ]),
    box("plain", "front", {"front": {**FRONT, "IPAddress": "172.18.0.3"}}, []),
    box("side", "container:plain", {}, [{"PrivatePort": 9, "Type": "tcp"}]),
    box("host", "host", {"host": {"NetworkID": "N9", "IPAddress": ""}}, []),
]  # fmt: skip


def docker(asked: Asked) -> Answer:
    return Answer(NETWORKS if asked.path == "/networks" else CONTAINERS)


def test_containers_are_their_ports():
    async def run(more: str = "") -> tuple[list[dict[str, str]], Asked]:
        async with serving(docker) as server:
            text = f"docker_sd_configs: [{{host: 'tcp://{server.host}', port: 81{more}}}]"
            async with Following(*providers(text)) as job:
                await job.until(lambda: bool(job.targets()))
                return job.targets(), server.asked[0]

    targets, _ = asyncio.run(run())
    assert [each["__address__"] for each in targets] == ["172.18.0.2:80", "172.18.0.3:81", "172.18.0.3:9", "localhost"]
    assert targets[0] == {
        "__address__": "172.18.0.2:80",
        "__meta_docker_container_id": "web",
        "__meta_docker_container_name": "/web",
        "__meta_docker_container_network_mode": "front",
        "__meta_docker_container_label_com_x_y": "z",
        "__meta_docker_network_ip": "172.18.0.2",
        "__meta_docker_network_id": "N1",
        "__meta_docker_network_name": "front",
        "__meta_docker_network_scope": "local",
        "__meta_docker_network_internal": "false",
        "__meta_docker_network_ingress": "false",
        "__meta_docker_network_label_a_b": "c",
        "__meta_docker_port_private": "80",
        "__meta_docker_port_public": "8080",
        "__meta_docker_port_public_ip": "0.0.0.0",
    }
    targets, asked = asyncio.run(run(", match_first_network: false, filters: [{name: status, values: [running]}]"))
    assert [each["__address__"] for each in targets][:2] == ["172.18.0.2:80", "172.19.0.2:80"]
    assert asked.query == {"filters": '{"status": ["running"]}'}


def test_a_docker_engine_is_asked_on_its_socket(tmp_path: Path):
    async def run() -> list[str]:
        found = providers(f"docker_sd_configs: [{{host: 'unix://{tmp_path}/docker.sock'}}]")
        async with serving(docker, unix=str(tmp_path / "docker.sock")), Following(*found) as job:
            await job.until(lambda: bool(job.targets()))
            return [each["__address__"] for each in job.targets()]

    assert asyncio.run(run())[0] == "172.18.0.2:80"


# -- EC2 --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aws() -> Any:
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_instances_are_targets(aws: str):
    import boto3

    api = boto3.client("ec2", "eu-west-1", endpoint_url=aws, aws_access_key_id="a", aws_secret_access_key="b")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "team:x", "Value": "t"}]}]
    made = api.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="t3.micro", TagSpecifications=tags
    )
    (instance,) = made["Instances"]

    async def run() -> dict[str, str]:
        text = (
            f"ec2_sd_configs: [{{region: eu-west-1, endpoint: '{aws}', access_key: a, secret_key: b, port: 9100,"
            " filters: [{name: 'tag:team:x', values: [t]}]}]"
        )
        async with Following(*providers(text)) as job:
            await job.until(lambda: bool(job.targets()))
            (target,) = job.targets()
            return target

    target = asyncio.run(run())
    address = instance["PrivateIpAddress"]
    expected = {
        "__address__": f"{address}:9100",
        "__meta_ec2_private_ip": address,
        "__meta_ec2_instance_id": instance["InstanceId"],
        "__meta_ec2_instance_type": "t3.micro",
        "__meta_ec2_instance_state": "running",
        "__meta_ec2_region": "eu-west-1",
        "__meta_ec2_tag_team_x": "t",
        "__meta_ec2_ami": "ami-12c6146b",
        "__meta_ec2_primary_subnet_id": instance["SubnetId"],
        "__meta_ec2_subnet_id": f",{instance['SubnetId']},",
        "__meta_ec2_vpc_id": instance["VpcId"],
    }
    assert {name: target.get(name) for name in expected} == expected
    assert target["__meta_ec2_availability_zone_id"].startswith("euw1-")


def test_a_role_is_taken_in_the_region_of_this_machine(aws: str, monkeypatch: pytest.MonkeyPatch):
    import boto3

    api = boto3.client("ec2", "eu-west-1", endpoint_url=aws, aws_access_key_id="a", aws_secret_access_key="b")
    (instance,) = api.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"]

    def metadata(asked: Asked) -> Answer:
        return Answer("token" if asked.method == "PUT" else "eu-west-1a")

    async def run() -> set[str]:
        async with serving(metadata) as server:
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws)
            text = (
                f"ec2_sd_configs: [{{endpoint: '{aws}', access_key: a, secret_key: b, port: 9100,"
                " role_arn: 'arn:aws:iam::123456789012:role/reader'}]"
            )
            async with Following(*providers(text)) as job:
                await job.until(lambda: bool(job.targets()))
                return {each["__meta_ec2_instance_id"] for each in job.targets()}

    assert instance["InstanceId"] in asyncio.run(run())


# -- Google Compute Engine and Azure ----------------------------------------------------------------------------------


def gce_instance(name: str, address: str) -> dict[str, Any]:
    return {
        "id": "77", "name": name, "zone": "zones/z1", "status": "RUNNING", "machineType": "types/e2", "tags": {"items": ["a", "b"]},
        "metadata": {"items": [{"key": "k-1", "value": "v"}]}, "labels": {"team": "t"},
        "networkInterfaces": [{
            "name": "nic0", "network": "n", "subnetwork": "s", "networkIP": address,
            "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "natIP": "34.0.0.1"}],
        }],
    }  # fmt: skip


def test_instances_of_gce_are_targets_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, text=True).stdout

    def answer(asked: Asked) -> Answer:
        if asked.path == "/token":
            return Answer({"access_token": "TOKEN", "expires_in": 3600, "token_type": "Bearer"})
        if asked.query.get("pageToken") == "2":
            return Answer({"items": [gce_instance("two", "10.0.0.2"), {"id": "78", "name": "bare"}]})
        return Answer({"items": [gce_instance("one", "10.0.0.1")], "nextPageToken": "2"})

    async def run() -> tuple[list[dict[str, str]], Asked]:
        async with serving(answer) as server:
            account = {
                "type": "service_account",
                "client_email": "a@b",
                "private_key": key,
                "token_uri": f"{server.url}/token",
            }
            (tmp_path / "account.json").write_text(json.dumps({**account, "project_id": "p"}))
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
            monkeypatch.setattr("aiprism.receive.discovery.gce._API", server.url)
            text = "gce_sd_configs: [{project: p, zone: z1, filter: 'labels.team=t', port: 9100}]"
            async with Following(*providers(text)) as job:
                await job.until(lambda: len(job.targets()) == 2)
                return job.targets(), next(asked for asked in server.asked if asked.path != "/token")

    targets, asked = asyncio.run(run())
    assert (asked.path, asked.query) == ("/projects/p/zones/z1/instances", {"filter": "labels.team=t"})
    assert asked.headers["authorization"] == "Bearer TOKEN"
    assert [each["__address__"] for each in targets] == ["10.0.0.1:9100", "10.0.0.2:9100"]
    assert {name.removeprefix("__meta_gce_"): value for name, value in targets[0].items()} == {
        "__address__": "10.0.0.1:9100",
        "project": "p",
        "zone": "zones/z1",
        "instance_id": "77",
        "instance_name": "one",
        "instance_status": "RUNNING",
        "machine_type": "types/e2",
        "network": "n",
        "subnetwork": "s",
        "private_ip": "10.0.0.1",
        "public_ip": "34.0.0.1",
        "tags": ",a,b,",
        "interface_ipv4_nic0": "10.0.0.1",
        "metadata_k_1": "v",
        "label_team": "t",
    }


SUBSCRIPTION = "/subscriptions/sub"
COMPUTE = f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute"


def machine(path: str, name: str) -> dict[str, Any]:
    return {
        "id": f"{COMPUTE}/{path}/{name}", "name": name, "location": "west", "tags": {"team-x": "t"},
        "properties": {
            "osProfile": {"computerName": f"{name}-host"}, "storageProfile": {"osDisk": {"osType": "Linux"}},
            "hardwareProfile": {"vmSize": "D2"},
            "networkProfile": {"networkInterfaces": [{"id": f"{SUBSCRIPTION}/nics/{name}"}]},
        },
    }  # fmt: skip


def interface(address: str, public: str = "") -> dict[str, Any]:
    outside = {"publicIPAddress": {"properties": {"ipAddress": public}}} if public else {}
    return {
        "properties": {"primary": True, "ipConfigurations": [{"properties": {"privateIPAddress": address, **outside}}]}
    }


def azure(asked: Asked) -> Answer:
    lists = {
        f"{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines": [
            machine("virtualMachines", "vm1"),
            machine("virtualMachines", "gone"),
        ],
        f"{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachineScaleSets": [
            {"id": f"{COMPUTE}/virtualMachineScaleSets/ss", "name": "ss"},
            {
                "id": f"{COMPUTE}/virtualMachineScaleSets/flex",
                "name": "flex",
                "properties": {"orchestrationMode": "Flexible"},
            },
        ],
        f"{COMPUTE}/virtualMachineScaleSets/ss/virtualMachines": [
            machine("virtualMachineScaleSets/ss/virtualMachines", "ss_0")
        ],
    }
    interfaces = {
        f"{SUBSCRIPTION}/nics/vm1": interface("10.1.0.1", "20.0.0.1"),
        f"{SUBSCRIPTION}/nics/ss_0": interface("10.1.0.2"),
    }
    if asked.path.endswith("/token"):
        return Answer({"access_token": "TOKEN", "expires_in": 3600})
    if asked.path in interfaces:
        return Answer(interfaces[asked.path])
    return Answer({"value": lists[asked.path]}) if asked.path in lists else Answer({"error": {"code": "NotFound"}}, 404)


@pytest.mark.parametrize(
    ("method", "asked_for_token"),
    [
        ("tenant_id: ten, client_id: me, client_secret: s", "/ten/oauth2/v2.0/token"),
        ("authentication_method: ManagedIdentity", "/identity/token"),
    ],
)
def test_machines_of_azure_are_targets(monkeypatch: pytest.MonkeyPatch, method: str, asked_for_token: str):
    async def run() -> tuple[list[dict[str, str]], list[Asked]]:
        async with serving(azure) as server:
            monkeypatch.setattr(
                "aiprism.receive.discovery.azure._CLOUDS", {"azurepubliccloud": (server.url, server.url)}
            )
            monkeypatch.setattr("aiprism.receive.discovery.azure._IDENTITY", f"{server.url}/identity/token")
            async with Following(
                *providers(f"azure_sd_configs: [{{subscription_id: sub, port: 9100, {method}}}]")
            ) as job:
                await job.until(lambda: len(job.targets()) == 2)
                return job.targets(), server.asked

    targets, asked = asyncio.run(run())
    assert [each.path for each in asked if each.path.endswith("/token")] == [asked_for_token]
    assert all(each.headers["authorization"] == "Bearer TOKEN" for each in asked if not each.path.endswith("/token"))
    found = [{name.removeprefix("__meta_azure_"): value for name, value in each.items()} for each in targets]
    assert found[0] == {
        "__address__": "10.1.0.1:9100",
        "subscription_id": "sub",
        **({"tenant_id": "ten"} if "tenant" in method else {}),
        "machine_id": f"{COMPUTE}/virtualMachines/vm1",
        "machine_name": "vm1",
        "machine_computer_name": "vm1-host",
        "machine_location": "west",
        "machine_os_type": "Linux",
        "machine_resource_group": "rg",
        "machine_size": "D2",
        "machine_tag_team_x": "t",
        "machine_private_ip": "10.1.0.1",
        "machine_public_ip": "20.0.0.1",
    }
    assert (found[1]["__address__"], found[1]["machine_scale_set"]) == ("10.1.0.2:9100", "ss")


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dns_sd_configs: [{type: A}]", "at least one record name"),
        ("dns_sd_configs: [{names: [a], type: A}]", "a port is required"),
        ("dns_sd_configs: [{names: [a], type: TXT}]", "expected one of SRV, A, AAAA, MX, NS"),
        ("consul_sd_configs: [{server: ''}]", "requires a server address"),
        ("consul_sd_configs: [{server: a, username: u, bearer_token: t}]", "not both"),
        ("docker_sd_configs: [{port: 1}]", "host missing"),
        ("docker_sd_configs: [{host: 'ssh://x'}]", "expected unix:///path"),
        ("docker_sd_configs: [{host: 'tcp://x', filters: [{name: a}]}]", "needs a name and values"),
        ("gce_sd_configs: [{project: p}]", "requires a zone"),
        ("azure_sd_configs: [{subscription_id: s}]", "requires a tenant_id"),
        (
            "azure_sd_configs: [{subscription_id: s, authentication_method: Password}]",
            "expected one of OAuth, ManagedIdentity, SDK",
        ),
        (
            "azure_sd_configs: [{subscription_id: s, authentication_method: SDK, environment: x}]",
            "unknown Azure environment",
        ),
        ("ec2_sd_configs: [{regions: [a]}]", "did you mean 'region'"),
    ],
)
def test_what_is_wrong_is_told(text: str, words: str):
    with pytest.raises(ConfigError, match=words):
        kinds.read(yamlfile.parse(text, file="p.yml"))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("boto3", "ec2_sd_configs: [{region: a}]"),
        ("google.auth", "gce_sd_configs: [{project: p, zone: z}]"),
        ("azure.identity", "azure_sd_configs: [{subscription_id: s, authentication_method: SDK}]"),
        ("kubernetes_asyncio", "kubernetes_sd_configs: [{role: node, kubeconfig_file: k}]"),
    ],
)
def test_what_needs_more_packages_says_which(monkeypatch: pytest.MonkeyPatch, module: str, text: str):
    for place in ("azure", "ec2", "gce", "kubernetes"):
        monkeypatch.setattr(f"aiprism.receive.discovery.{place}.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"extra aiprism\["):
        kinds.read(yamlfile.parse(text, file="p.yml"))
