"""OpenClaw on a node: its files, its job, its key in the fronts' rings; what cannot work is refused with advice."""

from __future__ import annotations

import hashlib
import json
import plistlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from desired_kit import INVENTORY, SECRETS, Kit, a_project, stand_in

from fleet.control.desired import Compiled
from fleet.control.desired.lint import lint
from fleet.control.inventory.clientkeys import ring_text
from fleet.control.inventory.project import packaged_dir
from fleet.errors import FleetError, InventoryError, PlaybookError
from fleet.traffic.keyring import HashedKey, KeyLimits, KeyRing
from fleet.vocabulary.contracts.desired import Command, Daemon, Directory, File, HttpGate
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "openclaw" / "2026.9.6.schema.json"
SCHEMA = jsonschema.Draft7Validator(json.loads(SAMPLE.read_text()))
KEY, TOKEN = Secret("the-key-of-openclaw"), Secret("the token's own quotes")
GROUP = """\
    openclaw:
      hosts: {NODE: {}}
      vars: {openclaw_node_url: "https://example.com/node.tar.gz", openclaw_node_sha256: "PIN"}
"""


def shipped() -> Any:
    return yaml.safe_load((packaged_dir() / "playbooks" / "openclaw.yml").read_text())


def kit(place: Path, *, node: str = "front-1", pin: str = "a" * 64, **daemon: Any) -> Kit:
    """A project whose front has OpenClaw as the shipped playbook says; `daemon` are other fields of its task."""
    plays = shipped()
    plays[-1]["tasks"][-1]["daemon"] |= daemon
    group = GROUP.replace("NODE", node).replace("PIN", pin)
    return a_project(place, inventory=INVENTORY + group, playbook=yaml.safe_dump(plays, sort_keys=False))


def compiled(made: Kit, node: str = "front-1", *, key: Secret = KEY) -> Compiled:
    """Its state; `key` is what secrets/openclaw.key holds."""
    more = {"file:secrets/openclaw.key": key, "file:secrets/openclaw.token": TOKEN, "env:TELEGRAM": Secret("123:abc")}
    supplies = replace(stand_in(made.needs()), secrets={**SECRETS, **more})
    return made.compile(node, supplies=supplies)[NodeName(node)]


def content(state: Compiled, name: str) -> bytes:
    path = state.state.layout.etc(name)
    item = next(one for one in state.state.items if isinstance(one, File) and one.path == path)
    if item.blob.secret:
        return state.secrets[item.blob.digest]().reveal().encode()
    found = state.contents[item.blob.digest]
    assert isinstance(found, bytes)
    return found


def daemon(state: Compiled) -> Daemon:
    return next(one for one in state.state.daemons if one.service == "openclaw")


def test_the_shipped_playbook_is_site_and_one_play_more() -> None:
    site = yaml.safe_load((packaged_dir() / "playbooks" / "site.yml").read_text())
    assert shipped()[:-1] == site
    assert shipped()[-1]["hosts"] == "openclaw"


