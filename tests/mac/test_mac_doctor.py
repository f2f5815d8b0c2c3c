"""What doctor asks is answered by a real Mac, and understood. Nothing is changed on it."""

import getpass
import os
import subprocess
import time
from pathlib import Path

import msgspec

from fleet.control.actions.doctor_examine import examine
from fleet.control.actions.doctor_findings import Severity, Situation
from fleet.control.actions.doctor_probe import doctor_command, parse_readings
from fleet.control.inventory import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.vocabulary.names import NodeName

MAY_BE_UNKNOWN = {"os-updates", "panics", "ports", "tailscale", "wired-limit"}
"""A key never written, a folder of administrators, processes of root, a virtual machine without the limit."""


def test_every_check_finds_out_what_it_asks(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(NodeSettings(owner=getpass.getuser()), root=str(tmp_path / "fleet"))
    node = Node(name=NodeName("here"), groups=(), variables={}, settings=settings, place="here")
    before = time.time()
    answer = subprocess.run(
        ["/bin/zsh", "-c", doctor_command(node)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    )
    readings = parse_readings(answer.stdout, root=settings.root)
    assert readings.complete, answer.stderr
    found = examine(Situation(node=node, readings=readings, asked_from=before, asked_to=time.time()))
    unknown = {one.id: one.seen for one in found if one.severity is Severity.UNKNOWN}
    assert {check: seen for check, seen in unknown.items() if check not in MAY_BE_UNKNOWN} == {}
    assert not (tmp_path / "fleet").exists()
