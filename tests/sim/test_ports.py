"""Ports of simulations that come up side by side."""

from __future__ import annotations

import socket
from itertools import islice
from pathlib import Path

import pytest

from fleet.sim.ports import FIRST, LAST, free_ports


def test_simulations_that_come_up_side_by_side_get_different_ports(tmp_path: Path) -> None:
    one, two = free_ports(tmp_path / "turn"), free_ports(tmp_path / "turn")
    given = [next(ports) for _ in range(50) for ports in (one, two)]
    assert len(set(given)) == 100
    assert all(FIRST <= port <= LAST for port in given)


def test_a_port_that_somebody_listens_on_is_passed_over(tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    with socket.create_server(("127.0.0.1", 0)):
        port = next(free_ports(turn))
    with socket.create_server(("127.0.0.1", port)):
        turn.write_text(f"{port}\n")
        assert next(free_ports(turn)) != port


@pytest.mark.parametrize("text", ["", "nonsense", "99999999\n", "80\n", "²"])
def test_whatever_is_in_the_file_a_port_comes(tmp_path: Path, text: str) -> None:
    turn = tmp_path / "turn"
    turn.write_text(text)
    assert FIRST <= next(free_ports(turn)) <= LAST


def test_after_the_last_comes_the_first(tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    turn.write_text(f"{LAST}\n")
    first, second = islice(free_ports(turn), 2)
    assert second <= first
