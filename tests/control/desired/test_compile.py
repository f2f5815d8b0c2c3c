"""A desired state is what inventory, playbook and supplies say, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from desired_kit import FACTS, INVENTORY, MANIFEST, SECRETS, Kit, a_project, packed, stand_in

from fleet.control.desired import Compiled
from fleet.control.desired.jobs import render_apply_plist
from fleet.control.desired.plistdiff import plist_diff
from fleet.control.desired.templates import Templates
from fleet.control.inventory.clientkeys import ring_text
from fleet.errors import FitError, FleetError, InventoryError, NotAdopted, PlaybookError
from fleet.traffic.config import GatewayConfig
from fleet.traffic.keyring import HashedKey, KeyLimits, KeyRing
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.contracts.codec import decode, plain
from fleet.vocabulary.contracts.desired import Command, Daemon, DesiredState, File, Item, Keep, Sysctl
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.tokens import agent_token
from fleet.vocabulary.units import GIB

Golden = Callable[[str, str], None]


def item(compiled: Compiled, key: str) -> Item:
    """The item of that key."""
    return next(one for one in compiled.state.items if one.key == key)


def daemon(compiled: Compiled, service: str) -> Daemon:
    """The daemon of a service."""
    return next(one for one in compiled.state.daemons if one.service == service)


def plist(compiled: Compiled, service: str) -> str:
    """The rendered plist of a service."""
    return compiled.contents[daemon(compiled, service).plist.digest].decode()


def content(compiled: Compiled, path: str) -> bytes:
    """What a file of the state holds; a secret one too."""
    found = item(compiled, f"file:{path}")
    assert isinstance(found, File)
    if found.blob.secret:
        return compiled.secrets[found.blob.digest]().reveal().encode()
    return compiled.contents[found.blob.digest]


def gateway(compiled: Compiled) -> GatewayConfig:
    """The gateway's configuration."""
    return msgspec.json.decode(content(compiled, "/opt/fleet/etc/gateway.json"), type=GatewayConfig)


def one_task(text: str) -> str:
    """A playbook for mini-1 with one task."""
    return f"- name: p\n  hosts: mini-1\n  tasks:\n    - {text}\n"


def refused(folder: Path, playbook: str, *, inventory: str = INVENTORY, facts: dict[NodeName, Facts] = FACTS) -> str:
    """What a person reads when mini-1 cannot be compiled."""
    with pytest.raises(FleetError) as caught:
        a_project(folder, playbook=playbook, inventory=inventory).one("mini-1", facts=facts)
    return caught.value.text


# ---------------------------------------------------------------- goldens


@pytest.mark.parametrize("service", ["agent", "sidecar.chat", "gateway"])
def test_the_plists_of_the_services_are_the_goldens(tmp_path: Path, golden: Golden, service: str) -> None:
    golden(f"mini-1.{service}.plist", plist(a_project(tmp_path).one("mini-1"), service))


def test_the_apply_plist_is_the_golden(tmp_path: Path, golden: Golden) -> None:
    templates = Templates(a_project(tmp_path).project)
    golden("apply.plist", render_apply_plist(NodeLayout(owner="fleet"), "/opt/fleet/python/ab/bin/python3", templates))


def test_the_files_of_a_front_are_the_goldens(tmp_path: Path, golden: Golden) -> None:
    front = a_project(tmp_path).one("front-1")
    for name in ("gateway.json", "keys.json", "agent.json"):
        golden(f"front-1.{name}", content(front, f"/opt/fleet/etc/{name}").decode())


def test_a_whole_state_is_the_golden(tmp_path: Path, golden: Golden) -> None:
    state = a_project(tmp_path).one("mini-1").state
    text = json.dumps(plain(state), indent=2)
    text = re.sub(r'("(?:hmac-)?sha256:)[0-9a-f]{64}', r"\1...", text)  # what the other goldens show
    golden("mini-1.state.json", re.sub(r'("size": )[0-9]+', r"\g<1>0", text) + "\n")


# ---------------------------------------------------------------- canonical


