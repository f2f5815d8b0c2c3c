"""Processes: one handle each while they live, and what cannot be seen is unknown."""

import os
import subprocess
import sys

import psutil
import pytest

from fleet.node.agent.processes import Processes, ProcessReading

NOBODY = 2**22 + 1


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_process_has_a_start_and_a_size(child):
    reading = Processes().read(child.pid)
    assert reading.started_at_seconds == psutil.Process(child.pid).create_time()
    assert reading.resident_bytes > 0


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


def test_an_ended_process_that_nobody_waited_for_has_no_size(child):
    processes = Processes()
    processes.read(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    reading = processes.read(child.pid)
    assert reading is None or reading.resident_bytes is None


def test_no_process_of_that_id_is_none():
    assert Processes().read(NOBODY) is None


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
