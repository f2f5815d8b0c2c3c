"""Rules of the house that a linter does not know."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (ROOT / "fleet").rglob("*.py") if "_data" not in path.parts)

_MUTABLE_CALLS = {
    "dict",
    "list",
    "set",
    "defaultdict",
    "deque",
    "Counter",
    "OrderedDict",
    "Lock",
    "Queue",
    "Event",
    "local",
    "WeakKeyDictionary",
}


def module_level_state(tree: ast.Module) -> list[str]:
    """Names at module level that somebody could change: lower-case containers, calls that make one, `global`."""
    found = [f"global {', '.join(node.names)}" for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        called = node.value.func if isinstance(node.value, ast.Call) else None
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        container = isinstance(node.value, ast.Dict | ast.List | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
        if name in _MUTABLE_CALLS or (
            container and not all(n.isupper() or n.strip("_").isupper() or n == "__all__" for n in names)
        ):
            found += names
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_holds_no_mutable_state(path: Path) -> None:
    assert module_level_state(ast.parse(path.read_text())) == []


def test_a_module_level_container_would_be_found() -> None:
    assert module_level_state(ast.parse("cache = {}\n_seen: set[str] = set()\nX = Lock()")) == ["cache", "_seen", "X"]
    assert module_level_state(ast.parse("def f():\n    global n\n    n = 1")) == ["global n"]


def test_constants_are_never_changed_by_the_code_that_names_them() -> None:
    """An upper-case container is a table: nobody appends to it, assigns into it or clears it."""
    changing = re.compile(
        r"\b_?[A-Z][A-Z0-9_]{2,}(?:\[[^]]*\]\s*=[^=]|\.(?:append|update|add|pop|clear|extend|setdefault|remove)\()"
    )
    offenders = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in MODULES
        for line in path.read_text().splitlines()
        if changing.search(line)
    ]
    assert offenders == []


def test_no_room_is_called_utils() -> None:
    assert [path for path in MODULES if path.stem in {"utils", "helpers", "common", "util", "misc"}] == []


def test_the_project_names_no_address_of_a_registry_and_no_path_of_a_builder() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    hosts = "|".join(
        [
            "pypi" + r"\.org",
            "files" + r"\.pythonhosted",
            "registry" + r"\.npmjs",
            "deb" + r"\.debian",
            "/work/" + "main",
            "/roo" + "t/",
        ]
    )
    offenders = []
    for name in tracked.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix not in {".png", ".svg"}:
            text = path.read_text(errors="replace")
            offenders += [f"{name}: {line[:120]}" for line in text.splitlines() if re.search(hosts, line)]
    assert offenders == []


def test_a_lock_holds_names_versions_and_hashes_only() -> None:
    locks = [*ROOT.glob("locks/*.lock"), *ROOT.glob("requirements/*.lock"), *ROOT.glob("bench/*/*.lock")]
    locks += [
        *ROOT.glob("locks/*/package-lock.json"),
        *ROOT.glob("bench/*/*/package-lock.json"),
        *ROOT.glob("tests/*/*/package-lock.json"),
    ]
    assert {"package-lock.json", "litellm.lock", "node.lock", "dev.lock"} <= {path.name for path in locks}
    assert [path.name for path in locks if "://" in path.read_text()] == []


def test_the_help_imports_neither_ssh_nor_yaml_nor_screens() -> None:
    call = "from fleet.cli.main import cli; cli.main(['--help'], standalone_mode=False)"
    code = f"import sys; {call}; print(*sorted(sys.modules), file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(answer.stderr.split())
    assert loaded.isdisjoint(
        {"paramiko", "fabric", "yaml", "jinja2", "msgspec", "rich", "textual", "huggingface_hub", "uv"}
    )


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports a test file by its name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