def test_two_checkouts_and_two_users_make_equal_state_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for user, folder in (("ann", "one"), ("bob", "somewhere/else")):
        monkeypatch.setenv("USER", user)
        monkeypatch.setenv("LOGNAME", user)
        monkeypatch.setenv("HOME", str(tmp_path / user))
        monkeypatch.chdir(tmp_path)
        ids.append({name: one.state.state_id for name, one in a_project(tmp_path / folder).compile().items()})
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == 3


def test_facts_that_change_by_themselves_change_no_state(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    later = {
        name: replace(facts, boot_id="x", boot_time_seconds=9, disk_free_bytes=5, wired_limit_mb=60_000)
        for name, facts in FACTS.items()
    }
    assert kit.one("mini-1").state.state_id == kit.one("mini-1", facts=later).state.state_id


def test_the_order_of_variables_and_groups_of_a_file_changes_no_state(tmp_path: Path) -> None:
    turned = INVENTORY.replace(
        "    secret_salt: 00ff\n    model: smollm2\n", "    model: smollm2\n    secret_salt: 00ff\n"
    )
    assert turned != INVENTORY
    one, other = a_project(tmp_path / "a"), a_project(tmp_path / "b", inventory=turned)
    assert one.one("mini-1").state == other.one("mini-1").state


def test_a_state_survives_the_wire_and_the_sync_would_take_it(tmp_path: Path) -> None:
    for compiled in a_project(tmp_path).compile().values():
        state = compiled.state
        assert decode(json.dumps(plain(state)), DesiredState) == state
        keys = [one.key for one in state.items]
        assert len(keys) == len(set(keys))


def test_every_small_blob_of_a_state_has_its_content(tmp_path: Path) -> None:
    for compiled in a_project(tmp_path).compile().values():
        small = {one.blob.digest for one in compiled.state.items if isinstance(one, File)}
        small |= {one.plist.digest for one in compiled.state.daemons}
        assert small == {*compiled.contents, *compiled.secrets} & small
        for digest, blob in compiled.state.blobs.items():
            if digest in compiled.contents:
                assert blob.size == len(compiled.contents[digest])
            elif digest in compiled.secrets:
                assert blob.size == len(compiled.secrets[digest]().reveal().encode())


# ---------------------------------------------------------------- secrets


def test_no_secret_stands_in_a_state_a_content_or_a_plist(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    for compiled in kit.compile().values():
        shown = json.dumps(plain(compiled.state)) + b"".join(compiled.contents.values()).decode()
        for secret in [*SECRETS.values(), *(sealed() for sealed in compiled.secrets.values())]:
            assert secret.reveal() not in shown
        for one in compiled.state.items:
            if isinstance(one, File) and one.blob.secret:
                assert (one.mode, one.owner, one.sensitive) == (0o600, "fleet", True)


def test_a_secret_in_a_plist_is_refused(tmp_path: Path) -> None:
    playbook = """\
- name: p
  hosts: mini-1
  tasks:
    - {name: key, file: {dest: etc/hub, secret: "env:HUB_TOKEN"}}
    - {name: x, daemon: {label: x, program: [/bin/x, --token, a-token-for-the-hub]}}
"""
    assert "the plist of x holds a secret" in refused(tmp_path, playbook)


def test_another_salt_is_another_digest_and_no_salt_is_not_adopted(tmp_path: Path) -> None:
    one = a_project(tmp_path / "a").one("mini-1")
    other = a_project(tmp_path / "b", inventory=INVENTORY.replace("00ff", "11ee")).one("mini-1")
    assert not set(one.secrets) & set(other.secrets)
    bare = INVENTORY.replace("    secret_salt: 00ff\n", "")
    with pytest.raises(NotAdopted) as caught:
        a_project(tmp_path / "c", inventory=bare).one("mini-1")
    assert "fleet adopt mini-1" in caught.value.hint


@pytest.mark.parametrize("key", ["fleet_key", "gateway_key"])
def test_a_key_that_is_not_set_is_told_with_how_to_set_it(tmp_path: Path, key: str) -> None:
    bare = "\n".join(line for line in INVENTORY.splitlines() if not line.strip().startswith(f"{key}:")) + "\n"
    with pytest.raises(InventoryError) as caught:
        a_project(tmp_path, inventory=bare).needs()
    assert f"{key} is not set" in caught.value.text
    assert f"{key}: file:secrets/{key.removesuffix('_key')}.key" in caught.value.text


def test_a_client_cannot_be_given_the_fleets_own_key(tmp_path: Path) -> None:
    same = INVENTORY.replace("file:secrets/gateway.key", "file:secrets/fleet.key")
    with pytest.raises(InventoryError, match="same secret"):
        a_project(tmp_path, inventory=same).one("front-1")


def test_front_and_edge_take_the_keys_that_they_should(tmp_path: Path) -> None:
    compiled = a_project(tmp_path).compile()
    rings = {
        name: msgspec.json.decode(content(compiled[NodeName(name)], "/opt/fleet/etc/keys.json"), type=KeyRing)
        for name in ("front-1", "mini-1")
    }
    assert {key.name: key.scopes for key in rings["front-1"].keys} == {
        "clients": ("inference",),
        "fleet": ("inference", "node", "admin"),
        "metrics": ("node",),
        "agent": ("care",),
    }
    assert {key.name: key.scopes for key in rings["mini-1"].keys} == {
        "fleet": ("inference", "node", "admin"),
        "metrics": ("node",),
        "agent": ("care",),
    }


def test_the_projects_own_keys_open_fronts_and_no_edge(tmp_path: Path) -> None:
    key = HashedKey(name="anna", sha256="ab" * 32, person="anna", limits=KeyLimits(concurrency=3))
    kit = a_project(tmp_path, files={"keys.json": ring_text(KeyRing(keys=(key,)))})
    rings = {
        name: msgspec.json.decode(content(compiled, "/opt/fleet/etc/keys.json"), type=KeyRing)
        for name, compiled in kit.compile().items()
    }
    assert key in rings[NodeName("front-1")].keys
    assert all(key not in ring.keys for name, ring in rings.items() if name != "front-1")


def test_the_agent_shows_its_own_token_at_the_admin_door_of_its_own_gateway(tmp_path: Path) -> None:
    compiled = a_project(tmp_path).compile()
    for name in ("front-1", "mini-1", "mini-2"):
        one = compiled[NodeName(name)]
        ring = msgspec.json.decode(content(one, "/opt/fleet/etc/keys.json"), type=KeyRing)
        token = content(one, "/opt/fleet/etc/agent.token")
        agent = next(key for key in ring.keys if key.name == "agent")
        assert agent.sha256 == hashlib.sha256(token).hexdigest()
        config = msgspec.json.decode(content(one, "/opt/fleet/etc/agent.json"), type=AgentConfig)
        assert config.gateway_admin_port == gateway(one).admin_port


def test_the_agents_token_follows_from_fleet_key_and_node(tmp_path: Path) -> None:
    compiled = a_project(tmp_path).compile()
    tokens = [content(compiled[NodeName(node)], "/opt/fleet/etc/agent.token").decode() for node in ("mini-1", "mini-2")]
    assert tokens == [agent_token(SECRETS["file:secrets/fleet.key"], node).reveal() for node in ("mini-1", "mini-2")]
    assert tokens[0] != tokens[1]


# ---------------------------------------------------------------- services and routes


def test_a_front_routes_to_the_edges_of_the_other_nodes(tmp_path: Path) -> None:
    config = gateway(a_project(tmp_path).one("front-1"))
    assert [(one.name, one.kind, one.url) for one in config.upstreams] == [
        ("mini-1/smollm2", "edge", "https://192.0.2.11:8790"),
        ("mini-2/smollm2", "edge", "https://192.0.2.12:8790"),
    ]
    assert {route.name: route.upstreams for route in config.routes} == {
        "code": ("mini-1/smollm2", "mini-2/smollm2"),
        "smollm2": ("mini-1/smollm2", "mini-2/smollm2"),
    }


def test_an_edge_serves_its_own_sidecars_alone(tmp_path: Path) -> None:
    config = gateway(a_project(tmp_path).one("mini-1"))
    (upstream,) = config.upstreams
    assert (upstream.name, upstream.kind, upstream.url) == ("sidecar.chat", "sidecar", "http://127.0.0.1:8800")
    assert (upstream.model, upstream.serves, upstream.context_tokens) == ("default_model", "smollm2", 8192)


def test_a_node_that_is_front_and_has_a_sidecar_has_one_gateway_with_both(tmp_path: Path) -> None:
    both = INVENTORY.replace("        mini-1: {", "        front-1:\n        mini-1: {")
    compiled = a_project(tmp_path, inventory=both).one("front-1")
    config = gateway(compiled)
    assert config.role == "front"
    assert [one.name for one in config.upstreams] == ["sidecar.chat", "mini-1/smollm2", "mini-2/smollm2"]
    assert [one.service for one in compiled.state.daemons] == ["agent", "sidecar.chat", "gateway"]


def test_the_default_route_comes_first(tmp_path: Path) -> None:
    text = INVENTORY.replace("routes: {code: [smollm2]}", "routes: {code: [smollm2]}\n        default_route: smollm2")
    assert gateway(a_project(tmp_path, inventory=text).one("front-1")).routes[0].name == "smollm2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("{code: [smollm2]}", "{code: [smolm2]}"), "did you mean `smollm2`?"),
        (("{code: [smollm2]}", "{code: [smollm2]}\n        default_route: cod"), "did you mean `code`?"),
    ],
)
def test_a_route_to_nowhere_is_told_with_the_nearest_name(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(InventoryError) as caught:
        a_project(tmp_path, inventory=INVENTORY.replace(*change)).one("front-1")
    assert said in caught.value.text


def test_a_front_needs_the_pinned_key_of_every_edge(tmp_path: Path) -> None:
    pin = "sha256//BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB="
    text = INVENTORY.replace(f", edge_key: {pin}", "")
    kit = a_project(tmp_path, inventory=text)
    kit.one("mini-2")  # an edge itself does not need it
    with pytest.raises(NotAdopted) as caught:
        kit.one("front-1")
    assert caught.value.node == "mini-2"


def test_a_front_has_a_key_file_for_every_fleet_key_that_differs(tmp_path: Path) -> None:
    text = INVENTORY.replace("mini-2: {", "mini-2: {fleet_key: 'env:HUB_TOKEN', ")
    front = a_project(tmp_path, inventory=text).one("front-1")
    assert [one.key_file for one in gateway(front).upstreams] == [
        "/opt/fleet/etc/fleet.key",
        "/opt/fleet/etc/fleet-mini-2.key",
    ]
    assert content(front, "/opt/fleet/etc/fleet-mini-2.key") == b"a-token-for-the-hub"


def test_an_agent_asks_a_sidecar_for_the_name_that_makes_it_load_nothing(tmp_path: Path) -> None:
    text = content(a_project(tmp_path).one("mini-1"), "/opt/fleet/etc/agent.json")
    config = msgspec.json.decode(text, type=AgentConfig)
    assert [(one.name, one.model, one.serves) for one in config.sidecars] == [
        ("sidecar.chat", "default_model", "smollm2")
    ]
    assert [one.name for one in config.services] == ["agent", "sidecar.chat", "gateway"]


def test_services_say_where_they_answer(tmp_path: Path) -> None:
    services = {one.name: one for one in a_project(tmp_path).one("mini-1").services}
    assert {name: one.url for name, one in services.items()} == {
        "agent": "http://127.0.0.1:8791",
        "sidecar.chat": "http://127.0.0.1:8800",
        "gateway": "https://127.0.0.1:8790",
    }
    assert services["sidecar.chat"].label == "org.fleet-macs.sidecar.chat"
    assert services["sidecar.chat"].serves == "smollm2"


# ---------------------------------------------------------------- what changes touches what


def test_a_new_fleet_touches_agent_and_gateway_and_no_sidecar(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    supplies = stand_in(kit.needs("mini-1"))
    old = kit.one("mini-1")
    new = kit.compile("mini-1", supplies=replace(supplies, app=packed("app, newer")))[NodeName("mini-1")]
    assert daemon(old, "sidecar.chat") == daemon(new, "sidecar.chat")
    for service in ("agent", "gateway"):
        (change,) = plist_diff(plist(old, service), plist(new, service))
        assert change.path == "EnvironmentVariables.PYTHONPATH"


def test_a_new_route_is_a_reload_of_the_front_and_touches_no_plist(tmp_path: Path) -> None:
    old = a_project(tmp_path / "a").one("front-1")
    new = a_project(tmp_path / "b", inventory=INVENTORY.replace("{code:", "{docs:")).one("front-1")
    before, after = daemon(old, "gateway"), daemon(new, "gateway")
    assert (before.plist, before.inputs) == (after.plist, after.inputs)
    assert {path for path in after.reload if before.reload[path] != after.reload[path]} == {
        "/opt/fleet/etc/gateway.json"
    }


def test_another_port_of_the_agent_is_a_restart(tmp_path: Path) -> None:
    old = a_project(tmp_path / "a").one("mini-1")
    other = a_project(tmp_path / "c", overrides=("agent_port=8799",)).one("mini-1")
    assert daemon(old, "agent").inputs["listen"] != daemon(other, "agent").inputs["listen"]
    assert daemon(other, "agent").ports == (8799,)


def test_a_project_template_changes_exactly_its_daemon(tmp_path: Path) -> None:
    shipped = (Path(__file__).resolve().parents[3] / "templates/launchd/agent.plist.j2").read_text()
    own = shipped.replace("<key>RunAtLoad</key>", "<key>Nice</key>\n  <integer>5</integer>\n  <key>RunAtLoad</key>")
    old = a_project(tmp_path / "a").one("mini-1")
    new = a_project(tmp_path / "b", files={"templates/launchd/agent.plist.j2": own}).one("mini-1")
    changed = [one.key for one in new.state.items if one != item(old, one.key)]
    assert changed == ["daemon:org.fleet-macs.agent"]
    assert [change.text for change in plist_diff(plist(old, "agent"), plist(new, "agent"))] == ["Nice: + 5"]


# ---------------------------------------------------------------- tasks


def test_sysctls_are_put_back_at_boot_by_one_job_of_root(tmp_path: Path) -> None:
    playbook = one_task("{name: a, sysctl: {iogpu.wired_limit_mb: 20000}}") + "    - {name: b, sysctl: {kern.x: 1}}\n"
    compiled = a_project(tmp_path, playbook=playbook).one("mini-1")
    job = daemon(compiled, "sysctl")
    assert (job.on_demand, job.user, job.program) == (True, "root", "/usr/sbin/sysctl")
    text = plist(compiled, "sysctl")
    assert "<string>iogpu.wired_limit_mb=20000</string>\n    <string>kern.x=1</string>" in text
    assert "UserName" not in text
    assert item(compiled, "sysctl:iogpu.wired_limit_mb") == Sysctl(task="a", settings={"iogpu.wired_limit_mb": "20000"})


def test_a_custom_daemon_restarts_and_reloads_on_the_files_that_it_names(tmp_path: Path) -> None:
    playbook = """\
- name: p
  hosts: mini-1
  tasks:
    - {name: conf, template: {src: x.conf.j2, dest: etc/x.conf}}
    - {name: list, file: {dest: etc/x.list, content: "a\\n"}}
    - name: x
      daemon:
        label: x
        program: [/usr/local/bin/x, --port, "{{ vars.x_port }}", --python, "{{ interpreter }}"]
        ports: ["{{ vars.x_port }}"]
        restart_on: [etc/x.conf]
        reload_on: [etc/x.list]
        keep_alive: on_failure
        environment: {LEVEL: "{{ vars.x_port }}"}
  health: [{port: {daemon: x}}, {http: {daemon: x, path: /}}]
"""
    files = {"templates/x.conf.j2": "{{ node.name }} {{ services | length }} {{ groups.mlx | join(' ') }}\n"}
    kit = a_project(tmp_path, playbook=playbook, files=files, overrides=("x_port=9000",))
    compiled = kit.one("mini-1")
    assert content(compiled, "/opt/fleet/etc/x.conf") == b"mini-1 1 mini-1 mini-2\n"
    job = daemon(compiled, "x")
    assert list(job.inputs) == ["/opt/fleet/etc/x.conf"]
    assert list(job.reload) == ["/opt/fleet/etc/x.list"]
    assert job.ports == (9000,)
    text = plist(compiled, "x")
    assert "<string>9000</string>" in text
    assert "<key>SuccessfulExit</key>\n    <false/>" in text
    assert [plain(gate)["kind"] for gate in compiled.state.gates] == ["port", "http"]


def test_a_command_runs_on_change_of_the_items_of_the_task_that_it_names(tmp_path: Path) -> None:
    playbook = one_task("{name: conf, file: {dest: etc/x, content: a}}") + (
        "    - {name: go, sensitive: true, command: {argv: [/bin/go], on_change_of: [conf]}}\n"
    )
    found = item(a_project(tmp_path, playbook=playbook).one("mini-1"), "command:go")
    assert isinstance(found, Command)
    assert found.on_change_of == ("file:/opt/fleet/etc/x",)
    assert found.sensitive
    assert found.user == "root"


def test_when_leaves_a_task_out_and_its_health_check_with_it(tmp_path: Path) -> None:
    playbook = """\
- name: p
  hosts: mlx
  tasks:
    - {name: x, when: {fact: memory_gb, ge: 64}, daemon: {label: x, program: [/bin/x], ports: [9000]}}
  health: [{port: {daemon: x}}]
"""
    compiled = a_project(tmp_path, playbook=playbook).compile("mini-1", "mini-2")
    assert [len(one.state.gates) for one in compiled.values()] == [0, 1]


def test_a_node_that_no_play_names_has_no_state(tmp_path: Path) -> None:
    playbook = one_task("{name: t, directory: {path: var/x}}")
    assert set(a_project(tmp_path, playbook=playbook).compile()) == {"mini-1"}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{name: t, daemon: {label: gateway2, program: [x]}}", "'x' is not absolute"),
        ("{name: t, daemon: {label: x, program: [/x], env: nod}}", "no python_env task of this node is called 'nod'"),
        ("{name: t, daemon: {label: apply, program: [/x]}}", "org.fleet-macs.apply is fleet's own"),
        ("{name: t, daemon: {label: x, program: [/x], restart_on: [etc/y]}}", "no file or template task before it"),
        ("{name: t, file: {dest: state/x, content: a}}", "/opt/fleet/state/x is not a place for files of a playbook"),
        ("{name: t, file: {dest: /usr/bin/x, content: a}}", "is not a place for files"),
        ("{name: t, file: {dest: ~/x, content: a}}", "neither ~ nor .."),
        ("{name: t, file: {dest: ../x, content: a}}", "neither ~ nor .."),
        ("{name: t, file: {dest: etc/x, src: nothing}}", "no file 'nothing' in templates/"),
        ("{name: t, template: {dest: etc/x, src: nothing.j2}}", "no template 'nothing.j2'"),
        ("{name: t, python_env: {name: other}}", "fleet env lock other"),
        ("{name: t, model: {name: other}}", "fleet model lock"),
        ("{name: t, model: {name: ../../x}}", "no file '../../x.json' in models/"),
        ("{name: t, command: {argv: [ls], creates: /x}}", "'ls' is not absolute"),
        ("{name: t, command: {argv: [/bin/ls], on_change_of: [u]}}", "on_change_of names no task 'u'"),
        ("{name: t, pmset: {sleep: '{{ vars.model }}'}}", "expected a number, or one {{ }}"),
        ("{name: t, directory: {path: '{{ vars.modell }}'}}", "did you mean `model`?"),
        ("{name: t, when: {fact: os_build, eq: x}, pmset: {sleep: 0}}", "the fact os_build of mini-1 is not known"),
        ("{name: t, daemon: {label: x, template: x.plist.j2}}", "no template 'x.plist.j2'"),
    ],
)
def test_a_task_that_cannot_be_is_told_before_any_connection(tmp_path: Path, task: str, said: str) -> None:
    assert said in refused(tmp_path, one_task(task))


