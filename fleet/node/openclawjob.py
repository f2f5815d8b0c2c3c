"""OpenClaw's own launchd job, where its installer made one: look for it, refuse it, take its place, or give that back.

A program of its own, `INTERPRETER -I -S openclawjob.py OPTIONS ACT`, run by deploy before the service of fleet is
started. Standard library only.

    look-first, refuse, leave     there may be none while fleet's own is not there yet; a refusal changes nothing
    look, adopt, give-back        it goes, and a revert brings it back

What is taken down is put aside beside its place, never thrown away; the user's ~/.openclaw is not touched.
"""

from __future__ import annotations

import argparse
import plistlib
import pwd
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ASIDE = ".fleet-adopted"
LABEL = "ai.openclaw.gateway"
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class OwnJob:
    """A job of OpenClaw's gateway that fleet did not make. `path` is None when launchd alone knows it."""

    label: str
    domain: str
    path: Path | None

    @property
    def target(self) -> str:
        """Launchctl's service target."""
        return f"{self.domain}/{self.label}"


@dataclass(frozen=True)
class Place:
    """Where jobs may be: the user's, in the desktop's domain, and the system's. `own` is fleet's, in `domain`."""

    launchctl: str
    user: str
    uid: int
    home: Path
    daemons: Path
    own: str
    domain: str = "system"

    @property
    def agents(self) -> Path:
        """The user's LaunchAgents."""
        return self.home / "Library/LaunchAgents"

    def loaded(self, job: OwnJob) -> bool:
        """Whether launchd knows it."""
        return self.run("print", job.target) == 0

    def run(self, *words: str) -> int:
        """The exit code of launchctl."""
        return subprocess.run((self.launchctl, *words), capture_output=True, check=False, timeout=30).returncode

    def folders(self) -> Iterator[tuple[Path, str]]:
        """Folders of plists, each with the domain of its jobs."""
        yield self.agents, f"gui/{self.uid}"
        if self.daemons != self.agents:
            yield self.daemons, "system"


def own_jobs(place: Place) -> tuple[OwnJob, ...]:
    """Every job of OpenClaw's gateway but fleet's, by plist, and the usual label when only launchd still has it."""
    found: dict[str, OwnJob] = {}
    for folder, domain in place.folders():
        for path in sorted(folder.glob("*.plist")):
            label = _gateway_label(path)
            if label is not None and label != place.own:
                found[f"{domain}/{label}"] = OwnJob(label, domain, path)
    usual = OwnJob(LABEL, f"gui/{place.uid}", None)
    if usual.target not in found and place.loaded(usual):
        found[usual.target] = usual
    return tuple(found.values())


def adopt(place: Place, jobs: tuple[OwnJob, ...], pause: Callable[[float], None] = time.sleep) -> list[str]:
    """Stop the jobs and put their plists aside. What could not be done, in words."""
    wrong: list[str] = []
    for job in jobs:
        code = place.run("bootout", job.target)
        looks = int(_STOP_SECONDS / _LOOK_SECONDS)
        while looks and place.loaded(job):
            looks -= 1
            pause(_LOOK_SECONDS)
        if not looks:
            wrong.append(f"{job.target} did not stop (launchctl bootout: {code})")
        elif job.path is not None:
            job.path.rename(f"{job.path}{ASIDE}")
    return wrong


def give_back(place: Place) -> None:
    """Put what was taken down back in its place, and start it where its domain is there."""
    for folder, domain in place.folders():
        for aside in sorted(folder.glob(f"*.plist{ASIDE}")):
            path = Path(str(aside).removesuffix(ASIDE))
            if not path.exists() and _gateway_label(aside):
                aside.rename(path)
                place.run("bootstrap", domain, str(path))


def advice(place: Place, job: OwnJob) -> str:
    """What a person can do."""
    where = f" ({job.path})" if job.path else ""
    return (
        f"OpenClaw has installed a job of its own here: {job.target}{where}. Two of them would fight over one port.\n"
        f"Either take it away: openclaw gateway uninstall, as {place.user};\n"
        f"or let fleet take its place: `existing: adopt` in the daemon task. Its plist is then put aside as *{ASIDE},\n"
        f"and {place.home}/.openclaw stays as it is: `state: {place.home}/.openclaw` goes on with its sessions."
    )


def _gateway_label(path: Path) -> str | None:
    """The label of a plist that starts OpenClaw's gateway; None for all others, and for what is no plist."""
    try:
        plist = plistlib.loads(path.read_bytes())
    except Exception:  # noqa: BLE001 (plistlib raises whatever its XML parser does)
        return None
    words = plist.get("ProgramArguments") if isinstance(plist, dict) else None
    label = plist.get("Label") if isinstance(plist, dict) else None
    if not isinstance(words, list) or not isinstance(label, str):
        return None
    texts = [word for word in words if isinstance(word, str)]
    runs = "gateway" in texts and any("openclaw" in text for text in texts)
    return label if runs or label == LABEL else None


def main(words: list[str]) -> int:
    """The exit code: of the looks 0 when there is none, of the others 0 when it is done."""
    parser = argparse.ArgumentParser()
    for name in ("launchctl", "user", "home", "daemons", "own", "domain"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("act", choices=("look-first", "look", "refuse", "leave", "adopt", "give-back"))
    asked = parser.parse_args(words)
    try:
        uid = pwd.getpwnam(asked.user).pw_uid
    except KeyError:
        sys.stderr.write(f"no account {asked.user} here\n")
        return 1
    place = Place(asked.launchctl, asked.user, uid, Path(asked.home), Path(asked.daemons), asked.own, asked.domain)
    if asked.act == "give-back":
        give_back(place)
    if asked.act in ("give-back", "leave"):
        return 0
    first = asked.act in ("look-first", "refuse")
    if first and place.loaded(OwnJob(place.own, place.domain, None)):
        return 0  # ours has the port; of one that came later doctor tells
    jobs = own_jobs(place)
    if asked.act in ("look", "look-first") or not jobs:
        return 1 if jobs else 0
    if asked.act == "refuse":
        sys.stderr.write("\n".join(advice(place, job) for job in jobs) + "\n")
        return 1
    wrong = adopt(place, jobs)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
