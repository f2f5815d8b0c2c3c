"""What a Prometheus has to know to scrape the fleet: targets with their labels, and its scrape_configs. Pure.

A target is the gateway of a node: agents listen on loopback only. The labels are small closed sets; what else an
inventory says of a node stands in `__meta_fleet_*`, for those who relabel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.control.actions.gateways import GatewayNode
from fleet.control.inventory import Node
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.names import NodeName

METRICS_PATH = "/node/metrics"
_EVERYBODY = ("all", "ungrouped")


class TargetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One target as file_sd and http_sd have it."""

    targets: tuple[str, ...]
    labels: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One scrape_config: the nodes that know the same key. Usually there is one."""

    name: str
    reference: str
    gateways: tuple[GatewayNode, ...]

    @property
    def targets_name(self) -> str:
        """Its list of targets among the files."""
        return f"{self.name}.json"

    @property
    def key_name(self) -> str:
        """Its key among the files."""
        return f"{self.name}.key"


AUTHORITIES_NAME = "edges.pem"
"""The certificates of all nodes: what Prometheus trusts, and nothing else."""


def jobs_of(gateways: Iterable[GatewayNode]) -> tuple[Job, ...]:
    """The gateways by the fleet key that they know, the first one's job being `fleet`. Those without a key have none.

    Prometheus shows one key to all targets of a job.
    """
    by_key: dict[str, list[GatewayNode]] = {}
    for gateway in gateways:
        if reference := gateway.node.settings.fleet_key:
            by_key.setdefault(reference, []).append(gateway)
    names = ("fleet" if number == 1 else f"fleet-{number}" for number in range(1, len(by_key) + 1))
    return tuple(
        Job(name=name, reference=reference, gateways=tuple(found))
        for name, (reference, found) in zip(names, by_key.items(), strict=True)
    )


def host_of(node: Node) -> str:
    """The name or address under which its gateway is reached, and which its certificate must have."""
    return (node.settings.gateway_url_host or node.address).strip("[]")


def target_group(gateway: GatewayNode) -> TargetGroup:
    """One gateway as a target."""
    node, host = gateway.node, host_of(gateway.node)
    place = f"[{host}]" if ":" in host else host
    labels = {
        "node": str(node.name),
        "role": gateway.role.value,
        "__meta_fleet_groups": _listed(group for group in node.groups if group not in _EVERYBODY),
        "__meta_fleet_tags": _listed(node.tags),
    }
    if not node.settings.gateway_tls:
        labels["__scheme__"] = "http"
    return TargetGroup(targets=(f"{place}:{node.settings.gateway_port}",), labels=labels)


def targets_json(gateways: Iterable[GatewayNode]) -> bytes:
    """The list as file_sd reads it and http_sd fetches it."""
    return msgspec.json.format(msgspec.json.encode([target_group(one) for one in gateways]), indent=2) + b"\n"


def scrape_configs(jobs: Iterable[Job], folder: Path, *, urls: Mapping[str, str] | None = None) -> str:
    """What stands below `scrape_configs:`. With `urls` (job -> URL) the targets come from there, not from files.

    Redirects are not followed: the key is for the nodes only.
    """
    return "".join(_scrape_config(job, folder, (urls or {}).get(job.name)) for job in jobs)


def alone(gateways: Iterable[GatewayNode]) -> tuple[NodeName, ...]:
    """Those that only their own machine reaches: they bind loopback, and the inventory has them elsewhere."""
    return tuple(
        one.name
        for one in gateways
        if is_loopback(one.node.settings.gateway_bind) and not is_loopback(host_of(one.node))
    )


def _scrape_config(job: Job, folder: Path, url: str | None) -> str:
    by_tls = any(gateway.node.settings.gateway_tls for gateway in job.gateways)
    trust = f"  tls_config: {{ca_file: {_quoted(folder / AUTHORITIES_NAME)}}}\n" if by_tls else ""
    source = f"http_sd_configs: [{{url: {_quoted(url)}}}]" if url else _from_file(folder / job.targets_name)
    return (
        f"- job_name: {job.name}\n"
        f"  scheme: {'https' if by_tls else 'http'}\n"
        f"  metrics_path: {METRICS_PATH}\n"
        "  follow_redirects: false\n"
        f"  authorization: {{credentials_file: {_quoted(folder / job.key_name)}}}\n"
        f"{trust}"
        f"  {source}\n"
    )


def _from_file(path: Path) -> str:
    return f"file_sd_configs: [{{files: [{_quoted(path)}]}}]"


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)  # YAML reads JSON's strings


def _listed(words: Iterable[str]) -> str:
    """`,one,two,` as Prometheus' own discoveries write lists: a pattern finds `,one,` wherever it stands."""
    found = [*words]
    return f",{','.join(found)}," if found else ""