def test_an_error_in_a_task_has_its_place(tmp_path: Path) -> None:
    text = refused(tmp_path, one_task("{name: t, directory: {path: '{{ vars.modell }}'}}"))
    assert f"{tmp_path}/playbooks/test.yml:4:7: " in text


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (
            ("{name: a, daemon: {label: x, program: [/x]}}", "{name: b, daemon: {label: x, program: [/y]}}"),
            "daemon org.fleet-macs.x is there twice and differs",
        ),
        (
            (
                "{name: a, daemon: {label: x, program: [/x], ports: [9000]}}",
                "{name: b, daemon: {label: y, program: [/y], ports: [9000]}}",
            ),
            "port 9000 is wanted by org.fleet-macs.x and org.fleet-macs.y",
        ),
        (
            ("{name: a, file: {dest: etc/x, content: a}}", "{name: b, file: {dest: etc/x, content: b}}"),
            "file /opt/fleet/etc/x is there twice and differs",
        ),
        (
            ("{name: a, file: {dest: etc/x, content: a}}", "{name: b, directory: {path: etc/x}}"),
            "/opt/fleet/etc/x is a file and a directory",
        ),
    ],
)
def test_two_tasks_that_want_one_thing_are_told_before_any_connection(
    tmp_path: Path, tasks: tuple[str, str], said: str
) -> None:
    text = refused(tmp_path, one_task(tasks[0]) + f"    - {tasks[1]}\n")
    assert said in text
    assert "'a' and 'b'" in text


