"""What a front needs for its report travels to it whole, and nothing else of the practice does."""

import ast
from pathlib import Path

from fleet.control.supply import nodepart

ROOT = Path(nodepart.package_dir())


def travelling() -> list[Path]:
    found: list[Path] = []
    for name in nodepart._PRACTICE:
        path = ROOT / name
        found.extend([path] if path.suffix == ".py" else sorted(path.rglob("*.py")))
    return found


def test_every_import_of_it_is_there() -> None:
    there = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in travelling()}
    there |= {name.removesuffix(".__init__") for name in there}
    wanted = {
        node.module
        for path in travelling()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fleet.")
    }
    assert wanted
    elsewhere = {name for name in wanted if name and name.startswith("fleet.practice") and name not in there}
    assert elsewhere == set()
    assert not [name for name in wanted if name and name.startswith(("fleet.control", "fleet.cli", "fleet.node"))]
