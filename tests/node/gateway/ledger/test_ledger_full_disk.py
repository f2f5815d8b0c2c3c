"""A real disk without room: the ledger closes, says so, and opens by itself when there is room again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_rows import request, reservation, settlement

from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.writer import LedgerClosed
from fleet.vocabulary.contracts.ledger import Request, Reservation, Settlement


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("wants root on Linux for a disk of its own")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "ledger", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no disk of our own here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def fill(ledger: Ledger, promised: list[str]) -> None:
    """Reserve until it is refused."""
    while len(promised) < 5000:
        name = f"r{len(promised)}"
        await ledger.reserve(reservation(name))
        promised.append(f"{name}/1")


async def test_nothing_that_was_promised_is_lost_on_a_disk_that_fills_and_empties(small_disk: Path) -> None:
    told: list[str] = []
    filler = small_disk / "something-else"
    filler.write_bytes(b"x" * 150_000)
    ledger = Ledger(small_disk / "ledger.db", told=told.append, retry_seconds=0.02)
    await ledger.open()
    ledger.release()
    promised: list[str] = []
    with pytest.raises(LedgerClosed, match=r"full|I/O error"):
        await fill(ledger, promised)
    for name in promised:
        ledger.write(settlement(name.removesuffix("/1"), 1))
    ledger.write(request("meanwhile"))
    await asyncio.sleep(0.1)
    assert ledger.closed

    filler.unlink()
    async with asyncio.timeout(20):
        while ledger.closed:
            await asyncio.sleep(0.01)
    await ledger.close()

    again = Ledger(small_disk / "ledger.db", told=told.append)
    await again.open()
    rows = list(again.rows())
    await again.close()
    settled = {row.id for row in rows if isinstance(row, Settlement)}
    reserved = {row.id for row in rows if isinstance(row, Reservation)}
    assert set(promised) <= reserved
    assert reserved == settled
    assert [row.id for row in rows if isinstance(row, Request)] == ["meanwhile"]
    assert "the ledger is written again" in told