def test_the_same_task_in_two_plays_is_one_item(tmp_path: Path) -> None:
    playbook = one_task("{name: a, directory: {path: var/x}}") + one_task(
        "{name: b, directory: {path: var/x}}"
    ).replace("name: p", "name: q")
    assert len(a_project(tmp_path, playbook=playbook).one("mini-1").state.items) == 1


@pytest.mark.parametrize("kind", ["pmset: {sleep: 0}", "sysctl: {a.b: 1}"])
def test_what_needs_root_is_refused_outside_the_system_domain(tmp_path: Path, kind: str) -> None:
    text = refused(
        tmp_path, one_task(f"{{name: t, {kind}}}"), inventory=INVENTORY.replace("model: smollm2", "domain: gui/501")
    )
    assert "needs root, and the jobs of gui/501 are the user's" in text


def test_jobs_of_a_user_domain_have_no_user_name_and_name_their_session(tmp_path: Path) -> None:
    playbook = one_task("{name: t, daemon: {label: x, program: [/x]}}")
    for domain, session in (("user/501", True), ("gui/501", False)):
        folder = "/Users/fleet/Library/LaunchAgents"
        text = INVENTORY.replace("model: smollm2", f"domain: {domain}\n    daemons_dir: {folder}")
        rendered = plist(a_project(tmp_path / domain, playbook=playbook, inventory=text).one("mini-1"), "x")
        assert "UserName" not in rendered
        assert ("<string>Background</string>" in rendered) == session


