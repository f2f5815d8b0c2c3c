"""`fleet secret rotate`: another value, deployed to exactly what uses it, and for keys of gateways without a gap.

A key that gateways take is changed in three deploys: all take the new one too; all that show it show the new one; the
old one is forgotten. Where the change stands is seen by the files beside the key, so it goes on where it stopped, and
a plain `fleet deploy` at any moment is right as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.control.actions.deploy import Deployer, Prepared, Wanted, run_batches, verdict
from fleet.control.actions.secret_uses import keys_that_follow
from fleet.control.desired.keys import NEXT, PREVIOUS
from fleet.control.rollout.drive import Aids
from fleet.control.rollout.plan import NodePlan
from fleet.control.supply.secrets.keyfile import KeyFile
from fleet.errors import FleetError, RunFailed, UsageError
from fleet.vocabulary.contracts.events import RunEvent
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One secret, the nodes that use it, and what it is: `rings` are `fleet_key` and `gateway_key`, where it is one."""

    file: KeyFile
    nodes: tuple[NodeName, ...]
    rings: frozenset[str] = frozenset()

    @property
    def begun(self) -> bool:
        """Whether a change of a gateway's key has not come to its end."""
        return bool(self.rings) and (self.file.next.exists() or self.file.previous.exists())

    @property
    def for_clients(self) -> bool:
        """Whether people and programs that fleet does not know show this key."""
        return "gateway_key" in self.rings


class View(Protocol):
    """Something that shows one run while it is entered."""

    def show(self, event: RunEvent) -> None:
        """Show one event."""
        ...

    def __enter__(self) -> View: ...

    def __exit__(self, *exc: object) -> None: ...


class Rotator:
    """Carries out one rotation. `tell` hears of each step, `view` makes what shows each of its runs.

    `go_on` is asked where a strategy pauses: whether batch N may begin, None when nobody is there.
    """

    def __init__(
        self,
        deployer: Deployer,
        rotation: Rotation,
        *,
        wanted: Wanted,
        view: Callable[[], View],
        tell: Callable[[str], None],
        go_on: Callable[[int], bool | None] = lambda _: None,
    ) -> None:
        self._deployer = deployer
        self._rotation = rotation
        self._wanted = wanted
        self._view = view
        self._tell = tell
        self._go_on = go_on

    def rotate(self, value: Callable[[], Secret]) -> None:
        """Change the secret, or go on with a change; `value` is asked for a new one only when none is under way.

        Raises UsageError, SupplyError, RunFailed when other changes wait on a node, and what the deploys raise.
        """
        file, rings = self._rotation.file, self._rotation.rings
        if not self._rotation.begun:
            self._require_quiet()
            file.propose(value())
        if rings and file.next.exists():
            self._deploy("every gateway takes the new key beside the old one")
        file.switch()
        self._deploy("the new one is shown, the old one still taken" if rings else "the new value")
        if rings and not self._rotation.for_clients:
            self.finish()

    def finish(self) -> None:
        """Forget the old value of a key that gateways take. Raises UsageError while the new one is not shown."""
        file = self._rotation.file
        if file.next.exists():
            raise UsageError(
                "the new key is not shown everywhere yet", hint=f"fleet secret rotate {file.reference} goes on"
            )
        file.retire()
        if self._rotation.rings:
            self._deploy("the old key is forgotten")

    def _require_quiet(self) -> None:
        """Nothing but this change is to be deployed: refuse before anything is written."""
        prepared = self._prepare()
        with self._view() as view, self._deployer.run(prepared, show=view.show) as run:
            run.check()
            run.release()
        problem = verdict({name: result for name, result in run.results.items() if result.error})
        if problem:
            raise problem
        self._refuse_others(prepared, [*run.plans.values()], allowed=())

    def _deploy(self, what: str) -> None:
        self._tell(what)
        file = self._rotation.file
        prepared = self._prepare()
        with self._view() as view, self._deployer.run(prepared, show=view.show) as run:
            run.check()
            run.leave_refused()
            allowed = tuple(f"{file.reference}{ending}" for ending in ("", NEXT, PREVIOUS))
            try:
                self._refuse_others(prepared, [*run.plans.values()], allowed=allowed)
            except FleetError:
                run.release()
                raise
            order = run_batches(prepared, run.plans, run.results)
            if order:
                readiness = self._deployer.readiness(prepared, run.plans)
                run.apply(run.walk(order, readiness.capacity()), Aids(look=readiness.look, ask=self._go_on))
        problem = verdict(run.results)
        if problem:
            problem.hint = f"mend the cause; fleet secret rotate {file.reference} goes on where it stopped"
            raise problem

    def _prepare(self) -> Prepared:
        return self._deployer.prepare(self._wanted)

    def _refuse_others(self, prepared: Prepared, plans: Sequence[NodePlan], *, allowed: Sequence[str]) -> None:
        compiled = {job.name: job.compiled for job in prepared.jobs}
        for plan in plans:
            follows = keys_that_follow(compiled[plan.node], allowed)
            others = [change.step.key for change in plan.changes if change.step.key not in follows]
            if others:
                raise RunFailed(
                    "other changes wait to be deployed, and a rotation carries out none but its own",
                    node=plan.node,
                    detail="\n".join(others[:10]),
                    hint=f"fleet deploy --on {','.join(self._rotation.nodes)}, then the rotation again",
                )
