"""A whole life of a node on this very Mac: adopt, deploy, deploy again, status, uninstall. By the command line only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = "/opt/fleet-mac-test"
PREFIX = "org.fleet-macs.mac-test"
INVENTORY = f"""\
all:
  hosts:
    mac-1:
      address: {{host}}
      ssh_user: {{user}}
      root: {ROOT}
      label_prefix: {PREFIX}
      agent_port: 18791
      interpreter: standalone  # a Python of this account may not run as root: adopt refuses it
      python_version: "{{version}}"
      platform: this-machine
      readings: macos
  vars:
    fleet_key: file:secrets/fleet.key
"""
PLAYBOOK = """\
- name: agent only
  hosts: all
  tasks:
    - name: fleet's own packages
      python_env: {name: node, lock: node.lock}
    - name: agent
      daemon: {service: agent, env: node}
  health:
    - launchd: {daemon: agent, stable_for: 3s}
    - http: {daemon: agent, path: /healthz}
"""


def sudo(*argv: str) -> int:
    return subprocess.run(["/usr/bin/sudo", "-n", *argv], capture_output=True, check=False).returncode


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, has_sudo):
    """The command line on a project whose only node is this Mac."""
    where = os.environ.get("FLEET_MAC_SSH", "")
    user, at, host = where.partition("@")
    if not (user and at and host):
        pytest.skip("set FLEET_MAC_SSH=user@localhost: an account with Remote Login and a key that works")
    if not has_sudo:
        pytest.skip("adopt and uninstall need sudo without a password")
    if Path(ROOT).exists():
        pytest.fail(f"{ROOT} is there already: left by an earlier run? fleet never touches what it did not make")
    project = tmp_path_factory.mktemp("project")

    def run(*words: str, ok: bool = True) -> str:
        argv = [sys.executable, "-m", "fleet", *words]
        ran = subprocess.run(argv, cwd=project, capture_output=True, text=True, timeout=300, check=False)
        assert not ok or ran.returncode == 0, f"{' '.join(words)}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    run("init", str(project))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    inventory = INVENTORY.format(host=host, user=user, version=version)
    (project / "inventory" / "fleet.yml").write_text(inventory)
    (project / "playbooks").mkdir(exist_ok=True)
    (project / "playbooks" / "site.yml").write_text(PLAYBOOK)
    yield run
    run("uninstall", "mac-1", "--yes", ok=False)
    for job in ("agent", "apply"):
        sudo("/bin/launchctl", "bootout", f"system/{PREFIX}.{job}")
        sudo("/bin/rm", "-f", f"/Library/LaunchDaemons/{PREFIX}.{job}.plist")
    sudo("/bin/rm", "-rf", ROOT)


def fingerprint(host: str) -> str:
    """The SHA-256 fingerprint of this Mac's ed25519 host key."""
    scanned = subprocess.run(
        ["/usr/bin/ssh-keyscan", "-t", "ed25519", host], capture_output=True, text=True, timeout=30, check=True
    )
    shown = subprocess.run(
        ["/usr/bin/ssh-keygen", "-lf", "-"], input=scanned.stdout, capture_output=True, text=True, check=True
    )
    return shown.stdout.split()[1]


def test_a_node_lives_and_goes_without_a_trace(fleet):
    host = os.environ["FLEET_MAC_SSH"].partition("@")[2]
    fleet("adopt", "mac-1", "--accept", fingerprint(host))
    fleet("deploy", "--yes")
    (row,) = json.loads(fleet("status", "--json"))["rows"]
    assert (row["freshness"], row["health"], row["services_up"]) == ("live", "ok", 1)
    assert row["pressure_level"] in {1, 2, 4}
    assert row["chip"]
    fleet("plan", "--exit-code")  # 5 if there were changes: a second deploy has nothing to do
    fleet("uninstall", "mac-1", "--yes")
    assert not Path(ROOT).exists()
    left = [path.name for path in Path("/Library/LaunchDaemons").iterdir() if path.name.startswith(PREFIX)]
    assert left == []
    assert sudo("/bin/launchctl", "print", f"system/{PREFIX}.agent") != 0
