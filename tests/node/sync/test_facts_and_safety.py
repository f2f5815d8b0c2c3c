"""What a node says of itself, from recordings; and paths that lead elsewhere."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sync_kit import GROUP, USER, Node

from fleet.node.sync.disk import Disk, PathState
from fleet.node.sync.facts import collect_facts
from fleet.node.sync.jobs import Jobs
from fleet.node.sync.machine import Ran
from fleet.node.sync.problem import Problem
from fleet.node.sync.safety import safe_place
from fleet.node.sync.system import SystemHost
from fleet.vocabulary.macos.sysctl import parse_sysctl

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def test_facts_are_read_from_what_macs_print(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.mac.sysctl = parse_sysctl((SAMPLES / "system" / "sysctl-hw-m3max-128g-real.txt").read_text())
    node.mac.sysctl["iogpu.wired_limit_mb"] = "0"
    facts = collect_facts(node.machine)
    assert facts.memory_bytes == 128 * 1024**3
    assert facts.page_size_bytes == 16384
    assert facts.wired_limit_mb == 0
    assert facts.filevault is False
    assert facts.disk_free_bytes


def test_a_node_whose_commands_fail_has_unknown_facts_and_no_zeros(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for name in ("sysctl", "sw_vers", "fdesetup"):
        node.mac.programs[node.layout.command(name)] = lambda _: Ran(code=127, err="not found")
    facts = collect_facts(node.machine)
    assert (facts.memory_bytes, facts.os_version, facts.filevault, facts.boot_id) == (None, None, None, None)
    assert (facts.translated, facts.wired_limit_mb, facts.boot_time_seconds) == (None, None, None)


class _Planted(Disk):
    """A disk on which somebody has planted a link."""

    def __init__(self, path: str, owner: str) -> None:
        self._path, self._owner = path, owner

    def stat(self, path: str) -> PathState:
        return PathState(kind="link", owner=self._owner) if path == self._path else super().stat(path)


def test_a_path_through_somebody_elses_link_is_refused(tmp_path: Path) -> None:
    node = Node(tmp_path)
    planted = f"{node.layout.root}/var"
    with pytest.raises(Problem) as refused:
        safe_place(replace(node.machine, disk=_Planted(planted, "mallory")), f"{planted}/x")
    assert "mallory" in refused.value.title
    safe_place(replace(node.machine, disk=_Planted(planted, USER)), f"{planted}/x")


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    node = Node(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    Path(node.layout.root, "etc").mkdir()
    Path(node.layout.etc("a")).symlink_to(victim)
    assert node.deploy(node.release().file(node.layout.etc("a"), "ours")) == "committed"
    assert (victim.read_text(), Path(node.layout.etc("a")).is_symlink()) == ("theirs", False)


def test_a_directory_in_the_place_of_a_file_stops_the_run(tmp_path: Path) -> None:
    node = Node(tmp_path)
    Path(node.layout.etc("a")).mkdir(parents=True)
    assert node.deploy(node.release().file(node.layout.etc("a"), "ours")) == "reverted"
    assert "in the way" in node.end().text
    assert Path(node.layout.etc("a")).is_dir()


def test_a_command_has_a_deadline_a_clean_environment_and_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "1")
    host = SystemHost()
    ran = host.run(("/usr/bin/env",))
    assert ran.code == 0
    assert "LEAK" not in ran.out
    assert "PATH=/usr/bin:/bin:/usr/sbin:/sbin\n" in ran.out
    assert host.run(("/bin/echo", "$HOME; id")).out == "$HOME; id\n"
    assert host.run((str(tmp_path / "none"),)).code == 127
    slow = host.run(("/bin/sleep", "30"), timeout_seconds=0.1)
    assert (slow.code, "not done after 0.1 s" in slow.err) == (124, True)
    assert host.run(("/bin/true",), user="nobody-of-that-name").code == 127


def test_a_log_that_is_a_second_name_of_another_file_leaves_that_file_alone(tmp_path: Path) -> None:
    """An account that may write the log folder makes a hard link to root's file, and waits for a deploy."""
    victim, log = tmp_path / "zshenv", tmp_path / "agent.log"
    victim.write_text("root's own")
    victim.chmod(0o600)
    log.hardlink_to(victim)
    Disk().touch(str(log), mode=0o640, owner=USER, group=GROUP)
    assert victim.stat().st_mode & 0o777 == 0o600
    assert log.stat().st_ino != victim.stat().st_ino
    assert (tmp_path / "agent.log.old").read_text() == "root's own"


