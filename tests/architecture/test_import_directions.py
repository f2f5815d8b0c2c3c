"""The house of DESIGN section 3 stands: the contracts exist, hold, and bite."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over a tree, without a cache."""
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(root / "pyproject.toml"),
    ]
    return subprocess.run(
        command,
        cwd=root,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        check=False,
    )


def test_every_direction_of_the_design_is_kept() -> None:
    answer = lint_imports(ROOT)
    assert answer.returncode == 0, answer.stdout


def test_the_layers_are_those_of_the_design_in_its_order() -> None:
    (house,) = [contract for contract in CONTRACTS if contract["id"] == "house"]
    rooms = [layer.strip().replace("(", "").replace(")", "").replace("fleet.", "") for layer in house["layers"]]
    assert rooms == [
        "cli", "tui", "control.actions", "control.rollout", "control.watch", "control.supply",
        "control.desired | control.link", "control.playbook", "control.inventory", "practice",
        "clients | engines", "traffic", "vocabulary", "errors",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("importer", "imported", "contract"),
    [
        ("traffic", "fleet.engines", "house"),
        ("vocabulary", "fleet.control.inventory", "house"),
        ("control/link", "fleet.control.desired", "house"),
        ("control/desired", "fleet.control.supply", "house"),
        ("engines", "fleet.clients", "house"),
        ("node/agent", "fleet.control.link", "agent-island"),
        ("node/gateway", "fleet.node.agent", "gateway-island"),
        ("node/sync", "msgspec", "sync-stdlib"),
        ("control/actions", "fleet.sim", "sim-is-not-product"),
        ("control/watch", "paramiko", "ssh-in-link"),
        ("vocabulary", "yaml", "vocabulary-leaf"),
    ],
)
def test_an_import_against_the_direction_is_caught(tmp_path: Path, importer: str, imported: str, contract: str) -> None:
    """A skeleton of the house with one wrong import breaks exactly the contract that forbids it."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    rooms = [p.parent.relative_to(ROOT) for p in ROOT.glob("fleet/**/__init__.py") if "_data" not in p.parts]
    for room in [*rooms, Path("fleet/clients"), Path("fleet/practice")]:
        (tmp_path / room).mkdir(parents=True, exist_ok=True)
        (tmp_path / room / "__init__.py").write_text("")
    (tmp_path / "fleet" / "errors.py").write_text("")
    (tmp_path / "fleet" / importer / "wrong.py").write_text(f"import {imported}\n")
    answer = lint_imports(tmp_path)
    assert answer.returncode != 0
    names = {c["id"]: c["name"] for c in CONTRACTS}
    assert f"{names[contract]} BROKEN" in answer.stdout
