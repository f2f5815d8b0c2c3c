"""The simulated macOS commands print what our parsers and the recordings expect, and refuse what a Mac refuses."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from fleet.sim.launchd.conditions import Conditions
from fleet.sim.node import SimNode
from fleet.sim.ports import free_port
from fleet.sim.readings import Readings
from fleet.sim.tree import NodeTree, make_tree
from fleet.vocabulary.macos.lsof import parse_listeners
from fleet.vocabulary.macos.notifyutil import parse_notify_state
from fleet.vocabulary.macos.pmset import parse_pmset
from fleet.vocabulary.macos.sysctl import parse_boottime, parse_swapusage, parse_sysctl, parse_written
from fleet.vocabulary.macos.system import parse_fdesetup, parse_sw_vers
from fleet.vocabulary.macos.vm_stat import parse_vm_stat
from tests.sim.conftest import eventually, real

SAMPLES = Path(__file__).parents[1] / "samples"
THERMAL_KEY = "com.apple.system.thermalpressurelevel"


class Machine:
    """A node that is on, and its commands."""

    def __init__(self, node: SimNode) -> None:
        self.node = node
        self.tree = node.tree

    async def run(self, command: str, stdin: str = "") -> tuple[int, str, str]:
        """A command line through the exec wrapper, as both SSH doors run it."""
        process = await asyncio.create_subprocess_exec(
            str(self.tree.exec),
            env={"SSH_ORIGINAL_COMMAND": command, "PATH": "/usr/bin:/bin"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 20)
        return process.returncode or 0, out.decode(), err.decode()

    async def out(self, command: str) -> str:
        code, out, err = await self.run(command)
        assert (code, err) == (0, "")
        return out


@pytest.fixture
async def mac(tree: NodeTree):
    port = free_port()
    marker = tree.said("marker") or ""
    node = SimNode(tree, ssh_port=port, marker=marker, conditions=Conditions(throttle_scale=0.02, exit_scale=0.1))
    await node.start()
    yield Machine(node)
    await node.stop()


async def test_a_session_has_a_macs_bare_environment(mac: Machine) -> None:
    lines = (await mac.out("env; pwd; ulimit -Sn; umask")).splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert seen["PATH"] == f"{mac.tree.bin}:/usr/bin:/bin:/usr/sbin:/sbin"
    assert (seen["HOME"], seen["TMPDIR"]) == (str(mac.tree.home), f"{mac.tree.tmp}/")
    assert not seen.keys() & {"PYTHONPATH", "VIRTUAL_ENV", "FLEET_SIM_ROOT"}
    assert lines[-3:] == [real(mac.tree.home), "256", "0022"]


@pytest.mark.parametrize("name", ["python3", "git", "clang", "make"])
async def test_developer_tools_are_apples_stubs(mac: Machine, name: str) -> None:
    code, out, err = await mac.run(f"{name} --version")
    assert (code, out) == (1, "")
    assert err.startswith("xcode-select: note: No developer tools were found, requesting install.\n")
    assert (await mac.run("xcode-select -p"))[0] == 2


@pytest.mark.parametrize("name", ["timeout", "flock", "setsid", "systemctl", "sha256sum", "getent"])
async def test_commands_of_linux_are_not_found(mac: Machine, name: str) -> None:
    assert (await mac.run(f"{name} 1"))[0] == 127


async def test_sysctl_reads_names_values_and_nothing(mac: Machine) -> None:
    assert await mac.out("sysctl -n hw.memsize hw.pagesize") == "25769803776\n16384\n"
    assert parse_sysctl(await mac.out("sysctl hw.model sysctl.proc_translated")) == {
        "hw.model": "Mac16,11", "sysctl.proc_translated": "0",
    }  # fmt: skip
    assert await mac.run("sysctl machdep.xcpm.cpu_thermal_level") == (
        1, "", "sysctl: unknown oid 'machdep.xcpm.cpu_thermal_level'\n",
    )  # fmt: skip
    assert await mac.out("sysctl -i machdep.xcpm.cpu_thermal_level") == ""
    assert parse_boottime(await mac.out("sysctl -n kern.boottime"))
    assert parse_swapusage((await mac.out("sysctl -n vm.swapusage")).strip()).used_bytes == 0


async def test_sysctl_writes_for_root_only_and_the_limit_is_lost_at_reboot(mac: Machine) -> None:
    refused = await mac.run("sysctl iogpu.wired_limit_mb=14000")
    assert refused == (1, "", "sysctl: iogpu.wired_limit_mb: Operation not permitted\n")
    echo = await mac.out("sudo -n sysctl iogpu.wired_limit_mb=14000")
    assert echo == "iogpu.wired_limit_mb: 0 -> 14000\n"
    assert parse_written(echo.strip().partition(": ")[2]) == (0, 14000)
    assert await mac.out("sysctl -n iogpu.wired_limit_mb") == "14000\n"
    boot = await mac.out("sysctl -n kern.bootsessionuuid")
    await _fault(mac, "reboot")
    assert await mac.out("sysctl -n iogpu.wired_limit_mb") == "0\n"
    assert await mac.out("sysctl -n kern.bootsessionuuid") != boot
    assert (await mac.run("sudo -n sysctl hw.memsize=1"))[0] == 1


async def test_root_is_known_through_a_cleaned_environment(mac: Machine) -> None:
    assert await mac.out("launchctl managername") == "Background\n"
    assert await mac.out(f"sudo -n /usr/bin/env -i {mac.tree.bin}/launchctl managername") == "System\n"


async def test_readings_are_in_the_recorded_forms(mac: Machine) -> None:
    assert (await mac.out("vm_stat")).splitlines()[0] == (
        SAMPLES / "memory" / "vm_stat-m5-real.txt"
    ).read_text().splitlines()[0]
    assert {len(line) for line in (await mac.out("vm_stat")).splitlines()[1:]} == {53}
    assert parse_vm_stat(await mac.out("vm_stat")).wired == 106180
    assert await mac.out(f"notifyutil -g {THERMAL_KEY}") == (SAMPLES / "thermal/notifyutil-level-0.txt").read_text()
    missing = await mac.out("notifyutil -g com.apple.system.this.key.does.not.exist")
    assert missing == (SAMPLES / "thermal" / "notifyutil-missing-key.txt").read_text()
    assert await mac.out("pmset -g therm") == (SAMPLES / "power/pmset-g-therm-applesilicon-none.txt").read_text()
    assert parse_sw_vers(await mac.out("sw_vers")).version == "26.5.1"
    assert await mac.out("sw_vers -productVersion") == "26.5.1\n"
    assert parse_fdesetup(await mac.out("fdesetup status")) is False


async def test_faults_show_in_what_commands_print_and_in_what_the_agent_reads(mac: Machine) -> None:
    for fault in ("thermal=2", "pressure=4", "swap=2GiB"):
        await _fault(mac, fault)
    assert parse_notify_state(await mac.out(f"notifyutil -g {THERMAL_KEY}"), THERMAL_KEY) == 2
    assert await mac.out("sysctl -n kern.memorystatus_vm_pressure_level") == "4\n"
    swap = "total = 2048.00M  used = 2048.00M  free = 0.00M  (encrypted)"
    assert await mac.out("sysctl -n vm.swapusage") == f"{swap}\n"
    assert Readings(mac.tree.readings).vm_stat()["Swapouts"] == 2 * 1024**3 // 16384
    assert (mac.tree.readings / "thermal.txt").read_text() == f"{THERMAL_KEY} 2\n"
    await _fault(mac, "thermal=failed")
    assert await mac.out(f"notifyutil -g {THERMAL_KEY}") == (SAMPLES / "thermal/notifyutil-failed.txt").read_text()
    await mac.node.clear()
    assert await mac.out("sysctl -n kern.memorystatus_vm_pressure_level") == "1\n"


async def test_pmset_sets_for_root_warns_of_the_unsupported_and_is_read_back(mac: Machine) -> None:
    assert (await mac.run("pmset -a sleep 0"))[0] == 1
    code, _, err = await mac.run("sudo -n pmset -a sleep 0 womp 1 hibernatemode 0")
    assert (code, err) == (0, "Warning: hibernatemode is not supported on this machine. Skipping.\n")
    assert "\n sleep                0\n" in await mac.out("pmset -g custom")
    assert (await mac.out("pmset -g custom")).startswith("AC Power:\n Sleep On Power Button 1\n")
    await mac.out("sudo -n pmset -a disablesleep 1")
    assert " SleepDisabled\t\t1\n" in await mac.out("pmset -g")
    assert parse_pmset(await mac.out("pmset -g"))


async def test_sudo_is_refused_asks_for_the_password_or_takes_a_drop_in(mac: Machine) -> None:
    assert await mac.run("sudo -n true") == (0, "", "")
    for mode in ("refused", "password"):
        await _fault(mac, f"sudo={mode}")
        assert await mac.run("sudo -n true") == (1, "", "sudo: a password is required\n")
    assert (await mac.run("sudo -S -p '' sh -c 'cat; id -un >/dev/null; echo $USER'", "simulated\nrest\n"))[:2] == (
        0, "rest\nroot\n",
    )  # fmt: skip
    code, _, err = await mac.run("sudo -S -p '' true", "wrong\nwrong\nwrong\n")
    assert (code, err.splitlines()[-1]) == (1, "sudo: 3 incorrect password attempts")
    helper = mac.tree.root / "sbin" / "fleet-node"
    helper.parent.mkdir(parents=True)
    helper.write_text('#!/bin/sh\necho "helped $*"\n')
    helper.chmod(0o755)
    drop_in = mac.tree.sudoers / "fleet"
    drop_in.write_text(f"{mac.tree.said('user')} ALL=(root) NOPASSWD: {helper}\n")
    drop_in.chmod(0o440)
    assert await mac.out(f"visudo -cf {drop_in}") == f"{drop_in}: parsed OK\n"
    assert await mac.out(f"sudo -n {helper} sync") == "helped sync\n"
    assert (await mac.run("sudo -n true"))[0] == 1
    drop_in.rename(drop_in.with_name("fleet.conf"))
    assert (await mac.run(f"sudo -n {helper} sync"))[0] == 1
    drop_in.with_name("broken").write_text("no grammar at all\n")
    assert (await mac.run(f"visudo -cf {drop_in.with_name('broken')}"))[0] == 1


async def test_plutil_lints_xml_only(mac: Machine) -> None:
    good, bad = mac.tree.tmp / "good.plist", mac.tree.tmp / "bad.plist"
    good.write_text('<?xml version="1.0"?><plist version="1.0"><dict><key>Odd</key><true/></dict></plist>')
    bad.write_text("<plist><dict>")
    assert await mac.out(f"plutil -lint {good}") == f"{good}: OK\n"
    assert (await mac.run(f"plutil -lint {bad}"))[0] == 1


async def test_lsof_names_who_listens_or_exits_1(mac: Machine) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        (found,) = parse_listeners(await mac.out(f"lsof -nP -iTCP:{port} -sTCP:LISTEN"))
        assert (found.pid, found.port) == (os.getpid(), port)
        assert (await mac.out(f"lsof -nP -iTCP:{port} -sTCP:LISTEN -t")).strip() == str(os.getpid())
    assert (await mac.run(f"lsof -nP -iTCP:{port} -sTCP:LISTEN"))[:2] == (1, "")


async def test_shasum_systemsetup_dscl_and_ioreg(mac: Machine) -> None:
    (mac.tree.tmp / "f").write_text("abc")
    line = await mac.out("cd $TMPDIR && shasum -a 256 f")
    assert line == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  f\n"
    assert (await mac.run("cd $TMPDIR && shasum -a 256 -c", line))[1] == "f: OK\n"
    assert (await mac.run("cd $TMPDIR && shasum -a 256 -c -s", line.replace("ba", "bb")))[0] == 1
    assert (
        await mac.out("systemsetup -getremotelogin") == "You need administrator access to run this tool... exiting!\n"
    )
    assert await mac.out("sudo -n systemsetup -getremotelogin") == "Remote Login: On\n"
    home = await mac.out(f"dscl . -read /Users/{mac.tree.said('user')} NFSHomeDirectory")
    assert home == f"NFSHomeDirectory: {mac.tree.home}\n"
    assert (await mac.run("dscl . -read /Users/nobody-here"))[0] == 56
    assert '"Device Utilization %"=0' in await mac.out("ioreg -r -d 1 -w 0 -c IOAccelerator")
    assert await mac.out("ioreg -r -c Nothing") == ""


async def test_launchctl_of_a_dead_launchd_is_an_error_and_no_hang(mac: Machine) -> None:
    await _fault(mac, "down")
    answer = await mac.run("launchctl list")
    assert answer == (5, "", "launchctl: the simulated launchd is not running\n")
    await mac.node.clear("down")
    assert await mac.out("sudo -n launchctl list") == "PID\tStatus\tLabel\n"


async def test_launchctl_calls_at_the_same_time_do_not_mix(mac: Machine) -> None:
    answers = await asyncio.gather(*(mac.run(f"launchctl error {code}") for code in (3, 5, 36, 37, 112, 113) * 4))
    assert [out.partition(":")[0] for _, out, _ in answers] == [str(c) for c in (3, 5, 36, 37, 112, 113) * 4]


async def test_a_full_disk_fails_writes_and_noise_comes_first(mac: Machine) -> None:
    await _fault(mac, "disk-full")
    code, _, err = await mac.run("head -c 100000 /dev/zero >big")
    assert (code, bool(err)) == (1, True)
    await mac.node.clear("disk-full")
    assert (await mac.run("head -c 100000 /dev/zero >big"))[0] == 0
    await _fault(mac, "noise=hello from .zshenv")
    assert await mac.out("echo said") == "hello from .zshenv\nsaid\n"


async def test_a_reboot_with_filevault_ends_at_the_unlock_screen(mac: Machine) -> None:
    await _fault(mac, "filevault=on")
    assert await mac.out("fdesetup status") == "FileVault is On.\n"
    await _fault(mac, "reboot")
    assert mac.node.power == "locked"
    await _fault(mac, "unlock")
    assert mac.node.power == "on"


async def test_a_panic_leaves_a_file_and_another_boot(mac: Machine) -> None:
    boot = await mac.out("sysctl -n kern.boottime kern.bootsessionuuid")
    await _fault(mac, "panic")
    assert [path.suffix for path in mac.tree.panics.iterdir()] == [".panic"]
    assert await mac.out("sysctl -n kern.boottime kern.bootsessionuuid") != boot


async def test_daemons_start_again_at_boot_and_overrides_survive(mac: Machine) -> None:
    for name in ("kept", "off"):
        plist = mac.tree.daemons / f"org.example.{name}.plist"
        plist.write_text(
            f'<plist version="1.0"><dict><key>Label</key><string>org.example.{name}</string><key>ProgramArguments</key>'
            "<array><string>/bin/sleep</string><string>600</string></array><key>KeepAlive</key><true/></dict></plist>"
        )
        await mac.out(f"sudo -n launchctl bootstrap system {plist}")
    await mac.out("sudo -n launchctl disable system/org.example.off")
    await _fault(mac, "reboot")
    await eventually(lambda: [v.spec.label for v in mac.node.launchd.views() if v.pid] == ["org.example.kept"])
    assert "removing service: org.example.off" in await mac.out("log show --last 2m")


def test_a_tree_made_twice_keeps_its_state(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "mac-1", marker="one")
    tree.say("sudo", "refused")
    Readings(tree.readings).put_thermal("3")
    again = make_tree(tmp_path / "mac-1", marker="two")
    assert (again.said("sudo"), again.said("marker")) == ("refused", "two")
    assert (again.readings / "thermal.txt").read_text().endswith(" 3\n")


async def _fault(mac: Machine, text: str) -> None:
    from fleet.sim.faults import parse_fault

    await mac.node.inject(parse_fault(text))
