"""launchd does what the safe loop counts on, and its words are read right: on a scratch label, in each domain."""

import os
import plistlib
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.vocabulary.launchctl import NOT_LOADED, PrintedService, parse_print

LAUNCHCTL = "/bin/launchctl"


@dataclass
class Scratch:
    """A job of our own in one domain. `prefix` is sudo where the domain needs it."""

    domain: str
    label: str
    plist: Path
    prefix: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.domain}/{self.label}"

    def launchctl(self, *words: str) -> int:
        return self._run(LAUNCHCTL, *words).returncode

    def install(self, **keys: object) -> None:
        """Write the plist as launchd wants it: real file, right owner, 0644."""
        text = plistlib.dumps({"Label": self.label, "ProcessType": "Interactive", "ExitTimeOut": 5, **keys})
        if self.prefix:
            write = ["/usr/bin/tee", str(self.plist)]
            subprocess.run([*self.prefix, *write], input=text, stdout=subprocess.DEVNULL, check=True)
            self._run("/usr/sbin/chown", "root:wheel", str(self.plist))
            self._run("/bin/chmod", "0644", str(self.plist))
        else:
            self.plist.write_bytes(text)
            self.plist.chmod(0o644)

    def bootstrap(self) -> int:
        return self.launchctl("bootstrap", self.domain, str(self.plist))

    def print(self) -> tuple[int, PrintedService]:
        ran = self._run(LAUNCHCTL, "print", self.target)
        return ran.returncode, parse_print(ran.stdout)

    def until(self, condition, seconds: float = 30.0) -> PrintedService:
        deadline = time.monotonic() + seconds
        code, printed = self.print()
        while time.monotonic() < deadline:
            code, printed = self.print()
            if condition(code, printed):
                return printed
            time.sleep(0.25)
        raise AssertionError(f"never happened; exit {code}, {printed}")

    def remove(self) -> None:
        self.launchctl("bootout", self.target)
        deadline = time.monotonic() + 20
        while self.print()[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.25)
        self._run("/bin/rm", "-f", str(self.plist))

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.prefix, *argv], capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(params=["gui", "system"])
def scratch(request, tmp_path, has_sudo):
    """A scratch label that is gone afterwards, whatever happens."""
    label = f"org.fleet-macs.test.{uuid.uuid4().hex[:8]}"
    if request.param == "system":
        if not has_sudo:
            pytest.skip("the system domain needs sudo without a password")
        job = Scratch("system", label, Path(f"/Library/LaunchDaemons/{label}.plist"), ("/usr/bin/sudo", "-n"))
    else:
        domain = f"gui/{os.getuid()}"
        if subprocess.run([LAUNCHCTL, "print", domain], capture_output=True, check=False).returncode:
            pytest.skip("nobody is logged in at the desktop")
        job = Scratch(domain, label, tmp_path / f"{label}.plist", ())
    yield job
    job.remove()


SLEEP = ["/bin/sleep", "600"]


def test_a_job_goes_through_the_safe_loop(scratch):
    """Absent, bootstrap, pid, kill -9, a new pid, bootout, absent."""
    assert scratch.print()[0] == NOT_LOADED
    scratch.install(ProgramArguments=SLEEP, RunAtLoad=True, KeepAlive=True, ThrottleInterval=1)
    scratch.launchctl("enable", scratch.target)
    assert scratch.bootstrap() == 0
    first = scratch.until(lambda code, job: job.running)
    assert first.program == "/bin/sleep"
    assert first.arguments == tuple(SLEEP)
    assert first.runs == 1
    assert first.exit_timeout_seconds == 5
    assert scratch.launchctl("kill", "SIGKILL", scratch.target) == 0
    second = scratch.until(lambda code, job: job.running and job.pid != first.pid)
    assert second.runs >= 2
    assert second.exit_signal == 9 or second.last_exit
    assert scratch.launchctl("bootout", scratch.target) in {0, 36}
    scratch.until(lambda code, job: code == NOT_LOADED)


def test_a_missing_program_is_registered_and_never_runs(scratch):
    """bootstrap says 0, and only `print` tells: 78 (FACTS section 1.2)."""
    scratch.install(ProgramArguments=["/nonexistent/program"], RunAtLoad=True)
    assert scratch.bootstrap() == 0
    printed = scratch.until(lambda code, job: job.exit_code is not None)
    assert printed.exit_code == 78
    assert printed.pid is None


def test_a_second_bootstrap_of_one_label_is_refused(scratch):
    scratch.install(ProgramArguments=SLEEP, RunAtLoad=True)
    assert scratch.bootstrap() == 0
    assert scratch.bootstrap() in {5, 37}


def test_kickstart_of_a_running_job_changes_nothing(scratch):
    scratch.install(ProgramArguments=SLEEP, RunAtLoad=True, KeepAlive=True)
    assert scratch.bootstrap() == 0
    before = scratch.until(lambda code, job: job.running)
    assert scratch.launchctl("kickstart", scratch.target) == 0
    assert scratch.print()[1].pid == before.pid


def test_our_interpreter_runs_as_a_job_with_the_environment_of_the_plist(scratch, tmp_path):
    """What every daemon of fleet is: an absolute interpreter with -s, and nothing taken from a login."""
    out = Path(f"/tmp/{scratch.label}.out")
    code = "import os, sys; print(sys.executable, os.environ.get('PYTHONPATH'), os.getcwd(), flush=True)"
    scratch.install(
        ProgramArguments=[sys.executable, "-s", "-c", code],
        EnvironmentVariables={"PYTHONPATH": "/opt/fleet/envs/x", "PYTHONUNBUFFERED": "1"},
        StandardOutPath=str(out),
        RunAtLoad=True,
    )
    try:
        assert scratch.bootstrap() == 0
        scratch.until(lambda code, job: job.exit_code is not None)
        assert out.read_text().split() == [sys.executable, "/opt/fleet/envs/x", "/"]
    finally:
        scratch._run("/bin/rm", "-f", str(out))
