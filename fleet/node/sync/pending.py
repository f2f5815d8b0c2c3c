"""One run at a time: the lock, the run that is handed to the apply job, and its request."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator

from fleet.node.sync.facts import boot_id
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.sync import RunRequest


@contextlib.contextmanager
def lock(machine: Machine, run_id: str, *, wait: bool) -> Iterator[None]:
    """Be the only one that changes the node; the kernel frees the lock of a dead process. Raises Problem `busy`."""
    path = machine.layout.state("lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise _busy(os.pread(descriptor, 1000, 0)) from None
        holder = {
            "run_id": run_id,
            "pid": os.getpid(),
            "boot_id": boot_id(machine),
            "since": machine.clock.now().timestamp(),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def pending_run(machine: Machine) -> str | None:
    """The run that the apply job has not finished."""
    text = machine.disk.read(machine.layout.state("pending"))
    return text.decode("ascii", "replace").strip() or None if text is not None else None


def hand_over(machine: Machine, request: RunRequest) -> None:
    """Write the request, then name it as the pending run: from here on it will be done."""
    run = machine.layout.run(request.run_id)
    machine.disk.directory(run)
    machine.disk.write(f"{run}/request.json", canonical(request), mode=0o600)
    machine.disk.write(machine.layout.state("pending"), request.run_id.encode(), mode=0o644)


def read_request(machine: Machine, run_id: str) -> RunRequest | None:
    """The request of a run, when it can be read."""
    try:
        return decode(machine.disk.read(f"{machine.layout.run(run_id)}/request.json") or b"", RunRequest)
    except ContractError:
        return None


def finished(machine: Machine) -> None:
    """No run is pending any more."""
    machine.disk.remove(machine.layout.state("pending"))


def _busy(raw: bytes) -> Problem:
    try:
        holder = json.loads(raw)
        who = f"run {holder['run_id']} (process {holder['pid']}) is at work"
    except (ValueError, KeyError, TypeError):
        who = "another run is at work"
    return Problem("the node is busy", code="busy", detail=who, hint="wait until it is done, then deploy again")
