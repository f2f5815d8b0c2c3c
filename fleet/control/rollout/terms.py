"""What holds for every node of a run: who does it, as what, from which checkout, and what was typed to lift a guard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import fleet
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.checkout import Checkout
from fleet.control.rollout.guard import Judged
from fleet.control.rollout.plan import NodePlan
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.sync import Commit, Hello
from fleet.vocabulary.names import NodeName, RunId

Judge = Callable[[NodeName, Hello, NodePlan], Judged]
"""Says whether a node may be changed, from its Hello and from what would be done."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The git commit that a state was made from, and whether files differed from it. None: not known."""

    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Frozen for the whole run. `action` is the command: deploy, rollback. `steal` takes nodes over from other runs.

    The states of a deploy come from `checkout`; where those of a rollback come from, each node knows itself.
    """

    operator: str
    action: str = "deploy"
    force: bool = False
    steal: bool = False
    checkout: Checkout | None = None
    judge: Judge | None = None
    audit: Callable[[AuditLine], None] | None = None

    def write_down(self, line: AuditLine) -> None:
        """Into the laptop's audit. Raises OSError."""
        if self.audit:
            self.audit(line)

    def judged(self, node: NodeName, hello: Hello, plan: NodePlan) -> Judged:
        """What the guards of this run say of a node."""
        return self.judge(node, hello, plan) if self.judge else Judged()

    def commit(self, plan: NodePlan, *, run_id: RunId, pace: Pace) -> Commit:
        """What the node is told when it is to begin. It refuses when it is not what the plan was made against."""
        origin = self._here() if self.action == "deploy" else Origin()
        return Commit(
            run_id=run_id,
            operator=self.operator,
            healthy_deadline_seconds=pace.healthy_deadline_seconds,
            confirm_seconds=pace.confirm_seconds,
            force=self.force,
            expect_current=plan.current,
            action=self.action,
            git_commit=origin.commit,
            git_dirty=origin.dirty,
            fleet_version=fleet.__version__,
        )

    def _here(self) -> Origin:
        return Origin(commit=self.checkout.commit, dirty=self.checkout.dirty) if self.checkout else Origin()
