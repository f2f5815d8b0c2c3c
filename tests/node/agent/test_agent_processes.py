"""Processes: one handle each while they live, and what cannot be seen is unknown."""

import os
import subprocess
import sys

import psutil
import pytest

from fleet.node.agent.processes import LinuxProcesses, Processes, ProcessReading

NOBODY = 2**22 + 1


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def sources():
    return [Processes(), LinuxProcesses()] if sys.platform == "linux" else [Processes()]


@pytest.mark.parametrize("processes", sources())
def test_a_process_has_a_start_and_a_size(child, processes):
    reading = processes.read(child.pid)
    assert reading.started_at_seconds == psutil.Process(child.pid).create_time()
    assert reading.resident_bytes > 0


@pytest.mark.parametrize("processes", sources())
def test_an_ended_process_that_nobody_waited_for_has_no_size(child, processes):
    processes.read(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    reading = processes.read(child.pid)
    assert reading is None or reading.resident_bytes is None


@pytest.mark.parametrize("processes", sources())
def test_no_process_of_that_id_is_none(processes):
    assert processes.read(NOBODY) is None


def test_a_process_whose_name_is_a_riddle_is_read_all_the_same(tmp_path):
    """comm may hold anything, and 32-bit counters of a kernel may be absent."""
    folder = tmp_path / "7"
    folder.mkdir()
    words = " ".join(["S", *["0"] * 18, "250", "0"])
    (folder / "stat").write_text(f"7 (a) b (c) {words}")
    (folder / "statm").write_text("100 20 3\n")
    (tmp_path / "stat").write_text("cpu  1 2 3 4\nbtime 1000\n")
    reading = LinuxProcesses(tmp_path).read(7)
    assert reading.started_at_seconds == 1000 + 250 / os.sysconf("SC_CLK_TCK")
    assert reading.resident_bytes == 20 * os.sysconf("SC_PAGE_SIZE")
    (folder / "stat").write_text("7 (cut")
    assert LinuxProcesses(tmp_path).read(7).started_at_seconds is None


def test_there_is_one_handle_while_the_process_lives(child):
    processes = Processes()
    processes.read(child.pid)
    handle = processes._kept[child.pid]
    processes.read(child.pid)
    assert processes._kept == {child.pid: handle}
    assert processes._kept[child.pid] is handle


def test_a_process_that_ended_is_forgotten(child):
    processes = Processes()
    processes.read(child.pid)
    child.kill()
    child.wait()
    assert processes.read(child.pid) is None
    assert processes._kept == {}


def test_a_pid_that_came_back_is_another_process(child):
    processes = Processes()
    former = psutil.Process(child.pid)
    former._ident = (child.pid, 1.0)
    former._create_time = 1.0
    processes._kept[child.pid] = former
    assert processes.read(child.pid).started_at_seconds > 1.0


class Theirs(psutil.Process):
    """A process of another user, as macOS shows it: its start, and nothing of its memory."""

    def memory_info(self):
        raise psutil.AccessDenied(self.pid)


def test_what_is_another_users_is_unknown_and_the_rest_is_read(child):
    processes = Processes()
    processes._kept[child.pid] = theirs = Theirs(child.pid)
    assert processes.read(child.pid) == ProcessReading(started_at_seconds=theirs.create_time(), resident_bytes=None)


def test_only_the_wanted_are_kept(child):
    processes = Processes()
    processes.read(child.pid)
    processes.read(os.getpid())
    processes.keep({os.getpid()})
    assert set(processes._kept) == {os.getpid()}
