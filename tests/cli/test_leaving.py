"""How the command ends when the ground goes away under it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_current_folder_that_is_gone_is_one_message(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"rmdir '{gone}'; exec '{sys.executable}' -m fleet status"
    answer = subprocess.run(["/bin/sh", "-c", script], cwd=gone, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr == "the current folder is gone\n  hint: cd to one that is there\n"


def test_a_simulation_takes_the_current_folder_away_without_a_traceback(tmp_path: Path) -> None:
    from fleet.sim.plan import SimPlan, write_plan
    from fleet.sim.supervisor import PLAN

    folder = tmp_path / "demo"
    folder.mkdir()
    plan = SimPlan(id="f" * 32, token="t", nodes=(), models=(), throttle_scale=1.0, exit_scale=1.0)
    write_plan(folder / PLAN, plan)
    words = [sys.executable, "-m", "fleet", "sim", "down", "--purge", "--dir", "."]
    answer = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.stderr == "the simulation is gone\n"
    assert answer.returncode == 0
    assert not folder.exists()


def test_a_terminal_that_cannot_show_a_sign_gets_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all: {hosts: {mini-1: }}\n")
    answer = subprocess.run(
        [sys.executable, "-m", "fleet", "status"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in answer.stderr
    assert "mini-1  not adopted yet" in answer.stdout