def test_a_job_of_a_user_is_never_put_where_launchd_would_start_it_as_root(tmp_path: Path) -> None:
    playbook = one_task("{name: t, daemon: {label: x, program: [/x]}}")
    text = refused(tmp_path, playbook, inventory=INVENTORY.replace("model: smollm2", "domain: gui/501"))
    assert "at boot launchd would start it as root" in text


def test_a_health_check_of_a_daemon_that_is_none_is_an_error(tmp_path: Path) -> None:
    playbook = one_task("{name: t, daemon: {label: x, program: [/x]}}") + "  health: [{launchd: {daemon: y1}}]\n"
    assert "no daemon is called 'y1'" in refused(tmp_path, playbook)


def test_tags_are_refused_because_a_state_is_whole(tmp_path: Path) -> None:
    from fleet.control.desired import needs

    kit = a_project(tmp_path)
    with pytest.raises(PlaybookError, match="--tags host is not carried out"):
        needs(kit.inventory, kit.playbook, facts={}, nodes=(), tags=("host",), project=kit.project)


# ---------------------------------------------------------------- fit


def test_models_that_do_not_fit_are_refused_with_the_arithmetic(tmp_path: Path) -> None:
    small = {NodeName("mini-1"): Facts(memory_bytes=4 * GIB, os_version="26.4"), NodeName("mini-2"): Facts()}
    with pytest.raises(FitError) as caught:
        a_project(tmp_path).one("mini-1", facts=small)
    assert "sum 2.8 GiB of 2.7 GiB (2/3 of 4.0 GiB)" in caught.value.text


