"""What adopt sends and how it reads answers: pure, and total."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.adopt_install import (
    Installation,
    certificate_config,
    helper_text,
    parse_installed,
    sudoers_name,
    sudoers_text,
)
from fleet.control.actions.adopt_places import Place, parse_places, weakness_of
from fleet.control.actions.adopt_probe import Probe, parse_probe, probe_command, problems_of, reached_while_locked
from fleet.control.inventory import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.errors import InventoryError
from fleet.vocabulary.names import NodeName

ANSWER = """\
Welcome to mini-1, noise from .zshenv
FLEET-PROBE/1
== user 0
|ops
== owner 0
|501
== sudo 1
|sudo: a password is required
== xcode 2
|xcode-select: error: unable to get active developer directory
== sw_vers 0
|ProductName:\t\tmacOS
|ProductVersion:\t\t26.4
|BuildVersion:\t\t25E246
== sysctl 0
|hw.memsize: 68719476736
|hw.model: Mac16,11
|machdep.cpu.brand_string: Apple M4 Pro
== filevault 0
|FileVault is On.
== power 0
|AC Power:
| Sleep On Power Button 1
| autorestart          0
| sleep                1 (sleep prevented by powerd)
| lowpowermode         1
== disk 0
|Filesystem   1024-blocks      Used Available Capacity  Mounted on
|/dev/disk3s5   482797652 438112040  12582912    97%    /System/Volumes/Data
== listeners 0
|COMMAND   PID USER   FD   TYPE             DEVICE SIZE/OFF NODE NAME
|ollama    612  ops    3u  IPv4 0x1234567890abcdef      0t0  TCP 127.0.0.1:8790 (LISTEN)
|python3.1 713  ops    3u  IPv4 0x1234567890abcdef      0t0  TCP 127.0.0.1:8791 (LISTEN)
== process.612 0
|/Applications/Ollama.app/Contents/Resources/ollama serve
== process.713 0
|/opt/fleet/python/abc/bin/python3 -s -m fleet.node.agent --config /opt/fleet/etc/agent.json
== python 0
|3.12.7 arm64
== way.root 0
|drwxr-xr-x 0 0 /
|drwxr-xr-x 0 0 /opt
== end 0
"""


def a_node(**settings: object) -> Node:
    given = msgspec.structs.replace(NodeSettings(ssh_user="ops"), **settings)
    return Node(NodeName("mini-1"), (), {}, given, "inventory/fleet.yml:3:5")


def test_a_whole_answer_is_read() -> None:
    probe = parse_probe(ANSWER, root="/opt/fleet")
    assert (probe.user, probe.sudo, probe.developer_tools, probe.filevault) == ("ops", "password", False, True)
    assert (probe.os_version, probe.chip, probe.memory_bytes) == ("26.4", "Apple M4 Pro", 64 * 1024**3)
    assert probe.disk_free_bytes == 12 * 1024**3
    assert (probe.python_version, probe.python_machine) == ("3.12.7", "arm64")
    assert [(found.port, found.command) for found in probe.ports] == [(8790, "ollama")]
    assert probe.complete


def test_a_foreign_owner_of_a_port_filevault_and_sleep_are_reported_with_advice() -> None:
    found = [problem.what for problem in problems_of(a_node(), parse_probe(ANSWER, root="/opt/fleet"))]
    assert found == [
        "port 8790 is held by ollama (pid 612, ops)",
        "FileVault is on",
        "12 GiB of disk are free",
        "power settings: sleep 1, lowpowermode 1, autorestart 0",
    ]


@given(st.text())
def test_any_text_is_an_answer_with_unknown_fields(text: str) -> None:
    assert parse_probe(text, root="/opt/fleet").memory_bytes is None
    assert not parse_installed(text).done or "FLEET-ADOPT/1" in text


@given(st.integers(0, len(ANSWER)))
def test_an_answer_that_is_cut_anywhere_is_read_as_far_as_it_goes(at: int) -> None:
    probe = parse_probe(ANSWER[:at], root="/opt/fleet")
    assert probe.memory_bytes in (None, 64 * 1024**3) or str(64 * 1024**3).startswith(str(probe.memory_bytes))
    assert probe.complete == (at >= len(ANSWER) - len("\n"))
    assert probe.filevault in (None, True)


@pytest.mark.parametrize(
    ("settings", "probe", "says"),
    [
        ({"interpreter": "/usr/bin/python3"}, {"developer_tools": False}, "Apple's stub"),
        ({"interpreter": "/opt/py"}, {"python_said": "sh: /opt/py: not found"}, "does not run: sh: /opt/py: not found"),
        ({"interpreter": "/opt/py"}, {"python_version": "3.9.6"}, "is Python 3.9.6"),
        ({"interpreter": "/opt/py"}, {"python_version": "3.11.2"}, "envs are built for 3.12"),
        ({"interpreter": "/opt/py"}, {"python_version": "3.12.1", "python_machine": "x86_64"}, "Rosetta"),
        ({}, {"owner_exists": False}, "no account ops"),
        ({}, {"sudo": "missing"}, "may not use sudo"),
        ({}, {"complete": False}, "cut off"),
    ],
)
def test_what_would_not_work_is_serious(settings: dict[str, object], probe: dict[str, object], says: str) -> None:
    found = problems_of(a_node(**settings), replace(Probe(sudo="free", complete=True), **probe))  # type: ignore[arg-type]
    assert [problem.serious for problem in found] == [True]
    assert says in found[0].what


@pytest.mark.parametrize(
    ("vault", "version", "says"),
    [
        (False, "26.4", "off"),
        (None, "26.4", "not known"),
        (True, "26.4", "PASSWORD"),
        (True, "15.5", "ssh is not up"),
        (True, None, "ssh is not up"),
    ],
)
def test_it_is_said_how_a_locked_mac_is_reached(vault: bool | None, version: str | None, says: str) -> None:
    assert says in reached_while_locked(a_node(), Probe(filevault=vault, os_version=version))


def test_the_helper_holds_this_nodes_values_and_no_placeholder() -> None:
    text = helper_text(a_node(root="/opt/my fleet"), "/opt/py/bin/python3")
    body = text.split("set -u\n", 1)[1]
    assert "ROOT='/opt/my fleet'\nINTERPRETER='/opt/py/bin/python3'\n" in body
    assert "@" not in "".join(line for line in body.splitlines() if "='@" in line)
    assert subprocess.run(["/bin/sh", "-n"], input=text.encode(), check=False).returncode == 0


@pytest.mark.parametrize("root", ["/opt/it's", "/opt/a\nb"])
def test_a_value_that_sh_could_read_otherwise_is_refused(root: str) -> None:
    with pytest.raises(InventoryError, match="neither quotes nor line breaks"):
        helper_text(a_node(root=root), "/opt/py")


def test_the_sudoers_entry_names_one_path_and_its_file_has_no_dot() -> None:
    layout = a_node(root="/opt/my fleet", owner="ops").settings.layout()
    assert sudoers_text("ops", layout).splitlines()[1:] == [r"ops ALL=(root) NOPASSWD: /opt/my\ fleet/sbin/fleet-node"]
    assert sudoers_name("mini-1.example.net") == "fleet-mini-1_example_net"


def test_an_account_of_its_own_for_the_services_may_start_daemons_of_fleet_and_nothing_else() -> None:
    layout = a_node(root="/opt/fleet", owner="_fleet").settings.layout()
    assert sudoers_text("ops", layout).splitlines()[1:] == [
        "ops ALL=(root) NOPASSWD: /opt/fleet/sbin/fleet-node",
        "# The agent may have one of fleet's own daemons started that launchd puts off.",
        "_fleet ALL=(root) NOPASSWD: /opt/fleet/sbin/fleet-node start org.fleet-macs.*",
    ]


@pytest.mark.parametrize("address", ["192.0.2.7", "mini-1.example.net", "2001:db8::7", "odd name"])
def test_openssl_makes_the_certificate_that_the_config_describes(tmp_path: Path, address: str) -> None:
    (tmp_path / "edge.cnf").write_text(certificate_config(a_node(address=address)))
    make = ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "k")
    sign = ("req", "-new", "-x509", "-sha256", "-days", "3650", "-key", "k", "-config", "edge.cnf", "-out", "c")
    subprocess.run(["openssl", *make], cwd=tmp_path, check=True)
    made = subprocess.run(["openssl", *sign], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    text = subprocess.run(
        ["openssl", "x509", "-in", "c", "-noout", "-text"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "CN = mini-1" in text or "CN=mini-1" in text
    assert "DNS:localhost" in text
    if " " not in address:
        assert address.split(":")[0].lower() in text.lower()


def test_what_is_sent_is_a_tar(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"x" * 3_000_001)
    sent = b"".join(Installation(script="", files={"b": b"2", "a": b""}, archive=archive).pieces())
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        assert [(entry.name, entry.size) for entry in tar] == [("a", 0), ("b", 1), ("python.tar", 3_000_001)]


def test_a_failure_of_the_script_is_read_with_what_it_did_before() -> None:
    answer = parse_installed("noise\nFLEET-ADOPT/1\nchanged folder /opt/fleet\nsame sync\nfailed visudo refuses it\n")
    assert (answer.changed, answer.failed, answer.done) == (("folder /opt/fleet",), "visudo refuses it", False)
    assert parse_installed("").failed is None


@pytest.mark.parametrize(
    ("line", "weak"),
    [
        ("drwxr-xr-x 0 0 /opt", False),
        ("drwxrwxr-x 0 0 /opt", False),  # wheel is root alone
        ("drwxr-xr-x@ 501 80 /opt/homebrew", True),
        ("drwxrwxr-x+ 0 80 /Applications", True),
        ("drwxrwxrwt 0 0 /tmp", True),
        ("lrwxrwxrwx 0 0 /a link", False),
        ("lrwxr-xr-x 501 80 /opt/homebrew/bin/python3", True),
    ],
)
def test_what_another_account_than_root_may_change_is_weak(line: str, weak: bool) -> None:
    (place,) = parse_places(line)
    assert place.path == line.split(" ", 3)[3]
    assert (weakness_of((place,)) is not None) == weak


def test_a_way_that_another_account_may_turn_is_refused_where_root_runs_what_lies_there() -> None:
    theirs = (Place("/", "drwxr-xr-x", 0, 0), Place("/opt/homebrew", "drwxrwxr-x", 501, 80))
    probe = Probe(user="ops", sudo="free", python_version="3.12.1", complete=True)
    node = a_node(interpreter="/opt/homebrew/bin/python3")
    assert problems_of(node, probe) == ()
    (python,) = problems_of(node, replace(probe, way_to_interpreter=theirs))
    assert python.serious
    assert "/opt/homebrew belongs to uid 501" in python.what
    assert "interpreter: standalone" in python.advice
    (root,) = problems_of(node, replace(probe, way_to_root=theirs))
    assert root.serious
    assert "root:" in root.advice
    both = replace(probe, way_to_root=theirs, way_to_interpreter=theirs)
    assert problems_of(a_node(admin="ops", interpreter="/opt/py"), both) == ()  # nothing runs as root there
    assert problems_of(node, replace(both, user="root")) == ()


def test_the_probe_sees_every_name_on_the_way_and_behind_links(tmp_path: Path) -> None:
    (tmp_path / "real/bin").mkdir(parents=True)
    (tmp_path / "real/bin/python3").write_text("")
    (tmp_path / "link one").symlink_to("real")
    (tmp_path / "link two").symlink_to(tmp_path / "link one")
    (tmp_path / "loop").symlink_to("loop")
    node = a_node(interpreter=str(tmp_path / "link two/../real/bin/python3"), root=str(tmp_path / "loop/fleet"))
    command = probe_command(node, python_digest="")
    answer = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    probe = parse_probe(answer.stdout, root="/opt/fleet")
    seen = [place.path for place in probe.way_to_interpreter]
    assert seen[0] == "/"
    names = ("link two", "link one", "real", "real", "real/bin", "real/bin/python3")
    assert [path for path in seen if path.startswith(f"{tmp_path}/")] == [f"{tmp_path}/{name}" for name in names]
    assert {place.mode[0] for place in probe.way_to_interpreter if "link " in place.path} == {"l"}
    assert probe.way_to_interpreter[-1].uid == os.getuid()
    assert probe.way_to_root[-1].path == f"{tmp_path}/loop"
    assert probe.complete
