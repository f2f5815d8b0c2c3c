"""One conversation's grip on the node: its lock and its lease, kept while the laptop is heard."""

from __future__ import annotations

import contextlib

from fleet.node.sync.leases import Leases
from fleet.node.sync.machine import Machine
from fleet.node.sync.pending import busy, lock, pending_run
from fleet.node.sync.problem import Problem
from fleet.node.sync.tail import kick
from fleet.vocabulary.contracts.sync import Held, Hold, Lease

_RENEW_SHARE = 0.25
_LETS_GO_SECONDS = 300.0
_KICK_SECONDS = 3.0
_POLL_SECONDS = 0.2


class Holding:
    """Takes the node for one run, and gives it back unless the run was handed over. Built without I/O."""

    def __init__(self, machine: Machine, run_id: str) -> None:
        self._machine = machine
        self._run_id = run_id
        self._leases = Leases(machine=machine)
        self._lock = contextlib.ExitStack()
        self._renewed_at = 0.0
        self._looked_at = 0.0
        self._seconds = 0.0
        self._handed_over = False
        self.fence: int | None = None

    def take(self, wish: Hold) -> Held:
        """The node is this run's when this returns. Raises Problem `busy`."""
        self._seconds = wish.seconds
        if wish.steal:
            fence, victim = self._leases.take(self._run_id, wish)
            self.fence = fence
            self._wait_for_the_lock(fence)
        else:
            self.lock()
            fence, victim = self._leases.take(self._run_id, wish)
            self.fence = fence
        self._renewed_at = self._looked_at = self._machine.host.uptime_seconds()
        return Held(fence=fence, stolen_from=victim)

    def lock(self) -> None:
        """Be the only one at work, without a lease: enough for what is over at once. Raises Problem `busy`."""
        try:
            self._lock.enter_context(lock(self._machine, self._run_id, wait=False))
        except Problem as problem:
            holder = self._leases.held()
            raise (busy(holder) if holder is not None else problem) from None
        active = pending_run(self._machine)
        if active is not None:
            raise busy(self._leases.held() or Lease(run_id=active))

    def heard(self) -> None:
        """The laptop lives: the lease counts from now. Raises Stolen."""
        now = self._machine.host.uptime_seconds()
        if self.fence is not None and now - self._renewed_at >= self._seconds * _RENEW_SHARE:
            self._leases.renew(self.fence)
            self._renewed_at = self._looked_at = now
        else:
            self.look()

    def look(self) -> None:
        """Whether the node is still this run's; looked up once a second at most. Raises Stolen."""
        now = self._machine.host.uptime_seconds()
        if self.fence is not None and now - self._looked_at >= 1.0:
            self._looked_at = now
            self._leases.require(self.fence)

    def require(self) -> None:
        """Raise Stolen when somebody has taken the node over."""
        if self.fence is not None:
            self._leases.require(self.fence)

    def hand_over(self) -> None:
        """The apply job has the node from here on, until its run ends. Raises Stolen."""
        if self.fence is not None:
            self._leases.hand_over(self.fence)
            self._handed_over = True

    def let_go(self) -> None:
        """Free the lock: the apply job takes it now."""
        self._lock.close()

    def close(self) -> None:
        """Give the node back, unless the apply job has it."""
        try:
            if self.fence is not None and not self._handed_over:
                with contextlib.suppress(OSError):
                    self._leases.end(self.fence)
        finally:
            self._lock.close()

    def _wait_for_the_lock(self, fence: int) -> None:
        """Until whoever had the node has stopped, and a run that was handed over has gone back. Raises Problem."""
        clock = self._machine.clock
        began, kicked = clock.monotonic(), float("-inf")
        while True:
            with contextlib.suppress(Problem):
                self.lock()
                return
            self._lock.close()
            now = clock.monotonic()
            if now - began >= _LETS_GO_SECONDS:
                raise Problem(
                    "the node was taken over, but whoever had it does not let go",
                    code="busy",
                    detail=f"it still works after {_LETS_GO_SECONDS:.0f} s",
                    hint="fleet logs NODE apply shows what it does; a reboot of the node ends it",
                )
            if pending_run(self._machine) is not None and now - kicked >= _KICK_SECONDS:
                kicked = now
                with contextlib.suppress(Problem):  # one that runs sees by itself that it lost the node
                    kick(self._machine)
            clock.sleep(_POLL_SECONDS)
            self._leases.renew(fence)
