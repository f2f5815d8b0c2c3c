"""A log that a process keeps open stays within its bound, and its lines are all there but for the documented ones."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from fleet.node.agent import logs as logs_module
from fleet.node.agent.logs import Logs
from tests.node.agent.conftest import RunningAgent

LIMIT = 1000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.chat.log"


@pytest.fixture
def writer(log: Path) -> Iterator[IO[bytes]]:
    """Opened once and for append, as launchd opens it for a job."""
    with log.open("ab", buffering=0) as file:
        yield file


def lines(number: Iterator[int], size: int) -> bytes:
    text = b""
    while len(text) < size:
        text += b"line %07d\n" % next(number)
    return text


def whole(log: Path, files: int) -> bytes:
    """All that is kept, the oldest first."""
    parts = [log.with_name(f"{log.name}.{number}") for number in range(files, 0, -1)] + [log]
    return b"".join(part.read_bytes() for part in parts if part.exists())


def test_below_the_limit_nothing_happens(log: Path, writer: IO[bytes]) -> None:
    writer.write(b"x" * (LIMIT - 1))
    assert Logs([str(log)], limit_bytes=LIMIT, files=2).bound() == 0
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_the_writer_goes_on_in_the_same_file_and_no_line_is_lost(log: Path, writer: IO[bytes]) -> None:
    keeper, number = Logs([str(log)], limit_bytes=LIMIT, files=9), itertools.count()
    inode = log.stat().st_ino
    for _ in range(8):
        writer.write(lines(number, 1200))
        assert keeper.bound() == 1
        assert log.stat().st_size == 0
    assert log.stat().st_ino == inode
    assert whole(log, 9) == b"".join(b"line %07d\n" % one for one in range(next(number)))


def test_only_so_many_old_ones_are_kept_and_a_smaller_number_takes_effect(log: Path, writer: IO[bytes]) -> None:
    number = itertools.count()
    for files in (5, 5, 5, 5, 5, 5, 5, 2):
        writer.write(lines(number, LIMIT))
        Logs([str(log)], limit_bytes=LIMIT, files=files).bound()
    assert {path.name for path in log.parent.iterdir()} == {log.name, f"{log.name}.1", f"{log.name}.2"}
    writer.write(b"the newest\n" * 200)
    Logs([str(log)], limit_bytes=LIMIT, files=2).bound()
    assert b"the newest" in log.with_name(f"{log.name}.1").read_bytes()


def test_of_a_log_that_grew_out_of_hand_only_the_end_is_copied(log: Path, writer: IO[bytes]) -> None:
    text = lines(itertools.count(), 50 * LIMIT)
    writer.write(text)
    Logs([str(log)], limit_bytes=LIMIT, files=2).bound()
    assert whole(log, 2) == text[-2 * LIMIT :]


def test_what_is_written_during_the_copy_is_copied_too(
    log: Path, writer: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    number, real, late = itertools.count(), logs_module._pour, [3]

    def pour(source: int, target: int, at: int) -> int:
        end = real(source, target, at)
        if late[0]:
            late[0] -= 1
            writer.write(lines(number, 100))
        return end

    monkeypatch.setattr(logs_module, "_pour", pour)
    writer.write(lines(number, LIMIT))
    Logs([str(log)], limit_bytes=LIMIT, files=2).bound()
    kept = whole(log, 2)
    assert kept == b"".join(b"line %07d\n" % one for one in range(next(number)))


@pytest.mark.parametrize("call", ["replace", "ftruncate", "open"])
def test_killed_in_the_middle_it_loses_nothing_and_the_next_round_ends_it(
    log: Path, writer: IO[bytes], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    number = itertools.count()
    keeper = Logs([str(log)], limit_bytes=LIMIT, files=9)
    for _ in range(2):
        writer.write(lines(number, LIMIT))
        keeper.bound()
    writer.write(lines(number, LIMIT))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(os, call, killed)
        with pytest.raises(KeyboardInterrupt):
            keeper.bound()
    keeper.bound()
    kept = whole(log, 9).splitlines()
    assert list(dict.fromkeys(kept)) == [b"line %07d" % one for one in range(next(number))]
    assert not log.with_name(f"{log.name}.new").exists()


def test_on_a_full_disk_the_log_is_given_up_rather_than_the_disk(
    log: Path, writer: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write(b"x" * LIMIT)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        assert Logs([str(log)], limit_bytes=LIMIT, files=2).bound() == 1
    assert log.stat().st_size == 0
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_one_that_cannot_be_bounded_is_told_and_the_others_are_bounded(
    log: Path, writer: IO[bytes], tmp_path: Path
) -> None:
    writer.write(b"x" * LIMIT)
    linked, twice = tmp_path / "link.log", tmp_path / "twice.log"
    linked.symlink_to(tmp_path / "somewhere")
    (tmp_path / "somewhere").write_bytes(b"x" * LIMIT)
    twice.write_bytes(b"x" * LIMIT)
    os.link(twice, tmp_path / "another name")
    keeper = Logs([str(twice), str(tmp_path / "missing"), str(log)], limit_bytes=LIMIT, files=2)
    with pytest.raises(OSError, match=r"twice\.log: not a plain file with one name"):
        keeper.bound()
    assert twice.stat().st_size == LIMIT
    assert log.stat().st_size == 0
    with pytest.raises(OSError, match=r"link\.log"):
        Logs([str(linked)], limit_bytes=1, files=2).bound()
    assert (tmp_path / "somewhere").stat().st_size == LIMIT


def test_a_running_agent_bounds_the_logs_of_its_configuration(
    log: Path, writer: IO[bytes], start: Callable[..., RunningAgent]
) -> None:
    writer.write(b"x" * LIMIT)
    agent = start(logs=(str(log), str(log.parent)), log_limit_bytes=LIMIT, log_files=2)
    deadline = time.monotonic() + 60
    told: dict[str, object] | None = None
    while (told is None or log.stat().st_size) and time.monotonic() < deadline:
        told = next((one for one in agent.snapshot()["collectors"] if one["name"] == "logs"), None)
    assert (log.stat().st_size, log.with_name(f"{log.name}.1").stat().st_size) == (0, LIMIT)
    assert told is not None
    assert told["ok"] is False, "a folder is no log: it is told, and keeps nobody from bounding the others"


_CHATTY = "import sys\nfor n in range(200_000): sys.stderr.write('line %07d\\n' % n)\n"


def test_a_process_that_never_stops_writing_stays_within_the_bound(log: Path) -> None:
    """A real process, unbuffered, as fast as it can. Lines may be missing at a seam only, and never garbled."""
    limit, files = 200_000, 3
    keeper, most = Logs([str(log)], limit_bytes=limit, files=files), 0
    with log.open("ab") as file, subprocess.Popen([sys.executable, "-c", _CHATTY], stderr=file) as process:
        while process.poll() is None:
            keeper.bound()
            kept = [path for path in log.parent.iterdir() if path != log]
            most = max(most, sum(path.stat().st_size for path in kept))
    assert most <= files * 2 * limit
    assert most > limit
    parts = [log.with_name(f"{log.name}.{number}") for number in range(files, 0, -1)] + [log]
    for text in (part.read_bytes() for part in parts):
        assert b"\0" not in text  # else the writer had gone on at its old place, behind a hole
        numbers = [int(line[5:]) for line in text.splitlines()[1:-1]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
