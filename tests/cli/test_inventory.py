"""`fleet inventory`: data on stdout, narration on stderr, and no traceback for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.cli.main import main
from fleet.control.actions.facts import FactsStore
from fleet.control.inventory import find_project
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName

TEXT = """\
all:
  vars: {ansible_user: fleet}
  children:
    front:
      hosts:
        gw-1: {address: 10.0.0.10, host_key: ssh-ed25519 AAAA}
    mlx:
      vars: {model: small}
      children:
        minis:
          hosts:
            mini-[1:2]:
        canary:
          hosts:
            mini-1: {tags: [early], memory_gb: 64, ssh_port: 2222}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLEET_INVENTORY", raising=False)
    return tmp_path


def fleet(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_list_is_plain_columns_where_there_is_no_terminal(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("inventory", "list") == 0
    assert capsys.readouterr().out == (
        "node    address            groups              adopted\n"
        "gw-1    fleet@10.0.0.10    front               yes\n"
        "mini-1  fleet@mini-1:2222  mlx, canary, minis  no\n"
        "mini-2  fleet@mini-2       mlx, minis          no\n"
    )


def test_list_as_json_has_every_variable_and_honours_on(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("--set", "gateway_port=9000", "inventory", "list", "--json", "--on", "@early") == 0
    (node,) = json.loads(capsys.readouterr().out)
    assert (node["name"], node["groups"], node["adopted"]) == ("mini-1", ["all", "mlx", "canary", "minis"], False)
    assert node["place"] == "inventory/fleet.yml:12:13"
    assert node["variables"]["gateway_port"] == 9000
    assert node["variables"]["model"] == "small"


def test_facts_that_this_laptop_remembers_count_for_selectors(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FactsStore(find_project(None, cwd=project))
    store.save(NodeName("mini-2"), Facts(memory_bytes=128 * 1024**3))
    assert fleet("inventory", "list", "--on", "mem_gb>=128") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["node", "mini-2"]


def test_list_for_ansible_is_its_dynamic_inventory(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("inventory", "list", "--format", "ansible") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["minis"]["hosts"] == ["mini-1", "mini-2"]
    assert listed["_meta"]["hostvars"]["mini-2"] == {"ansible_user": "fleet", "model": "small"}


def test_graph_is_a_tree(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("inventory", "graph") == 0
    assert capsys.readouterr().out == (
        "all\n"
        "├─ front:\n"
        "│  └─ gw-1\n"
        "└─ mlx:\n"
        "   ├─ minis:\n"
        "   │  ├─ mini-1\n"
        "   │  └─ mini-2\n"
        "   └─ canary:\n"
        "      └─ mini-1\n"
    )


def test_explain_shows_every_candidate_and_points_at_the_winner(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet("inventory", "explain", "mini-1", "ssh_port") == 0
    assert capsys.readouterr().out == (
        "   ssh_port  from            place\n"
        "   null      schema default\n"
        "→  2222      node mini-1     inventory/fleet.yml:15:62\n"
    )


def test_explain_as_json_has_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("inventory", "explain", "mini-1", "model", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "value": "small",
            "level": "group",
            "source": "group mlx (depth 1)",
            "place": "inventory/fleet.yml:8:21",
            "name": "model",
            "wins": True,
        }
    ]


def test_warnings_go_to_stderr(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("--set", "gateway_prot=1", "inventory", "list", "--json") == 0
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == 3
    assert shown.err.startswith("--set gateway_prot: warning: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["inventory", "explain", "mini-3", "model"], "did you mean `mini-2`?"),
        (["inventory", "explain", "mini-1", "modell"], "did you mean `model`?"),
        (["inventory", "list", "--on", "minnis"], "did you mean `minis`?"),
        (["inventory", "list", "--format", "ansible", "--on", "mlx"], "it takes neither --on nor --json"),
        (["-i", "absent.yml", "inventory", "list"], "no such inventory"),
        (["--set", "gateway_port=x", "inventory", "list"], "--set gateway_port"),
    ],
)
def test_what_does_not_fit_ends_with_usage_and_advice(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert fleet(*words) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_a_broken_inventory_ends_with_its_place(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "inventory" / "fleet.yml").write_text("all:\n  hosts:\n    mini-1: {a: [1\n  vars: {}\n")
    assert fleet("inventory", "list") == 2
    assert capsys.readouterr().err.startswith("inventory/fleet.yml:3:17: a [ that is not closed")
