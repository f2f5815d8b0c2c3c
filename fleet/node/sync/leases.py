"""Whose the node is: a lease beside the lock.

The lock (flock) excludes: the kernel frees it with its process. The lease says whose the node is, outlives a
connection for a while, and lets somebody take the node over: with every lease the fence rises, and a run that sees a
higher one than its own stops before its next step, or goes back if it had begun. ROOT/state/lease.json keeps the last
lease even when it is over, so that the fence only rises and a run that lost the node can say to whom.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fleet.node.sync.facts import boot_id
from fleet.node.sync.machine import Machine
from fleet.node.sync.pending import busy, pending_run, read_request
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.sync import Hold, Lease

_SHORTEST_SECONDS, _LONGEST_SECONDS = 5.0, 3600.0


class Stolen(Problem):
    """Somebody else has taken the node over."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """The last lease, as it lies on the disk. `until` is in seconds since boot, sleep counted (Host.uptime_seconds).

    `until` None: a run was handed over, and the node is its until it ends. Another boot makes a lease void.
    """

    run_id: str
    fence: int
    holder: str = ""
    key_fingerprint: str | None = None
    since_seconds: float = 0.0
    boot_id: str | None = None
    seconds: float = 120.0
    until: float | None = None
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class Leases:
    """The node's one lease."""

    machine: Machine

    def held(self) -> Lease | None:
        """Whose the node is now; None when it is nobody's."""
        last = self._last()
        return self._shown(last) if last is not None and self._is_live(last) else None

    def take(self, run_id: str, wish: Hold) -> tuple[int, Lease | None]:
        """Make the node this run's: the fence, and whose it was if it was taken from somebody. Raises Problem `busy`.

        A run may always take its own lease again: its connection was cut, and it came back.
        """
        with self._guarded():
            last = self._last()
            other = last is not None and last.run_id != run_id and self._is_live(last)
            holder = self._shown(last) if last is not None and other else self._handed_over(run_id)
            if holder is not None and not wish.steal:
                raise busy(holder)
            seconds = min(max(wish.seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)
            fence = 1 + max(last.fence if last else 0, holder.fence if holder else 0)
            self._write(
                Held(
                    run_id=run_id,
                    fence=fence,
                    holder=wish.holder,
                    key_fingerprint=wish.key_fingerprint,
                    since_seconds=self.machine.clock.now().timestamp(),
                    boot_id=boot_id(self.machine),
                    seconds=seconds,
                    until=self.machine.host.uptime_seconds() + seconds,
                )
            )
            return fence, holder

    def require(self, fence: int) -> None:
        """Raise Stolen when somebody took the node over since."""
        last = self._last()
        if last is not None and last.fence > fence:
            since = datetime.fromtimestamp(last.since_seconds, UTC)
            raise Stolen(
                f"{last.holder or 'somebody'} took the node over",
                code="stolen",
                detail=f"run {last.run_id}, {since:%Y-%m-%d %H:%M:%S} UTC",
                hint=f"talk to {last.holder or 'whoever did it'} before you deploy again",
            )

    def renew(self, fence: int) -> None:
        """The laptop was heard: the lease counts from now. Raises Stolen."""
        self._change(fence, lambda last: replace(last, until=self.machine.host.uptime_seconds() + last.seconds))

    def hand_over(self, fence: int) -> None:
        """From here on the node is the run's until it ends, however long that takes. Raises Stolen."""
        self._change(fence, lambda last: replace(last, until=None))

    def end(self, fence: int) -> None:
        """The node is nobody's any more; somebody else's lease is left alone."""
        with contextlib.suppress(Stolen):
            self._change(fence, lambda last: replace(last, over=True))

    def _change(self, fence: int, change: Callable[[Held], Held]) -> None:
        with self._guarded():
            self.require(fence)
            last = self._last()
            if last is not None and last.fence == fence:
                self._write(change(last))

    def _handed_over(self, run_id: str) -> Lease | None:
        """The run that the apply job has not finished: it has the node, whatever became of its lease."""
        active = pending_run(self.machine)
        if active is None or active == run_id:
            return None
        request = read_request(self.machine, active)
        if request is None:
            return Lease(run_id=active)
        return Lease(
            run_id=active,
            holder=request.operator,
            key_fingerprint=request.key_fingerprint,
            since_seconds=request.requested_at_seconds,
            fence=request.fence or 0,
        )

    def _is_live(self, last: Held) -> bool:
        if last.over or last.boot_id != boot_id(self.machine):
            return False
        if last.until is None:
            return pending_run(self.machine) == last.run_id
        # More than it was taken for is left when the machine was restarted and did not say so.
        return 0 < last.until - self.machine.host.uptime_seconds() <= last.seconds

    def _shown(self, last: Held) -> Lease:
        left = None if last.until is None else round(last.until - self.machine.host.uptime_seconds(), 1)
        return Lease(
            run_id=last.run_id,
            holder=last.holder,
            key_fingerprint=last.key_fingerprint,
            since_seconds=last.since_seconds,
            expires_in_seconds=left,
            fence=last.fence,
        )

    def _last(self) -> Held | None:
        raw = self.machine.disk.read(self._path, limit_bytes=65536)
        if raw is None:
            return None
        try:
            return decode(raw, Held)
        except ContractError:
            # A number that no count ever reached: the fence must rise, whatever it was.
            return Held(run_id="", fence=int(self.machine.clock.now().timestamp()), over=True)

    def _write(self, held: Held) -> None:
        self.machine.disk.write(self._path, canonical(held), mode=0o600)

    @property
    def _path(self) -> str:
        return self.machine.layout.state("lease.json")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Nobody else changes the lease meanwhile; held for one small write only."""
        path = self.machine.layout.state("lease.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
