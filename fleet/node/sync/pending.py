"""One run at a time: the lock, the run that is handed to the apply job, and its request."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime

from fleet.node.sync.facts import boot_id
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.sync import Lease, RunRequest


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


def confirmation(machine: Machine, run_id: str) -> str:
    """The file that says that a run was confirmed."""
    return f"{machine.layout.run(run_id)}/confirmed"


def finished(machine: Machine) -> None:
    """No run is pending any more."""
    machine.disk.remove(machine.layout.state("pending"))


def busy(lease: Lease) -> Problem:
    """What to say when the node is somebody else's."""
    who = f"run {lease.run_id} of {lease.holder or 'somebody'} has the node"
    if lease.since_seconds:
        who += f" since {datetime.fromtimestamp(lease.since_seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if lease.key_fingerprint:
        who += f", with the key {lease.key_fingerprint}"
    if lease.expires_in_seconds is None:
        ends = "it was handed over: it ends by itself"
    else:
        ends = f"it is free in {lease.expires_in_seconds:.0f} s unless its laptop is heard again"
    hint = "wait until it is done, then deploy again; --steal takes the node over"
    return Problem("the node is busy", code="busy", detail=f"{who}\n{ends}", hint=hint)


def _busy(raw: bytes) -> Problem:
    try:
        holder = json.loads(raw)
        who = f"run {holder['run_id']} (process {holder['pid']}) is at work"
    except (ValueError, KeyError, TypeError):
        who = "another run is at work"
    return Problem("the node is busy", code="busy", detail=who, hint="wait until it is done, then deploy again")