def test_a_log_of_another_owner_is_put_aside_and_never_given_away(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    log.write_text("before")
    mine = log.stat().st_ino
    disk = Disk()
    disk.touch(str(log), mode=0o640, owner=USER, group=GROUP)
    assert (log.stat().st_ino, log.read_text(), log.stat().st_mode & 0o777) == (mine, "before", 0o640)
    if os.geteuid():
        return  # only root can make a file of another owner
    os.chown(log, 12345, -1)
    disk.touch(str(log), mode=0o640, owner=USER, group=GROUP)
    assert (log.stat().st_uid, log.read_text()) == (0, "")
    assert (tmp_path / "agent.log.old").stat().st_uid == 12345


def test_a_log_folder_that_is_somebody_elses_link_stops_the_start(tmp_path: Path) -> None:
    node = Node(tmp_path)
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    Path(node.layout.root, "log").symlink_to(elsewhere)
    (daemon,) = node.release().daemon("agent").state.daemons
    machine = replace(node.machine, disk=_Strangers(node.layout.log("").rstrip("/")))
    with pytest.raises(Problem, match="leads through the link"):
        Jobs(machine=machine)._prepare_logs(daemon)
    assert list(elsewhere.iterdir()) == []


class _Strangers(Disk):
    """A disk on which one link is somebody else's."""

    def __init__(self, link: str) -> None:
        self._link = link

    def stat(self, path: str) -> PathState:
        found = super().stat(path)
        return replace(found, owner="stranger") if path == self._link else found


class _Swapping(Disk):
    """A disk on which a folder becomes somebody's link right after it was looked at."""

    def __init__(self, folder: Path, elsewhere: Path, uid: int) -> None:
        self._folder, self._elsewhere, self._uid = folder, elsewhere, uid

    def stat(self, path: str) -> PathState:
        found = super().stat(path)
        if path == str(self._folder) and found.kind == "directory":
            self._folder.rename(f"{self._folder}.away")
            self._folder.symlink_to(self._elsewhere)
            os.chown(self._folder, self._uid, -1, follow_symlinks=False)
        return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another account's link")
@pytest.mark.parametrize("what", ["file", "directory", "log", "sweep"])
def test_a_folder_that_becomes_a_link_after_the_check_leads_nowhere(tmp_path: Path, what: str) -> None:
    node = Node(tmp_path)
    folder, elsewhere = Path(node.layout.root, "var"), tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "x.new").write_text("theirs")
    disk = _Swapping(folder, elsewhere, 65534)
    machine = replace(node.machine, disk=disk)
    path = f"{folder}/x"
    safe_place(machine, path)
    assert folder.is_symlink()
    change: Callable[[], None] = {
        "file": lambda: disk.write(path, b"ours", mode=0o600),
        "directory": lambda: disk.directory(path),
        "log": lambda: disk.touch(path, mode=0o640, owner=USER, group=GROUP),
        "sweep": lambda: disk.remove(f"{path}.new"),
    }[what]
    with pytest.raises(Problem) as refused:
        change()
    assert refused.value.code == "unsafe"
    assert [(at.name, at.read_text()) for at in elsewhere.iterdir()] == [("x.new", "theirs")]


def test_a_link_of_our_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "etc").symlink_to("private")
    Disk().write(f"{tmp_path}/etc/a", b"x", mode=0o600)
    assert (tmp_path / "private" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("refuses", [False, True])
def test_where_the_system_has_a_full_flush_it_is_used_and_a_volume_without_it_gets_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    """F_FULLFSYNC is macOS' only: here its number stands for it."""
    full, plain = [], []

    def control(descriptor: int, command: int) -> int:
        full.append(command)
        if refuses:
            raise OSError(errno.ENOTSUP, "not supported")
        return 0

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", plain.append)
    disk = Disk()
    disk.append(str(tmp_path / "journal"), b"line\n")
    disk.write(str(tmp_path / "file"), b"x", mode=0o600)
    disk.symlink("file", str(tmp_path / "current"))
    assert full == [51] * 4  # the line; the file and its name; the name that the switch changed
    assert len(plain) == (4 if refuses else 0)
