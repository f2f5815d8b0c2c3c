"""`fleet init` in a folder that is a git repository already."""

from __future__ import annotations

import subprocess
from pathlib import Path

from click.testing import CliRunner

from fleet.cli.init import init


def test_fresh_keys_are_not_committed_in_a_repository_with_an_ignore_file_of_its_own(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("*.log\n")
    done = CliRunner().invoke(init, [str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / ".gitignore").read_text() == "*.log\n"
    subprocess.run(["git", "-C", str(tmp_path), "add", "-A"], check=True)
    added = subprocess.run(["git", "-C", str(tmp_path), "ls-files"], capture_output=True, text=True, check=True).stdout
    assert "inventory/fleet.yml" in added
    assert "secrets/" not in added
