"""What is written for a Prometheus: targets, one job a key, certificates that name their own node and no other."""

from __future__ import annotations

import datetime as dt
import ipaddress
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.edge_certificates import bundle, certificates_in, gathered, names_of, require_own
from fleet.control.actions.gateways import GatewayNode
from fleet.control.actions.scrape import alone, jobs_of, scrape_configs, target_group, targets_json
from fleet.control.actions.scrapefiles import ScrapeFiles
from fleet.control.inventory import Node, Project
from fleet.control.inventory.settings import NodeSettings
from fleet.errors import FleetError, HostKeyError, NodeError, NotAdopted, SupplyError, Unreachable, UsageError
from fleet.vocabulary.names import GatewayRole, NodeName
from fleet.vocabulary.pins import pin_of
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.tokens import metrics_key

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
OWN = ("localhost", "127.0.0.1", "192.0.2.11")


def a_gateway(name: str = "mini-1", role: GatewayRole = GatewayRole.EDGE, **settings: object) -> GatewayNode:
    values = {"address": "192.0.2.11", "fleet_key": "file:secrets/fleet.key", "gateway_bind": "0.0.0.0", **settings}
    node = Node(NodeName(name), ("all", "mlx"), {"tags": ["canary"]}, NodeSettings(**values), "fleet.yml:1:1")  # type: ignore[arg-type]
    return GatewayNode(node=node, role=role)


def a_certificate(
    names: Sequence[str] = OWN,
    *,
    authority: bool | None = False,
    start: dt.datetime = NOW - dt.timedelta(days=1),
    days: int = 3650,
    key: ec.EllipticCurvePrivateKey = KEY,
) -> bytes:
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mini-1")])
    built = x509.CertificateBuilder(title, title, key.public_key(), 7, start, start + dt.timedelta(days=days))
    if names:
        built = built.add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
    if authority is not None:
        built = built.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


PIN = pin_of(a_certificate())


# ---------------------------------------------------------------- targets and jobs


def test_a_target_has_the_labels_that_series_carry_and_the_rest_to_relabel() -> None:
    group = target_group(a_gateway(gateway_port=8790))
    assert group.targets == ("192.0.2.11:8790",)
    assert group.labels == {
        "node": "mini-1",
        "role": "edge",
        "__meta_fleet_groups": ",mlx,",
        "__meta_fleet_tags": ",canary,",
    }


def test_a_target_is_reached_by_the_name_in_its_certificate_and_an_ipv6_address_is_bracketed() -> None:
    assert target_group(a_gateway(gateway_url_host="mini-1.example")).targets == ("mini-1.example:8790",)
    assert target_group(a_gateway(address="fd7a::1")).targets == ("[fd7a::1]:8790",)
    assert target_group(a_gateway(gateway_tls=False)).labels["__scheme__"] == "http"


def test_nodes_of_another_fleet_key_are_a_job_of_their_own_and_those_without_are_in_none() -> None:
    others = [a_gateway("b", fleet_key="env:OTHER"), a_gateway("c"), a_gateway("d", fleet_key=None)]
    jobs = jobs_of([a_gateway("a"), *others])
    assert [(job.name, [one.name for one in job.gateways]) for job in jobs] == [
        ("fleet", ["a", "c"]),
        ("fleet-2", ["b"]),
    ]


def test_what_only_its_own_machine_reaches_is_told() -> None:
    gateways = [a_gateway("a", gateway_bind="127.0.0.1"), a_gateway("b", gateway_bind="127.0.0.1", address="127.0.0.1")]
    assert alone([*gateways, a_gateway("c")]) == ("a",)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_the_scrape_configs_are_yaml_whatever_the_folder_is_called(name: str) -> None:
    (one,) = yaml.safe_load(scrape_configs(jobs_of([a_gateway()]), Path("/srv") / name))
    folder = Path("/srv") / name
    assert one["tls_config"] == {"ca_file": str(folder / "edges.pem")}
    assert one["authorization"] == {"credentials_file": str(folder / "fleet.key")}
    assert one["file_sd_configs"] == [{"files": [str(folder / "fleet.json")]}]
    assert one["follow_redirects"] is False


def test_over_http_the_targets_come_from_there() -> None:
    (one,) = yaml.safe_load(
        scrape_configs(jobs_of([a_gateway()]), Path("/srv"), urls={"fleet": "http://localhost:1/x"})
    )
    assert one["http_sd_configs"] == [{"url": "http://localhost:1/x"}]
    assert "file_sd_configs" not in one


def test_without_tls_nothing_is_asked_of_certificates() -> None:
    (one,) = yaml.safe_load(scrape_configs(jobs_of([a_gateway(gateway_tls=False)]), Path("/srv")))
    assert (one["scheme"], "tls_config" in one) == ("http", False)


# ---------------------------------------------------------------- certificates


def required(der: bytes, gateway: GatewayNode | None = None, now: dt.datetime = NOW) -> None:
    node = (gateway or a_gateway(edge_key=PIN)).node
    require_own(der, node, names_of(node), now)


def test_a_certificate_of_the_pinned_key_with_its_own_names_is_taken() -> None:
    required(a_certificate())
    required(a_certificate((*OWN, "mini-1.local", "MINI-1")))
    required(a_certificate(authority=None))