def test_a_node_of_unknown_memory_fails_closed_and_the_inventory_can_stand_in(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="cannot be known"):
        a_project(tmp_path / "a").one("mini-1", facts={})
    planned = a_project(
        tmp_path / "b", inventory=INVENTORY.replace("model: smollm2", "model: smollm2\n    memory_gb: 16")
    )
    found = planned.one("mini-1", facts={}).fit
    assert found is not None
    assert "2/3 of 16.0 GiB" in found.text


def test_a_manifest_without_kv_bytes_needs_a_stated_reserve(tmp_path: Path) -> None:
    playbook = """\
- name: p
  hosts: mini-1
  tasks:
    - {name: e, python_env: {name: mlx}}
    - {name: w, model: {name: smollm2}}
    - {name: s, daemon: {service: sidecar, name: chat, env: mlx, model: smollm2, port: 8800}}
"""
    unknown = json.dumps({**MANIFEST, "kv_bytes_per_token": None})
    with pytest.raises(FitError, match="cannot be known"):
        a_project(tmp_path / "a", playbook=playbook, files={"models/smollm2.json": unknown}).one("mini-1")
    with_count = playbook.replace("port: 8800", "port: 8800, options: {decode_concurrency: 4}")
    found = a_project(tmp_path / "b", playbook=with_count).one("mini-1").fit
    assert found is not None
    assert "23040 B x 8192 tokens x 4 at once" in found.text


