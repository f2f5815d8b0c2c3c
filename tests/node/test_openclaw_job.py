"""A job that OpenClaw installed by itself: found, refused with advice, put aside whole, and given back."""

from __future__ import annotations

import getpass
import os
import plistlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.node import openclawjob
from fleet.node.openclawjob import ASIDE, LABEL, Place, adopt, give_back, own_jobs

LAUNCHCTL = """\
#!/bin/sh
# A launchd that knows labels only: print, bootout and bootstrap, with macOS's exit codes.
echo "$@" >> {state}/typed
case $1 in
print) test -e "{state}/$(basename "$2")" || exit 113 ;;
bootout) rm "{state}/$(basename "$2")" 2>/dev/null || exit 3 ;;
bootstrap) touch "{state}/$(basename "$3" .plist)" ;;
esac
"""


@dataclass
class Mac:
    """A Mac with one user."""

    place: Place
    state: Path

    def install(self, label: str, *words: str, folder: Path | None = None, loaded: bool = True) -> Path:
        """A plist, and what launchd knows."""
        path = (folder or self.place.agents) / f"{label}.plist"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plistlib.dumps({"Label": label, "ProgramArguments": list(words)}))
        if loaded:
            (self.state / label).touch()
        return path

    def openclaw(self, label: str = LABEL, **how: bool) -> Path:
        """What OpenClaw's installer makes."""
        words = ("/bin/sh", "wrapper.sh", "x.env", "/usr/local/bin/node", "/lib/openclaw/dist/index.js", "gateway")
        return self.install(label, *words, "--port", "18789", **how)

    def loaded(self) -> set[str]:
        return {path.name for path in self.state.iterdir()} - {"typed"}


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    state = tmp_path / "launchd"
    state.mkdir()
    launchctl = tmp_path / "launchctl"
    launchctl.write_text(LAUNCHCTL.format(state=state))
    launchctl.chmod(0o755)
    daemons = tmp_path / "LaunchDaemons"
    own = "org.fleet-macs.openclaw"
    return Mac(Place(str(launchctl), getpass.getuser(), os.getuid(), tmp_path / "home", daemons, own), state)


def test_a_mac_without_openclaw_has_none(mac: Mac) -> None:
    mac.install("com.example.gateway", "/usr/local/bin/caddy", "gateway")
    mac.install("com.example.openclaw-menu", "/Applications/OpenClaw.app/openclaw")
    (mac.place.agents / "broken.plist").write_text("no plist")
    assert own_jobs(mac.place) == ()


def test_it_is_found_by_its_plist_whatever_its_label_and_by_launchd_alone(mac: Mac) -> None:
    mac.openclaw("ai.openclaw.work")
    mac.openclaw("com.example.my-claw", loaded=False)
    (mac.state / LABEL).touch()
    assert {job.label for job in own_jobs(mac.place)} == {"ai.openclaw.work", "com.example.my-claw", LABEL}


def test_fleets_own_service_is_none_of_it(mac: Mac) -> None:
    words = ("/opt/fleet/archives/x/bin/node", "/opt/fleet/archives/y/node_modules/openclaw/dist/index.js", "gateway")
    mac.install("org.fleet-macs.openclaw", *words, folder=mac.place.daemons)
    assert own_jobs(mac.place) == ()


def test_adopted_it_is_stopped_and_its_plist_lies_aside(mac: Mac) -> None:
    path = mac.openclaw()
    text = path.read_bytes()
    assert adopt(mac.place, own_jobs(mac.place)) == []
    assert mac.loaded() == set()
    assert own_jobs(mac.place) == ()
    assert Path(f"{path}{ASIDE}").read_bytes() == text


def test_adopting_goes_on_after_a_crash_in_its_middle_and_may_be_repeated(mac: Mac) -> None:
    path = mac.openclaw(loaded=False)  # stopped, and then the power went
    assert adopt(mac.place, own_jobs(mac.place)) == []
    assert adopt(mac.place, own_jobs(mac.place)) == []
    assert not path.exists()


def test_given_back_it_is_as_it_was(mac: Mac) -> None:
    path = mac.openclaw()
    before = path.read_bytes()
    adopt(mac.place, own_jobs(mac.place))
    for _ in range(2):
        give_back(mac.place)
        assert path.read_bytes() == before
        assert mac.loaded() == {LABEL}
        assert not Path(f"{path}{ASIDE}").exists()


def test_what_does_not_stop_keeps_its_plist(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mac.openclaw()
    launchctl = Path(mac.place.launchctl)
    launchctl.write_text(launchctl.read_text().replace("bootout) rm", "bootout) true rm"))
    monkeypatch.setattr(openclawjob, "_STOP_SECONDS", 0.5)
    (wrong,) = adopt(mac.place, own_jobs(mac.place), pause=lambda _: None)
    assert "did not stop" in wrong
    assert path.exists()


def call(mac: Mac, act: str, *, user: str = "") -> subprocess.CompletedProcess[str]:
    """As a deploy calls it: without site packages, by its path."""
    place = mac.place
    options = ("--launchctl", place.launchctl, "--user", user or place.user, "--home", str(place.home))
    words = (sys.executable, "-I", "-S", str(openclawjob.__file__), *options)
    words += ("--daemons", str(place.daemons), "--own", place.own, "--domain", place.domain, act)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_as_a_program_it_says_what_to_do_and_changes_nothing_when_it_refuses(mac: Mac) -> None:
    assert call(mac, "look").returncode == 0
    path = mac.openclaw()
    assert call(mac, "look").returncode == 1
    said = call(mac, "refuse")
    assert said.returncode == 1
    assert call(mac, "leave").returncode == 0
    assert f"gui/{os.getuid()}/{LABEL} ({path})" in said.stderr
    assert "openclaw gateway uninstall" in said.stderr
    assert "existing: adopt" in said.stderr
    assert path.exists()
    assert mac.loaded() == {LABEL}


def test_it_is_refused_only_while_fleets_own_is_not_there(mac: Mac) -> None:
    mac.openclaw()
    assert call(mac, "look-first").returncode == 1
    (mac.state / mac.place.own).touch()
    assert call(mac, "look-first").returncode == 0
    assert call(mac, "refuse").returncode == 0
    assert call(mac, "look").returncode == 1


def test_as_a_program_it_adopts_and_gives_back(mac: Mac) -> None:
    path = mac.openclaw()
    assert call(mac, "adopt").returncode == 0
    assert call(mac, "look").returncode == 0
    assert call(mac, "give-back").returncode == 0
    assert path.exists()


def test_an_account_that_is_not_there_is_one_line(mac: Mac) -> None:
    said = call(mac, "look", user="nobody-of-that-name")
    assert (said.returncode, said.stderr) == (1, "no account nobody-of-that-name here\n")
