"""What is allowed but looks wrong is a warning with a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.control.inventory import Project, load_inventory
from fleet.errors import InventoryError
from fleet.testing.inventories import inventory_of


def warned(text: str, *overrides: str) -> list[str]:
    return [finding.text for finding in inventory_of(text, *overrides).warnings]


TEMPLATE = """\
address: fleet does not evaluate {{ }} in an inventory, and takes the text as it is
  hint: write the value itself"""


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("gateway_prot: 1", "gateway_prot is none of fleet's variables\n  hint: did you mean `gateway_port`?"),
        ("ansible_ssh_host: x", "fleet does not read ansible_ssh_host\n  hint: write ansible_host"),
        ("mode: 0644", 'mode: YAML reads 0644 as the number 420\n  hint: write 420, or "0644" in quotes if it is text'),
        (
            "at: 22:30",
            'at: YAML reads 22:30 as the number 1350\n  hint: write 1350, or "22:30" in quotes if it is text',
        ),
        ('address: "{{ ip }}"', TEMPLATE),
    ],
)
def test_a_suspicious_variable_is_told_with_its_place(variable: str, told: str) -> None:
    place = f"fleet.yml:4:{7 + len(variable.partition(': ')[0]) + 2}"
    assert warned(f"all:\n  hosts:\n    mini-1:\n      {variable}\n") == [f"{place}: warning: {told}"]


def test_what_a_range_is_given_is_told_once() -> None:
    assert len(warned("all:\n  hosts:\n    mini-[1:9]: {gateway_prot: 1}\n")) == 1


@pytest.mark.parametrize(
    "variable",
    ["model: x", "tags: [a]", "ansible_become: true", "ansible_python_interpreter: x", "port: 0x10", "n: 10"],
)
def test_a_users_own_variable_is_no_warning(variable: str) -> None:
    assert warned(f"all: {{hosts: {{n: {{{variable}}}}}}}") == []


def test_a_misspelt_set_is_a_warning_too() -> None:
    assert warned("all: {hosts: {n: }}", "agent_prt=3") == [
        "--set agent_prt: warning: agent_prt is none of fleet's variables\n  hint: did you mean `agent_port`?"
    ]


def test_what_nothing_refers_to_is_told_to_lint() -> None:
    text = "all: {vars: {model: x, left: 1, tags: [a], ansible_become: true, root: /x}, hosts: {n: {left: 2}}}"
    assert [finding.text for finding in inventory_of(text).unused({"model"})] == [
        "fleet.yml:1:30: warning: nothing refers to the variable left\n  hint: fine if Ansible or a script uses it"
    ]


def test_two_names_for_one_door_are_a_warning() -> None:
    text = """
        all:
          vars: {address: mac.example}
          hosts:
            a: {gateway_port: 1, agent_port: 2, gateway_admin_port: 5}
            b: {gateway_port: 3, agent_port: 4, gateway_admin_port: 6}
    """
    assert warned(text) == [
        "fleet.yml:3:19: warning: b and a are both mac.example port 22\n  hint: is it one Mac under two names?"
    ]


NAT = """
    all:
      vars: {{address: nat.example, gateway_bind: {bind}}}
      hosts: {{a: {{ssh_port: 2201}}, b: {{ssh_port: 2202}}}}
"""


def test_macs_behind_forwarded_ports_may_use_the_same_ports_where_nobody_dials_them() -> None:
    assert all("fine behind forwarded ports" in text for text in warned(NAT.format(bind="127.0.0.1")))


def test_two_gateways_at_one_url_are_an_error() -> None:
    with pytest.raises(InventoryError, match=r"both nat\.example with gateway_port"):
        inventory_of(NAT.format(bind="0.0.0.0"))


def test_simulated_nodes_share_loopback_with_ports_of_their_own() -> None:
    text = """
        all:
          vars: {address: 127.0.0.1}
          hosts:
            a: {ssh_port: 2201, gateway_port: 9001, agent_port: 9101, gateway_admin_port: 9201}
            b: {ssh_port: 2202, gateway_port: 9002, agent_port: 9102, gateway_admin_port: 9202}
    """
    assert warned(text) == []


def test_folders_that_only_ansible_reads_are_told(tmp_path: Path) -> None:
    (tmp_path / "inventory" / "group_vars").mkdir(parents=True)
    path = tmp_path / "inventory" / "fleet.yml"
    path.write_text("all: {hosts: {n: }}")
    found = load_inventory(Project(tmp_path, path)).warnings
    assert [finding.message for finding in found] == ["fleet does not read group_vars/"]
