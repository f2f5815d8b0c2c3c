"""Doctor's checks of power and time up: does it stay awake, does it come back, when must it restart. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.control.actions.doctor_findings import (
    Check,
    Remedy,
    Situation,
    Verdict,
    by_hand,
    critical,
    good,
    note,
    on_node,
    warn,
)
from fleet.control.actions.probing import POWER_WANTED
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.macos.digits import whole

_DAY_SECONDS = 86400.0
_CLOCK_STOPS_DAYS = 49.7
"""2**32 milliseconds: the kernel's TCP clock is a 32-bit count of them."""
_RESTART_SOON_DAYS = 42
_MANY_TIME_WAIT = 8000
"""Half of the 16384 ports that connections are made from (49152-65535)."""
_ASLEEP = ("sleep", "disksleep", "powernap", "womp")


def _filevault(at: Situation) -> Iterator[Verdict]:
    if at.readings.filevault is None:
        yield at.unknown("FileVault", "filevault")
    elif at.readings.filevault:
        remedy = Remedy(
            commands=(at.command("fdesetup", "disable"),),
            root=True,
            words="or keep it and be there after a power cut; `sudo fdesetup authrestart` skips it once",
        )
        yield critical("FileVault is on", remedy)
    else:
        yield good("FileVault is off")


def _power(at: Situation, keys: tuple[str, ...]) -> dict[str, int] | None:
    """The settings of `keys` that differ from what a serving Mac wants. A key that the model lacks is not wrong."""
    power = at.readings.power
    if power is None:
        return None
    return {key: POWER_WANTED[key] for key in keys if key in power and whole(power[key]) != POWER_WANTED[key]}


def _set_power(at: Situation, wanted: dict[str, int]) -> Remedy:
    words = [word for key, value in wanted.items() for word in (key, value)]
    return on_node(at.command("pmset", "-a", *words), situation=at, automatic=True)


def _seen_power(at: Situation, wanted: dict[str, int]) -> str:
    power = at.readings.power or {}
    return ", ".join(f"{key} {power[key]} (not {value})" for key, value in wanted.items())


def _sleep(at: Situation) -> Iterator[Verdict]:
    wrong = _power(at, _ASLEEP)
    if wrong is None:
        yield at.unknown("when it sleeps", "power")
    elif wrong:
        yield warn(_seen_power(at, wrong), _set_power(at, wrong))
    else:
        yield good("it never sleeps")


def _low_power(at: Situation) -> Iterator[Verdict]:
    wrong = _power(at, ("lowpowermode",))
    if wrong is None:
        yield at.unknown("Low Power Mode", "power")
    elif wrong:
        yield critical("Low Power Mode is on", _set_power(at, wrong))
    else:
        yield good("Low Power Mode is off")


def _autorestart(at: Situation) -> Iterator[Verdict]:
    wrong = _power(at, ("autorestart",))
    if wrong is None:
        yield at.unknown("what it does after a power cut", "power")
    elif wrong:
        yield warn("it stays off after a power cut", _set_power(at, wrong))
    elif "autorestart" not in (at.readings.power or {}):
        yield note("this model cannot start by itself after a power cut (no `autorestart`)", by_hand("a UPS, or hands"))
    else:
        yield good("it starts again after a power cut")


def _restart(at: Situation) -> Remedy:
    if at.readings.filevault:
        words = f"first `fleet drain {at.node.name}`; authrestart, so that FileVault does not stop it"
        return Remedy(commands=(at.command("fdesetup", "authrestart"),), root=True, words=words)
    words = f"first `fleet drain {at.node.name}`"
    return Remedy(commands=(Argv.of("/sbin/shutdown", "-r", "now"),), root=True, words=words)


def _up_days(at: Situation) -> float | None:
    """Days since the node started, by its own clock where that is known."""
    boot, clock = at.readings.boot_seconds, at.readings.clock_seconds
    if boot is None:
        return None
    up = ((clock if clock is not None else at.now) - boot) / _DAY_SECONDS
    return max(up, 0.0) if up > -1 else None  # the start moves when the clock is corrected (FACTS section 3)


def _uptime(at: Situation) -> Iterator[Verdict]:
    days = _up_days(at)
    if days is None:
        yield at.unknown("its uptime", "sysctl")
    elif days >= _RESTART_SOON_DAYS:
        yield warn(f"up for {days:.0f} days", _restart(at))
    else:
        yield good(f"up for {days:.0f} days")


def _time_wait(at: Situation) -> Iterator[Verdict]:
    count, days = at.readings.time_wait, _up_days(at)
    if count is None:
        yield at.unknown("how many closed connections are kept", "connections")
    elif count < _MANY_TIME_WAIT:
        yield good(f"{count} closed connections are kept (TIME_WAIT)")
    elif days is not None and days >= _CLOCK_STOPS_DAYS:
        yield critical(f"{count} closed connections are kept (TIME_WAIT) after {days:.0f} days", _restart(at))
    else:
        yield warn(
            f"{count} closed connections are kept (TIME_WAIT)",
            by_hand("look again in a minute: when the count does not fall, restart the Mac; else too many are made"),
        )


POWER = (
    Check(
        id="filevault",
        title="FileVault",
        why="With it on, a Mac that lost power waits at its unlock screen: nothing of fleet starts, SSH neither "
        "(from macOS 26 on: SSH by password only).",
        source="FACTS 2.5",
        fix="`sudo fdesetup disable`, or keep it and be there; `sudo fdesetup authrestart` for a planned restart",
        judge=_filevault,
    ),
    Check(
        id="sleep",
        title="Sleep",
        why="A Mac that sleeps, or wakes for maintenance only, answers nobody at night.",
        source="FACTS 2.5",
        fix="`sudo pmset -a sleep 0 disksleep 0 powernap 0 womp 1` (--fix)",
        judge=_sleep,
    ),
    Check(
        id="low-power-mode",
        title="Low Power Mode",
        why="launchd then puts off every start that nobody demanded: a killed service is not brought back.",
        source="FACTS 1.4",
        fix="`sudo pmset -a lowpowermode 0` (--fix)",
        judge=_low_power,
    ),
    Check(
        id="autorestart",
        title="Start after a power cut",
        why="Without it somebody has to press the button.",
        source="FACTS 2.5",
        fix="`sudo pmset -a autorestart 1` (--fix); models without the setting need a UPS",
        judge=_autorestart,
    ),
    Check(
        id="uptime",
        title="Uptime",
        why="After 49.7 days the kernel's TCP clock may stop: closed connections are then kept for ever and ports run "
        "out. A planned restart before that costs less.",
        source="FACTS 9",
        fix="`fleet drain NODE`, then `sudo shutdown -r now`",
        judge=_uptime,
    ),
    Check(
        id="time-wait",
        title="Closed connections (TIME_WAIT)",
        why="A sidecar speaks HTTP/1.0, one connection a request. When closed ones do not go away the 16384 ports run "
        "out, and nothing can be connected any more.",
        source="FACTS 9",
        fix="restart the Mac when the count does not fall",
        judge=_time_wait,
    ),
)
