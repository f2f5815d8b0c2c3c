"""Restarting the machine when a laptop asks, and proving afterwards that what was deployed serves again."""

from __future__ import annotations

import plistlib
from collections.abc import Callable

from fleet.node.sync import releases
from fleet.node.sync.audit import record
from fleet.node.sync.facts import boot_id
from fleet.node.sync.gates import Gates
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.questions import Proved, Reboot, Rebooting
from fleet.vocabulary.macos.system import parse_fdesetup

_PROOF_SECONDS = 600.0


def reboot(machine: Machine, wish: Reboot, *, run_id: str, told: Callable[[Rebooting], None]) -> None:
    """Tell that the machine restarts, then let it. Whoever calls has the node's lease. Raises Problem.

    With FileVault on nothing of ours would run until somebody typed a password there: then only `authrestart` does it.
    """
    layout = machine.layout
    if layout.commands and "shutdown" not in layout.commands:  # a rehearsal must never restart the machine it runs on
        raise Problem(
            "this node's layout names its own commands, but not the one that restarts it",
            code="layout",
            hint="set commands: {shutdown: PATH} for it in the inventory, then adopt it again",
        )
    vault = parse_fdesetup(machine.command("fdesetup", "status").out)
    if vault is not False and wish.password is None:
        state = "on" if vault else "in an unknown state"
        raise Problem(
            f"FileVault is {state}: after a restart somebody would have to unlock this Mac by hand",
            code="filevault",
            hint="fleet reboot --authrestart REFERENCE unlocks it once, with the password of an account that may",
        )
    now, before = machine.clock.now().timestamp(), releases.current_id(machine)
    line = AuditLine(
        seq=0, at_seconds=now, action="reboot", outcome="committed", run_id=run_id, operator=wish.operator,
        before=before, after=before,
    )  # fmt: skip
    record(machine, line)
    told(Rebooting(boot_id=boot_id(machine)))
    if vault and wish.password is not None:
        words = (layout.command("fdesetup"), "authrestart", "-inputplist")
        ran = machine.host.run(words, timeout_seconds=120.0, feed=plistlib.dumps({"Password": wish.password}))
    else:
        ran = machine.command("shutdown", "-r", "now", timeout_seconds=120.0)
    if ran.code:
        raise Problem(f"the machine refuses to restart ({ran.code})", code="reboot", detail=ran.said)


def prove(machine: Machine) -> Proved:
    """Pass the gates of the live release, with every daemon of it up. Raises Problem."""
    live = releases.load(machine, releases.current_id(machine))
    if live is None:
        return Proved()
    passed: list[str] = []
    started = [daemon.label for daemon in live.daemons if not daemon.on_demand]
    gates = Gates(machine=machine, state=live, notify=lambda key, _: passed.append(key))
    gates.require(started=started, within_seconds=_PROOF_SECONDS)
    return Proved(state_id=live.state_id, passed=tuple(passed))
