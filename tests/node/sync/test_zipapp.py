"""Sync runs from its zipapp with nothing but the standard library."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sync_kit import Node

from fleet.control.supply.nodepart import foreign_imports, sync_files, sync_zipapp
from fleet.vocabulary.contracts.codec import canonical, decode
from fleet.vocabulary.contracts.sync import MAGIC, Failed, Hello


@pytest.fixture
def zipapp(tmp_path: Path) -> Path:
    node = Node(tmp_path)
    layout = node.layout
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    names = ("launchctl", "sysctl", "sw_vers", "fdesetup", "pmset", "plutil", "lsof")
    layout.commands.update(dict.fromkeys(names, str(tool)))
    Path(layout.state("layout.json")).write_bytes(canonical(layout))
    digest, content = sync_zipapp()
    path = Path(layout.sync(digest))
    path.write_bytes(content)
    return path


def run(zipapp: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(zipapp), *words], input=b"", capture_output=True, env={}, check=False
    )


def test_it_greets_from_an_isolated_interpreter(zipapp: Path) -> None:
    answer = run(zipapp, "session", "-", "r1")
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.startswith(MAGIC)
    size, body, _ = answer.stdout[len(MAGIC) :].split(b"\n")
    hello = decode(body, Hello)
    assert int(size) == len(body)
    assert hello.sync == zipapp.stem
    assert hello.facts is not None
    assert hello.facts.python_version == ".".join(map(str, sys.version_info[:3]))
    assert hello.facts.os_version is None


def test_apply_without_a_run_is_quiet(zipapp: Path) -> None:
    answer = run(zipapp, "apply")
    assert (answer.returncode, answer.stdout) == (0, b"")
    assert b"nothing to do" in answer.stderr


def test_a_confirmation_by_hand_is_answered_in_words(zipapp: Path) -> None:
    answer = run(zipapp, "confirm", "r1")
    assert (answer.returncode, answer.stdout) == (1, b"")
    assert answer.stderr == b"fleet: run r1 cannot be confirmed: it does not wait for a confirmation\n"


def test_a_node_that_was_not_adopted_says_so(zipapp: Path) -> None:
    (zipapp.parent.parent / "state" / "layout.json").unlink()
    answer = run(zipapp, "session", "-", "r1")
    failed = decode(answer.stdout.split(b"\n")[2], Failed)
    assert (failed.code, failed.hint) == ("not_adopted", "run fleet adopt again")


def test_a_layout_of_another_root_is_refused(zipapp: Path) -> None:
    path = zipapp.parent.parent / "state" / "layout.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "root": "/opt/other"}))
    assert decode(run(zipapp, "apply").stdout.split(b"\n")[2], Failed).code == "layout"


@pytest.mark.parametrize(
    "words", [(), ("session",), ("session", "x", "r"), ("session", "-", "../r"), ("attach", "r", "x")]
)
def test_other_words_end_with_64(zipapp: Path, words: tuple[str, ...]) -> None:
    assert run(zipapp, *words).returncode == 64


def test_it_holds_what_it_imports_and_nothing_else() -> None:
    files = sync_files()
    assert foreign_imports(files) == []
    assert not any("helper" in name for name in files)


def imported(tree: ast.AST) -> set[str]:
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return named | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_uninstall_loads_first_what_others_load_late_since_it_removes_zipapp_and_interpreter() -> None:
    late = {
        (name.rpartition("/")[2], module)
        for name, text in sync_files().items()
        if not name.endswith("/start.py")  # it is the start
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef)
        for module in imported(function)
    }
    ours = {name for name, module in late if module.startswith("fleet.")}
    assert ours <= {
        "apply.py",
        "main.py",
        "session.py",
        "stage.py",
    }  # uninstall begins in the first, and has no part in the others
    loaded = imported(ast.parse(sync_files()["fleet/node/sync/uninstall.py"]))
    assert {module for _, module in late if not module.startswith("fleet.")} <= loaded


def test_a_start_loads_nothing_that_an_ordinary_deploy_does_without(zipapp: Path) -> None:
    """Every node pays for it, with every deploy."""
    run(zipapp, "nothing")  # the first one compiles
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", str(zipapp), "session", "-", "r1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    dear = {"inspect", "ssl", "socket", "http.client", "urllib.request", "tarfile", "plistlib", "shutil", "pathlib"}
    assert "fleet.node.sync.session" in loaded
    assert not loaded & (dear | {"asyncio", "email", "lzma", "tempfile", "traceback"})
