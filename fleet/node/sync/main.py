"""The verbs of the sync zipapp. It stands in ROOT/sync, so its own path says where the node's root is.

session STATE_ID RUN_ID · apply · attach RUN_ID OFFSET · confirm RUN_ID · uninstall [--keep-data]
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import BinaryIO

import fleet
from fleet.node.sync.apply import FAILED, apply
from fleet.node.sync.disk import Disk
from fleet.node.sync.frames import Pipe, Wire
from fleet.node.sync.inplace import stand_alone
from fleet.node.sync.journal import read_events
from fleet.node.sync.machine import Machine
from fleet.node.sync.ownlog import bound_own_log
from fleet.node.sync.pending import pending_run
from fleet.node.sync.problem import Problem
from fleet.node.sync.session import Session
from fleet.node.sync.system import SystemHost
from fleet.node.sync.tail import Tail, kick
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.codec import ContractError, decode
from fleet.vocabulary.contracts.sync import Failed, Hello
from fleet.vocabulary.layout import NodeLayout

_USAGE = "usage: session STATE_ID RUN_ID | apply | attach RUN_ID OFFSET | confirm RUN_ID | uninstall [--keep-data]"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STATE_ID = re.compile(r"-|[0-9a-f]{64}")


def main(argv: list[str] | None = None, *, zipapp: str | None = None) -> int:
    """Run one verb; the exit status."""
    words = sys.argv[1:] if argv is None else argv
    own = sys.argv[0] if zipapp is None else zipapp  # a text: pathlib would cost a tenth of a start
    os.umask(0o022)
    wire = _take_streams()
    try:
        machine = node_machine(os.path.realpath(f"{own}/../.."))
        match words:
            case ["session", state_id, run_id] if _STATE_ID.fullmatch(state_id) and _RUN_ID.fullmatch(run_id):
                stand_alone()
                return Session(machine=machine, wire=wire, state_id=state_id, run_id=run_id, sync=_digest(own)).run()
            case ["apply"]:
                bound_own_log(machine)
                outcome = apply(machine)
                print(f"fleet apply: {outcome or 'nothing to do'}", file=sys.stderr)  # noqa: T201 (the job's log)
                return 1 if outcome == FAILED else 0
            case ["attach", run_id, offset] if _RUN_ID.fullmatch(run_id) and offset.isdecimal():
                return _attach(machine, wire, run_id, int(offset), _digest(own))
            case ["confirm", run_id] if _RUN_ID.fullmatch(run_id):
                return _confirm(machine, run_id)
            case ["uninstall"] | ["uninstall", "--keep-data"]:
                from fleet.node.sync.uninstall import Uninstall

                return Uninstall(machine=machine, wire=wire, keep_data=len(words) == 2).run()
            case _:
                print(_USAGE, file=sys.stderr)  # noqa: T201 (a command line)
                return 64
    except Problem as problem:
        wire.greet()
        wire.send(Failed(code=problem.code, title=problem.title, detail=problem.detail, hint=problem.hint))
        return 1
    except BrokenPipeError:
        return 0  # the laptop is gone; the apply job owns what was handed to it


def node_machine(root: str) -> Machine:
    """The node of that root (no link in it), by the layout that adopt wrote. Raises Problem."""
    path = f"{root}/state/layout.json"
    try:
        with open(path, "rb") as file:
            layout = decode(file.read(), NodeLayout)
    except (OSError, ContractError) as error:
        raise Problem(
            "this node's layout cannot be read", code="not_adopted", detail=str(error), hint="run fleet adopt again"
        ) from error
    if os.path.realpath(layout.root) != root:
        raise Problem(f"{path} is of another root: {layout.root}", code="layout", hint="run fleet adopt again")
    return Machine(layout=layout, disk=Disk(), host=SystemHost(), clock=SystemClock())


def _confirm(machine: Machine, run_id: str) -> int:
    """For hands: in words, no frames."""
    from fleet.node.sync.questions import confirm

    try:
        confirm(machine, run_id)
    except Problem as problem:
        print(f"fleet: {problem.title}: {problem.detail}", file=sys.stderr)  # noqa: T201 (a command line)
        return 1
    print(f"fleet: run {run_id} is confirmed", file=sys.stderr)  # noqa: T201 (a command line)
    return 0


def _attach(machine: Machine, wire: Wire, run_id: str, after: int, sync: str | None) -> int:
    wire.greet()
    try:
        now = machine.clock.now().timestamp()
        wire.send(Hello(sync=sync, fleet_version=fleet.__version__, time_seconds=now, active_run=pending_run(machine)))
        if not machine.disk.stat(machine.layout.run(run_id)).exists:
            raise Problem(f"there was no run {run_id} on this node", code="no_run")
        if not any(event.phase == "end" for event in read_events(machine, run_id)):
            kick(machine)
        Tail(machine=machine, wire=wire, run_id=run_id).follow(after)
    except Problem as problem:
        wire.send(Failed(code=problem.code, title=problem.title, detail=problem.detail, hint=problem.hint))
        return 1
    return 0


def _take_streams() -> Wire:
    """Keep standard output for frames: whatever else prints goes to standard error."""
    pipe = Pipe(os.dup(0))
    writing: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return Wire(io.BufferedReader(pipe, 1 << 20), writing, pipe=pipe)


def _digest(zipapp: str) -> str | None:
    stem = zipapp.rpartition("/")[2].removesuffix(".pyz")
    return stem if re.fullmatch(r"[0-9a-f]{64}", stem) else None