def test_the_needs_of_a_fleet_are_each_named_once(tmp_path: Path) -> None:
    wanted = a_project(tmp_path).needs()
    assert [need.name for need in wanted.envs] == ["node", "mlx"]
    assert [need.manifest_path.name for need in wanted.models] == ["smollm2.json"]
    assert [need.reference for need in wanted.secrets] == ["file:secrets/fleet.key", "file:secrets/gateway.key"]
    assert [need.reference for need in Kit.needs(a_project(tmp_path), "mini-1").secrets] == ["file:secrets/fleet.key"]


def test_the_agent_bounds_every_log_but_the_one_that_the_gateway_rotates_itself(tmp_path: Path) -> None:
    text = INVENTORY.replace("model: smollm2", "model: smollm2\n    log_mb: 2.5\n    log_files: 7")
    one = a_project(tmp_path, inventory=text).one("mini-1")
    config = msgspec.json.decode(content(one, "/opt/fleet/etc/agent.json"), type=AgentConfig)
    assert (config.log_limit_bytes, config.log_files) == (2_500_000, 7)
    assert {Path(path).name for path in config.logs} == {"agent.log", "gateway.err.log", "sidecar.chat.log"}


def test_limits_of_what_is_kept_are_part_of_the_state_only_where_they_are_not_the_defaults(tmp_path: Path) -> None:
    text = INVENTORY.replace("model: smollm2", "model: smollm2\n    keep_releases: 5\n    keep_gb: 2.5")
    assert a_project(tmp_path / "a").one("mini-1").state.keep is None
    kept = a_project(tmp_path / "b", inventory=text).one("mini-1").state.keep
    assert kept == Keep(releases=5, days=30.0, bytes_limit=2_500_000_000)