def test_its_configuration_offers_the_fronts_routes_and_passes_openclaws_own_schema(tmp_path: Path) -> None:
    state = compiled(kit(tmp_path))
    config = json.loads(content(state, "openclaw.json"))
    assert [error.message for error in SCHEMA.iter_errors(config)] == []
    fleet = config["models"]["providers"]["fleet"]
    assert fleet["baseUrl"] == "https://127.0.0.1:8790/v1"
    assert [(model["id"], model["contextWindow"]) for model in fleet["models"]] == [("code", 8192), ("smollm2", 8192)]
    assert fleet["models"][0]["cost"] == {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
    assert config["agents"]["defaults"]["model"] == {"primary": "fleet/code"}
    assert config["gateway"]["mode"] == "local"


def test_secrets_are_in_one_file_of_the_services_account_and_in_nothing_else(tmp_path: Path) -> None:
    made = kit(tmp_path, secrets={"TELEGRAM_TOKEN": "env:TELEGRAM"}, settings={"channels": {"x": "${TELEGRAM_TOKEN}"}})
    state = compiled(made)
    assert content(state, "openclaw.env").decode() == (
        "FLEET_GATEWAY_KEY='the-key-of-openclaw'\n"
        'OPENCLAW_GATEWAY_TOKEN="the token\'s own quotes"\n'
        "TELEGRAM_TOKEN='123:abc'\n"
    )
    path = state.state.layout.etc("openclaw.env")
    item = next(one for one in state.state.items if isinstance(one, File) and one.path == path)
    assert (item.mode, item.owner) == (0o600, "fleet")
    others = b"".join(one for one in state.contents.values() if isinstance(one, bytes))
    assert not [secret for secret in (KEY, TOKEN, Secret("123:abc")) if secret.reveal().encode() in others]


def test_the_front_knows_its_key_by_its_app(tmp_path: Path) -> None:
    ring = msgspec.json.decode(content(compiled(kit(tmp_path)), "keys.json"), type=KeyRing)
    (key,) = [one for one in ring.keys if one.app == "openclaw"]
    assert (key.name, key.scopes) == ("openclaw", ("inference",))
    edge = msgspec.json.decode(content(compiled(kit(tmp_path), "mini-1"), "keys.json"), type=KeyRing)
    assert not [one for one in edge.keys if one.app]


def test_a_key_that_others_show_as_well_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="could not be told from others"):
        compiled(kit(tmp_path), key=SECRETS["file:secrets/gateway.key"])


def test_a_key_that_fleet_key_made_keeps_its_limits_and_another_of_its_name_is_refused(tmp_path: Path) -> None:
    limits = KeyLimits(monthly_tokens=1_000_000)
    digest = hashlib.sha256(KEY.reveal().encode()).hexdigest()
    own = HashedKey(name="openclaw", sha256=digest, scopes=("inference",), app="openclaw", limits=limits)
    path = tmp_path / "keys.json"
    path.write_text(ring_text(KeyRing(keys=(own,))))
    ring = msgspec.json.decode(content(compiled(kit(tmp_path)), "keys.json"), type=KeyRing)
    assert [one.limits for one in ring.keys if one.app == "openclaw"] == [limits]
    with pytest.raises(InventoryError, match=r"its text is not what file:secrets/openclaw\.key holds"):
        compiled(kit(tmp_path), key=Secret("another-key-altogether"))


def test_its_job_is_nodes_own_program_and_no_shell(tmp_path: Path) -> None:
    state = compiled(kit(tmp_path))
    plist = plistlib.loads(state.contents[daemon(state).plist.digest])  # type: ignore[arg-type]
    node, environment_file, program, *rest = plist["ProgramArguments"]
    assert re.fullmatch(r"/opt/fleet/archives/[0-9a-f]{64}/bin/node", node)
    assert environment_file == "--env-file=/opt/fleet/etc/openclaw.env"
    assert re.fullmatch(r"/opt/fleet/archives/[0-9a-f]{64}/node_modules/openclaw/dist/index\.js", program)
    assert rest == ["gateway", "--port", "18789"]
    assert (plist["KeepAlive"], plist["ExitTimeOut"], plist["ProcessType"]) == (True, 60, "Interactive")
    assert plist["UserName"] == "fleet"
    told = plist["EnvironmentVariables"]
    assert told["OPENCLAW_CONFIG_READONLY"] == "1"
    assert told["NODE_EXTRA_CA_CERTS"] == "/opt/fleet/etc/edge.crt"
    assert told["HOME"] == "/Users/fleet"
    assert told["PATH"].split(":")[0] == node.removesuffix("/node")


