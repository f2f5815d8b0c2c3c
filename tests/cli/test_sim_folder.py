"""Which simulation `fleet sim` means when nobody names its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cli.main import main
from fleet.sim.supervisor import PLAN


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says on stderr."""
    with pytest.raises(SystemExit):
        main(list(words))
    return capsys.readouterr().err


@pytest.mark.parametrize("inside", [".", "inventory"])
def test_inside_a_simulation_it_is_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], inside: str
) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / PLAN).write_text("{}")
    monkeypatch.chdir(tmp_path / inside)
    assert str(tmp_path / ".fleet") not in told(capsys, "sim", "fault", "mac-1", "down")


def test_elsewhere_it_is_the_one_that_would_be_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = told(capsys, "sim", "fault", "mac-1", "down")
    assert f"no simulation in {tmp_path}/.fleet/sim" in said
    assert "hint: fleet sim up" in said


def test_down_says_so_when_there_was_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(capsys, "sim", "down") == "there is no simulation in .fleet/sim\n"
