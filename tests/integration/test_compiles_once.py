"""The interpreter of the rooms gives a node the bytecode that its own would have made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.compileonce import compiling_once


def compiled(python: str, path: Path) -> dict[str, int]:
    """What `python` leaves of bytecode in PATH.new, as sync asks for it: name -> inode."""
    aside = Path(f"{path}.new")
    (aside / "pkg").mkdir(parents=True)
    (aside / "pkg" / "mod.py").write_text("ANSWER = 42\n")
    words = ("-q", "-s", str(aside), "-p", str(path), "--invalidation-mode", "unchecked-hash", str(aside))
    subprocess.run([python, "-I", "-S", "-m", "compileall", *words], check=True)
    return {str(found.relative_to(aside)): found.stat().st_ino for found in aside.rglob("*.pyc")}


def test_an_environment_is_compiled_once_and_its_bytecode_is_what_runs(tmp_path: Path) -> None:
    python = compiling_once(sys.executable, tmp_path / "cache")
    first = compiled(python, tmp_path / "mac-1" / "envs" / "abc")
    second = compiled(python, tmp_path / "mac-2" / "envs" / "abc")
    assert len(first) == 1
    assert first == second
    (tmp_path / "mac-2" / "envs" / "abc.new" / "pkg" / "mod.py").write_text("ANSWER = 'the source'\n")
    run = "import sys; sys.path.insert(0, sys.argv[1]); from pkg import mod; print(mod.ANSWER, mod.__file__)"
    said = subprocess.run(
        [python, "-I", "-S", "-c", run, str(tmp_path / "mac-2" / "envs" / "abc.new")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["42", str(tmp_path / "mac-2" / "envs" / "abc.new" / "pkg" / "mod.py")]


def test_what_is_no_environment_is_compiled_as_ever(tmp_path: Path) -> None:
    python = compiling_once(sys.executable, tmp_path / "cache")
    first = compiled(python, tmp_path / "mac-1" / "apps" / "abc")
    second = compiled(python, tmp_path / "mac-2" / "apps" / "abc")
    assert first.keys() == second.keys()
    assert first != second


def test_the_interpreter_stays_the_same_file_so_no_daemon_is_restarted_for_it(tmp_path: Path) -> None:
    python = compiling_once(sys.executable, tmp_path / "cache")
    before = Path(python).stat()
    assert compiling_once(sys.executable, tmp_path / "cache") == python
    assert (Path(python).stat().st_ino, Path(python).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