def test_what_it_reads_restarts_it_and_another_node_replaces_it(tmp_path: Path) -> None:
    one = daemon(compiled(kit(tmp_path / "a")))
    assert set(one.inputs) == {"/opt/fleet/etc/openclaw.json", "/opt/fleet/etc/openclaw.env"}
    other = daemon(compiled(kit(tmp_path / "b", settings={"logging": {"level": "warn"}})))
    assert (one.plist, one.inputs != other.inputs) == (other.plist, True)
    assert daemon(compiled(kit(tmp_path / "c", pin="b" * 64))).plist != one.plist


def test_its_gate_is_readyz_and_its_folder_its_own(tmp_path: Path) -> None:
    state = compiled(kit(tmp_path)).state
    gates = [gate.url for gate in state.gates if isinstance(gate, HttpGate) and gate.label.endswith(".openclaw")]
    assert gates == ["http://127.0.0.1:18789/readyz"]
    folder = next(one for one in state.items if isinstance(one, Directory) and one.path.endswith("var/openclaw"))
    assert (folder.mode, folder.owner) == (0o700, "fleet")


def test_before_it_starts_a_job_of_openclaws_own_is_settled(tmp_path: Path) -> None:
    refusing, adopting = (
        next(item for item in compiled(kit(tmp_path / word, existing=word)).state.items if isinstance(item, Command))
        for word in ("refuse", "adopt")
    )
    assert (refusing.argv[-1], refusing.check[-1], refusing.undo[-1]) == ("refuse", "look-first", "leave")
    assert (adopting.argv[-1], adopting.check[-1], adopting.undo[-1]) == ("adopt", "look", "give-back")
    assert adopting.user == "root"


def test_models_name_the_routes_and_what_is_known_better(tmp_path: Path) -> None:
    own = {"smollm2": {"reasoning": True, "maxTokens": 4096}}
    config = json.loads(content(compiled(kit(tmp_path, models=own)), "openclaw.json"))
    (model,) = config["models"]["providers"]["fleet"]["models"]
    assert (model["id"], model["reasoning"], model["maxTokens"]) == ("smollm2", True, 4096)
    assert [error.message for error in SCHEMA.iter_errors(config)] == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"models": {"smolm2": {}}}, "the front has no route 'smolm2'"),
        ({"settings": {"gateway": {"port": 1}}}, "gateway.port is fleet's to say"),
        ({"settings": {"channels": {"x": "${TELEGRAM}"}}}, "${TELEGRAM} of its settings is set nowhere"),
        ({"runtime": "nod"}, "no archive task of this node is called 'nod'"),
        ({"primary": "other"}, "'other' is no route that it is offered"),
        ({"existing": "replace"}, "existing"),
        ({"port": 0}, "port"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(FleetError) as refused:
        compiled(kit(tmp_path, **fields))
    assert said in refused.value.text


def test_on_a_node_without_a_front_it_wants_the_fronts_certificate(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="its front is front-1, whose certificate this node does not have"):
        compiled(kit(tmp_path, node="mini-1"), "mini-1")
    state = compiled(kit(tmp_path, node="mini-1", ca="etc/front.crt"), "mini-1")
    config = json.loads(content(state, "openclaw.json"))
    assert config["models"]["providers"]["fleet"]["baseUrl"] == "https://front.example:8790/v1"
    plist = plistlib.loads(state.contents[daemon(state).plist.digest])  # type: ignore[arg-type]
    assert plist["EnvironmentVariables"]["NODE_EXTRA_CA_CERTS"] == "/opt/fleet/etc/front.crt"
    ring = msgspec.json.decode(content(compiled(kit(tmp_path, node="mini-1", ca="x")), "keys.json"), type=KeyRing)
    assert [one.name for one in ring.keys if one.app == "openclaw"] == ["openclaw"]


def test_lint_knows_it_all_without_secrets_network_or_npm(tmp_path: Path) -> None:
    made = kit(tmp_path)
    found = lint(made.inventory, made.playbook, project=made.project, facts={})
    assert [finding.text for finding in found.findings if finding.level == "error"] == []