@pytest.mark.parametrize(
    ("der", "title"),
    [
        (a_certificate(authority=True), "it is an authority"),
        (a_certificate((*OWN, "192.0.2.12")), "also for 192.0.2.12, which is not this node"),
        (a_certificate((*OWN, "*.example")), r"also for \*.example"),
        (a_certificate(OWN[:2]), "not for 192.0.2.11"),
        (a_certificate(()), "not for 192.0.2.11"),
        (a_certificate(days=0, start=NOW), "for another time"),
        (a_certificate(start=NOW + dt.timedelta(days=2)), "for another time"),
    ],
    ids=["authority", "another-address", "wildcard", "address-missing", "nameless", "over", "not-yet"],
)
def test_a_certificate_that_says_more_or_less_than_its_node_is_refused_with_advice(der: bytes, title: str) -> None:
    with pytest.raises(NodeError, match=title) as caught:
        required(der)
    assert "fleet adopt mini-1" in caught.value.hint


def test_another_key_is_refused_whatever_the_certificate_says() -> None:
    with pytest.raises(HostKeyError, match="not the pinned one"):
        required(a_certificate(key=ec.generate_private_key(ec.SECP256R1())))


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(HostKeyError):
        required(der)


def test_a_bundle_gives_back_what_is_in_it() -> None:
    ders = (a_certificate(), a_certificate(("localhost",)))
    assert certificates_in(bundle(ders)) == ders
    assert certificates_in(bundle(ders)[:-60]) in {(), ders[:1]}
    assert certificates_in(b"") == ()


class AwayLink:
    """No node can be reached."""

    def connect(self, target: object, *, deadline_seconds: float = 15.0) -> object:
        raise Unreachable("cannot reach it: no answer in time")

    def host_key(self, target: object, *, deadline_seconds: float = 15.0) -> str:
        raise NotImplementedError

    def close(self) -> None:
        pass


def away(**settings: object) -> GatewayNode:
    return a_gateway(address="127.0.0.1", gateway_port=1, **settings)


def asked(gateway: GatewayNode, tmp_path: Path, known: bytes = b"") -> bytes | FleetError:
    found = gathered([gateway], link=AwayLink(), base=tmp_path, now=NOW, known=known)  # type: ignore[arg-type]
    return found[gateway.name]


def test_a_node_that_is_away_keeps_the_certificate_that_was_known(tmp_path: Path) -> None:
    der = a_certificate(("localhost", "127.0.0.1"))
    assert asked(away(edge_key=PIN), tmp_path, bundle([der])) == der
    assert isinstance(asked(away(edge_key=PIN), tmp_path), Unreachable)


def test_a_certificate_that_was_known_is_checked_again(tmp_path: Path) -> None:
    assert isinstance(asked(away(edge_key=PIN), tmp_path, bundle([a_certificate(authority=True)])), NodeError)
    other = ec.generate_private_key(ec.SECP256R1())
    assert isinstance(asked(away(edge_key=PIN), tmp_path, bundle([a_certificate(key=other)])), Unreachable)


def test_a_node_that_is_not_adopted_is_told_with_the_command(tmp_path: Path) -> None:
    problem = asked(away(), tmp_path)
    assert isinstance(problem, NotAdopted)
    assert (problem.node, problem.hint) == ("mini-1", "fleet adopt mini-1")


# ---------------------------------------------------------------- files


def renewed(files: ScrapeFiles, project: Project, *gateways: GatewayNode) -> dict[NodeName, FleetError]:
    link = AwayLink()
    return dict(files.renew(gateways, jobs_of(gateways), project=project, link=link, now=NOW))  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    secret = tmp_path / "secrets" / "fleet.key"
    secret.parent.mkdir()
    secret.write_text("the-fleet-key\n")
    secret.chmod(0o600)
    return Project(tmp_path, tmp_path / "fleet.yml")


def test_the_files_have_their_modes_and_a_node_without_certificate_is_still_a_target(
    tmp_path: Path, project: Project
) -> None:
    files = ScrapeFiles(tmp_path / "sd")
    problems = renewed(files, project, away(edge_key=PIN))
    assert set(problems) == {"mini-1"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files.folder.iterdir()}
    assert modes == {"edges.pem": 0o644, "fleet.json": 0o644, "fleet.key": 0o600}
    assert (files.folder / "fleet.key").read_text() == metrics_key(Secret("the-fleet-key")).reveal()
    assert msgspec.json.decode((files.folder / "fleet.json").read_bytes())[0]["targets"] == ["127.0.0.1:1"]


def test_a_file_that_says_the_same_is_left_alone_and_one_that_others_may_read_is_shut(
    tmp_path: Path, project: Project
) -> None:
    files = ScrapeFiles(tmp_path / "sd")
    renewed(files, project, away(edge_key=PIN))
    key, targets = files.folder / "fleet.key", files.folder / "fleet.json"
    before = targets.stat().st_ino
    key.chmod(0o644)
    renewed(files, project, away(edge_key=PIN))
    assert (targets.stat().st_ino, stat.S_IMODE(key.stat().st_mode)) == (before, 0o600)


def test_what_cannot_be_written_or_has_no_key_is_told_without_a_traceback(tmp_path: Path, project: Project) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        renewed(ScrapeFiles(tmp_path / "file" / "sd"), project, away(edge_key=PIN))
    (project.root / "secrets" / "fleet.key").unlink()
    with pytest.raises(SupplyError):
        renewed(ScrapeFiles(tmp_path / "sd"), project, away(edge_key=PIN))


def test_targets_are_a_list_that_prometheus_reads() -> None:
    assert msgspec.json.decode(targets_json([])) == []
