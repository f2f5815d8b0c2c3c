"""Respawn, throttle, kickstart, kill, process groups and what a job sees (FACTS sections 1.3, 1.4, 1.8)."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.sim.launchd.ending import Ending, grown_throttle_seconds, wants_restart
from fleet.sim.launchd.spec import KeepAlive
from tests.sim.conftest import FAST, LABEL, TARGET, Lab, alive, eventually, real

OK, FAILED = Ending(code=0), Ending(code=1)
TERMINATED, KILLED, CRASHED = Ending(signal="SIGTERM"), Ending(signal="SIGKILL"), Ending(signal="SIGSEGV")


@pytest.mark.parametrize(
    ("keep_alive", "again"),
    [
        (KeepAlive(), set()),
        (KeepAlive(always=True), {OK, FAILED, TERMINATED, KILLED, CRASHED}),
        (KeepAlive(successful_exit=False), {FAILED, TERMINATED, KILLED, CRASHED}),
        (KeepAlive(successful_exit=True), {OK}),
        (KeepAlive(crashed=True), {CRASHED}),
        (KeepAlive(crashed=True, successful_exit=False), {FAILED, TERMINATED, KILLED, CRASHED}),
    ],
)
def test_the_keys_of_keepalive_are_ored(keep_alive: KeepAlive, again: set[Ending]) -> None:
    ends = (OK, FAILED, TERMINATED, KILLED, CRASHED)
    assert {end for end in ends if wants_restart(keep_alive, end)} == again


def test_the_throttle_doubles_after_the_grace_and_stops_at_twenty_minutes() -> None:
    assert [grown_throttle_seconds(10, crashes) for crashes in (0, 10, 11, 13, 99)] == [10, 10, 20, 80, 1200]


async def test_a_killed_job_comes_back_when_it_lived_longer_than_the_throttle(lab: Lab) -> None:
    await lab.load(KeepAlive=True, ThrottleInterval=1)
    pid = await lab.pid()
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    found = await lab.until(lambda job: job.pid not in (None, pid))
    assert (found.runs, found.last_exit, found.state) == (2, "Killed: 9", "running")


async def test_the_throttle_counts_from_the_launch_and_a_kickstart_does_not_shorten_it(lab: Lab) -> None:
    await lab.load("exit 3", KeepAlive=True, ThrottleInterval=60)
    found = await lab.until(lambda job: job.state == "spawn scheduled")
    assert (found.pid, found.last_exit, found.runs) == (None, "3", 1)
    assert await lab.code("kickstart", TARGET) == 0
    assert (await lab.printed()).runs == 1
    assert "Service only ran for 0 seconds. Pushing respawn out by 3 seconds." in lab.log.path.read_text()


async def test_a_crash_loop_goes_on(lab: Lab) -> None:
    await lab.load("exit 3", KeepAlive=True, ThrottleInterval=1)
    await lab.until(lambda job: (job.runs or 0) >= 3 and bool(job.successive_crashes))


async def test_a_job_without_keepalive_ends_and_a_kickstart_starts_it_again(lab: Lab) -> None:
    await lab.load("exit 0", ThrottleInterval=1)
    assert (await lab.printed()).last_exit == "(never exited)"
    assert await lab.code("kickstart", TARGET) == 0
    await lab.until(lambda job: job.last_exit == "0" and job.state == "not running")
    assert await lab.code("kickstart", TARGET) == 0
    await lab.until(lambda job: job.runs == 2)


async def test_a_plain_kickstart_does_nothing_to_a_running_job_and_p_prints_the_pid(lab: Lab) -> None:
    await lab.load(RunAtLoad=True)
    pid = await lab.pid()
    assert await lab.run("kickstart", "-p", TARGET) == (0, f"{pid}\n", "")
    assert await lab.run("kickstart", "-p", TARGET, tty=True) == (0, f"service spawned with pid: {pid}\n", "")
    assert (await lab.printed()).runs == 1


@pytest.mark.parametrize(("first", "last"), [("SIGTERM", "Terminated: 15"), ("SIGKILL", "Killed: 9")])
async def test_kickstart_k_has_both_disputed_signals(lab: Lab, first: str, last: str) -> None:
    await lab.launchd.change(replace(FAST, kickstart_signal=first))
    await lab.load(RunAtLoad=True)
    pid = await lab.pid()
    code, out, _ = await lab.run("kickstart", "-k", "-p", TARGET)
    found = await lab.printed()
    assert (code, out, found.last_exit, found.runs) == (0, f"{found.pid}\n", last, 2)
    assert found.pid != pid


async def test_kill_signals_the_process_and_says_when_there_is_none(lab: Lab) -> None:
    await lab.load("trap 'exit 9' USR1; while :; do sleep 0.02; done", RunAtLoad=True)
    await asyncio.sleep(0.2)
    assert await lab.code("kill", "SIGUSR1", TARGET) == 0
    assert (await lab.until(lambda job: job.pid is None)).last_exit == "9"
    assert await lab.run("kill", "TERM", TARGET) == (3, "", "No process to signal.\n")
    assert await lab.code("kill", "15", TARGET, root=False) == 1


@pytest.mark.parametrize("why", ["auto", "inefficient", "semaphore"])
async def test_a_pended_spawn_waits_for_a_plain_kickstart(lab: Lab, why: str) -> None:
    await lab.launchd.change(replace(FAST, pended=why))
    await lab.load(KeepAlive=True)
    found = await lab.printed()
    assert (found.state, found.runs, found.pid) == ("not running", 0, None)
    assert found.pended == ("speculative" if why == "auto" else why)
    await lab.launchd.change(FAST)
    assert (await lab.printed()).pid is None
    assert await lab.code("kickstart", TARGET) == 0
    found = await lab.printed()
    assert (found.state, found.pended, found.immediate_reason) == ("running", None, "non-ipc demand")


async def test_a_held_service_is_down_until_it_is_released(lab: Lab) -> None:
    await lab.load(label="org.example.sidecar.chat", KeepAlive=True, ThrottleInterval=1)
    target = "system/org.example.sidecar.chat"
    pid = (await lab.printed(target)).pid
    assert pid
    await lab.launchd.change(replace(FAST, held=frozenset({"sidecar"})))
    await eventually(lambda: _stopped(lab, target))
    await lab.code("kickstart", target)
    assert (await lab.printed(target)).pid is None
    assert (await lab.printed(target)).state == "spawn scheduled"
    await lab.launchd.change(FAST)
    await eventually(lambda: _runs(lab, target))


async def test_the_main_process_takes_its_group_along_unless_it_is_abandoned(lab: Lab) -> None:
    for abandon in (False, True):
        child_file = lab.folder / f"child-{abandon}"
        label = f"org.example.group-{abandon}".lower()
        script = f"sleep 600 & echo $! >{child_file}.part; mv {child_file}.part {child_file}; exec sleep 600"
        await lab.load(script, label, RunAtLoad=True, AbandonProcessGroup=abandon)
        await eventually(child_file.exists)
        child = int(child_file.read_text())
        assert await lab.code("kill", "SIGKILL", f"system/{label}") == 0
        await eventually(lambda target=f"system/{label}": _stopped(lab, target))
        if abandon:
            assert alive(child)
            os.kill(child, signal.SIGKILL)
        else:
            await eventually(lambda pid=child: not alive(pid))


async def test_start_interval_ticks_until_bootout(lab: Lab) -> None:
    await lab.load("exit 0", StartInterval=1, ThrottleInterval=1)
    await lab.until(lambda job: (job.runs or 0) >= 2)
    assert await lab.run("blame", TARGET) == (0, "interval\n", "")
    assert "\trun interval = 1 seconds\n" in (await lab.run("print", TARGET))[1]


async def test_a_job_sees_a_bare_environment_its_umask_folder_and_open_files(lab: Lab) -> None:
    out = lab.folder / "out"
    await lab.load(
        f"env; pwd; umask; ulimit -Sn; touch {lab.folder}/made; echo end",
        RunAtLoad=True,
        StandardOutPath=str(out),
        EnvironmentVariables={"WORD": "two words", "NUMBER": 3},
        WorkingDirectory=str(lab.folder),
        Umask=0o077,
        SoftResourceLimits={"NumberOfFiles": 300},
    )
    await eventually(lambda: out.exists() and out.read_text().endswith("end\n"))
    lines = out.read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert seen["PATH"].endswith("/usr/bin:/bin:/usr/sbin:/sbin")
    assert (seen["WORD"], seen["XPC_SERVICE_NAME"]) == ("two words", LABEL)
    assert not seen.keys() & {"HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "NUMBER"}
    assert lines[-4:] == [real(lab.folder), "0077", "300", "end"]
    assert (lab.folder / "made").stat().st_mode & 0o777 == 0o600


async def test_the_default_limit_is_256_open_files_and_the_default_folder_is_the_root(lab: Lab) -> None:
    out = lab.folder / "out"
    await lab.load("ulimit -Sn; pwd; echo end", RunAtLoad=True, StandardOutPath=str(out))
    await eventually(lambda: out.exists() and out.read_text().endswith("end\n"))
    assert out.read_text() == "256\n/\nend\n"


async def test_a_replaced_program_is_killed_until_it_is_bootstrapped_again(lab: Lab) -> None:
    program = lab.folder / "program"
    shutil.copy2(real("/bin/sleep"), program)
    keys = {"ProgramArguments": [str(program), "600"], "KeepAlive": True, "ThrottleInterval": 1}
    if sys.platform == "darwin":
        pytest.skip("Apple's own programs cannot be copied and run")
    await lab.load(**keys)
    _replace(program, real("/bin/cat"))
    await lab.code("kickstart", "-k", TARGET)
    assert (await lab.until(lambda job: job.runs == 2)).last_exit == "OS_REASON_CODESIGNING"


async def test_a_shut_down_ends_every_process_and_empties_the_table(lab: Lab) -> None:
    await lab.load(KeepAlive=True)
    await lab.load("trap '' TERM; while :; do sleep 0.05; done", "org.example.stubborn", KeepAlive=True)
    await asyncio.sleep(0.1)
    pids = [view.pid for view in lab.launchd.views() if view.pid]
    await lab.launchd.shut_down()
    assert lab.launchd.views() == []
    await eventually(lambda: not any(alive(pid) for pid in pids))


async def _runs(lab: Lab, target: str) -> bool:
    return (await lab.printed(target)).pid is not None


async def _stopped(lab: Lab, target: str) -> bool:
    return (await lab.printed(target)).pid is None


def _replace(program: Path, source: str) -> None:
    other = program.with_name("new")
    shutil.copy2(source, other)
    other.replace(program)
