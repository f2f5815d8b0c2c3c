"""`fleet secret check`: can every secret be had, how old is it, and is it on the nodes as it is here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fleet.control.actions.deploy import Deployer, Wanted
from fleet.control.actions.secret_uses import Use, Uses
from fleet.control.inventory import Project
from fleet.control.supply.secrets import SecretStore
from fleet.control.supply.secrets.version import Version
from fleet.errors import FleetError, SupplyError
from fleet.vocabulary.contracts.desired import File
from fleet.vocabulary.names import NodeName


class There(StrEnum):
    """How a file on a node compares with the secret here."""

    SAME = "same"
    DIFFERS = "differs"
    ABSENT = "absent"
    UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What is known of one reference. `changed_at` is in seconds since the epoch, where its kind can say so."""

    reference: str
    error: SupplyError | None = None
    changed_at: float | None = None
    uses: tuple[Use, ...] = ()
    there: Mapping[tuple[NodeName, str], There] = field(default_factory=dict)
    """By node and path, of the nodes that were asked."""


def check_here(uses: Uses, project: Project) -> tuple[Checked, ...]:
    """Every reference with whether it can be had now."""
    store = SecretStore(project, uses.by_reference)

    def look(reference: str) -> Version | None:
        _ = store[reference]
        return store.version(reference)

    found = store.each(uses.by_reference, look)
    return tuple(
        Checked(
            reference=reference,
            error=one if isinstance(one, SupplyError) else None,
            changed_at=one.changed_at if isinstance(one, Version) else None,
            uses=uses.by_reference[reference],
        )
        for reference, one in found.items()
    )


def look_there(
    deployer: Deployer, wanted: Wanted
) -> tuple[dict[tuple[NodeName, str], There], dict[NodeName, FleetError]]:
    """How the secret files of the wanted nodes compare, by digests that the nodes take; and who did not answer."""
    prepared = deployer.prepare(wanted)
    with deployer.run(prepared, show=lambda _: None) as run:
        run.check()
        run.release()
    found: dict[tuple[NodeName, str], There] = {}
    for job in prepared.jobs:
        plan = run.plans.get(job.name)
        steps = {change.step.key: change.step for change in plan.changes} if plan else {}
        for path in _secret_paths(job.compiled.state.items, job.compiled.secrets):
            step = steps.get(f"file:{path}")
            if plan is None:
                found[job.name, path] = There.UNKNOWN
            elif step is None or (step.action == "update" and "content" not in step.reason):
                found[job.name, path] = There.SAME
            else:
                found[job.name, path] = There.ABSENT if step.action == "create" else There.DIFFERS
    return found, {name: result.error for name, result in run.results.items() if result.error}


def _secret_paths(items: Collection[object], secrets: Collection[str]) -> list[str]:
    return [item.path for item in items if isinstance(item, File) and item.blob.digest in secrets]
