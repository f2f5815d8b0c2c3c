"""`fleet plan` and `fleet deploy` are one path: compile, check, show, apply (DESIGN section 6)."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from fleet.control.actions import shortcut
from fleet.control.actions.facts import FactsStore
from fleet.control.actions.gateways import Gateways, answered, fleet_key, gateways
from fleet.control.actions.playbooks import playbook_of
from fleet.control.actions.readiness import Readiness, copies_of, interrupted, seen_by_run
from fleet.control.actions.runs import Recorder, going_on, record_of, require_same_states, to_resume, to_retry
from fleet.control.actions.savedplans import held_to, judge_of, require_same_words
from fleet.control.actions.spread import on_each
from fleet.control.desired import compile_states, needs
from fleet.control.desired.states import Compiled
from fleet.control.desired.supplies import Supplies
from fleet.control.inventory import Inventory, Node, load_inventory
from fleet.control.inventory.project import Project
from fleet.control.link.ahead import Ahead
from fleet.control.link.protocol import Link, target_of
from fleet.control.playbook import Playbook
from fleet.control.rollout.audit import AuditFile
from fleet.control.rollout.batches import Batch, batches
from fleet.control.rollout.checkout import GitCheckout
from fleet.control.rollout.conversation import Content, Conversation, SyncPart, helper_argv
from fleet.control.rollout.guard import Guard
from fleet.control.rollout.journal import Journal, Show, new_run_id
from fleet.control.rollout.met import Met
from fleet.control.rollout.moves import GOOD
from fleet.control.rollout.nodejob import NodeJob, NodeResult
from fleet.control.rollout.plan import NodePlan
from fleet.control.rollout.planfile import SavedPlan, planned_node, saved_plan
from fleet.control.rollout.run import Run
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.control.rollout.terms import Origin, Terms
from fleet.control.rollout.walk import Walk
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import model_file
from fleet.control.supply.nodepart import sync_zipapp
from fleet.control.supply.resolve import resolve
from fleet.errors import FleetError, NotAdopted, PartialFailure, RunFailed, Unreachable, UsageError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.contracts.gateway_admin import RouteReports
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName, RunId

_LOOK_SECONDS = 10.0
if TYPE_CHECKING:
    from fleet.control.supply.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asked for."""

    playbook: str = "site.yml"
    on: str | None = None
    overrides: tuple[str, ...] = ()
    bundle: Bundle | None = None
    """Take everything from it: nothing is fetched, and no uv is run."""
    force: bool = False
    """Typed to lift the guards against a stale checkout, and against a release that failed before."""
    downgrade: bool = False
    """Typed to deploy over what a newer fleet deployed."""
    refresh_secrets: bool = False
    """Look at every secret, whether or not it seems to be what it was."""
    steal: bool = False
    """Typed to take nodes over from other runs."""
    saved: SavedPlan | None = None
    """Do exactly this plan; playbook and nodes are its own."""
    resume: RunRecord | None = None
    """Go on with this run; playbook and nodes are its own."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Everything that a run needs, decided on the laptop."""

    inventory: Inventory
    playbook: Playbook
    jobs: tuple[NodeJob, ...]
    sync: SyncPart
    lost: Mapping[NodeName, FleetError] = field(default_factory=dict)
    wanted: Wanted = field(default_factory=Wanted)
    action: str = "deploy"
    run_id: RunId | None = None
    """What nodes were asked as; None: of no run yet."""
    link: Link | None = None
    """What has begun to connect with its nodes."""


class Deployer:
    """Carries a wish of the command line to a Run. Built without I/O."""

    def __init__(
        self, project: Project, *, link: Link, cache: Cache, clock: Clock, notify: Callable[[str], None]
    ) -> None:
        self._project = project
        self._link = link
        self._cache = cache
        self._clock = clock
        self._notify = notify
        self._facts = FactsStore(project)
        self.runs = RunStore(project.state_dir / "runs")

    def prepare(self, wanted: Wanted) -> Prepared:
        """Compile a desired state for every wanted node.

        A node that was never seen and does not answer now is left out and told. Raises ConfigError for wrong files,
        NotAdopted, FitError, SupplyError, Unreachable (no node answers).
        """
        if wanted.saved:
            require_same_words(wanted.saved, wanted.overrides)
            wanted = replace(wanted, playbook=wanted.saved.playbook, on=wanted.saved.on)
        asked = shortcut.asked_for(self._project, playbook=wanted.playbook, on=wanted.on, overrides=wanted.overrides)
        before = asked.inputs(())
        inventory = load_inventory(self._project, overrides=wanted.overrides)
        playbook = playbook_of(self._project, wanted.playbook)
        nodes = inventory.select(wanted.on, facts=self._facts.load(inventory.nodes))
        if not nodes:
            raise UsageError(f"no node fits {wanted.on!r}", hint="fleet inventory list shows the nodes")
        _refuse_unadopted(nodes)
        digest, content = sync_zipapp()
        sync = SyncPart(digest=digest, content=content)
        run_id = new_run_id(self._clock.now())
        targets = (target_of(node, base=self._project.root) for node in nodes)
        ahead = Ahead(self._link, targets, clock=self._clock)
        with ExitStack() as unused:
            unused.callback(ahead.close)
            facts, lost, met = self._facts_of(nodes, inventory, sync, run_id, link=ahead)
            for one in met.values():
                unused.callback(one.session.close)
            if len(lost) == len(nodes):
                raise next(iter(lost.values()))
            nodes = tuple(node for node in nodes if node.name not in lost)
            # A front routes to nodes that are not part of this run: they are compiled for, not deployed to.
            wants = needs(inventory, playbook, facts=facts, nodes=nodes, project=self._project)
            supplies = resolve(
                wants,
                project=self._project,
                cache=self._cache,
                bundle=wanted.bundle,
                notify=self._notify,
                refresh_secrets=wanted.refresh_secrets,
            )
            compiled = compile_states(
                inventory, playbook, facts=facts, nodes=nodes, supplies=supplies, project=self._project
            )
            supplies.memo.save()
            jobs = tuple(
                replace(
                    self._job(node, compiled[node.name], supplies, facts.get(node.name), bundle=wanted.bundle),
                    met=met.get(node.name),
                )
                for node in nodes
                if node.name in compiled
            )
            if not lost:
                references = [need.reference for need in wants.secrets]
                shortcut.remember(asked, before, references=references, jobs=jobs, sync=digest)
            if wanted.resume:
                require_same_states(wanted.resume, {job.name: job for job in jobs}, force=wanted.force)
            if wanted.saved:
                jobs, others = held_to(wanted.saved, jobs, lost=list(lost))
                lost |= others
            unused.pop_all()
            ahead.keep(job.name for job in jobs)
            for name in met.keys() - {job.name for job in jobs}:
                met[name].session.close()
        return Prepared(
            inventory=inventory,
            playbook=playbook,
            jobs=jobs,
            sync=sync,
            lost=lost,
            wanted=wanted,
            run_id=run_id,
            link=ahead,
        )

    def of_run(self, wanted: Wanted, *, failed: bool = False, resume: str | None = None) -> Wanted:
        """What is wanted of a run that was: to go on with it, or to retry the last one. Raises UsageError."""
        if resume:
            record = self.runs.one(resume)
            on = to_resume(record, live=self.runs.is_live(record.run_id))
            return replace(wanted, playbook=record.playbook, on=",".join(on), resume=record)
        if failed:
            record = self.runs.last()
            return replace(wanted, playbook=record.playbook, on=to_retry(record))
        return wanted

    def origin(self, prepared: Prepared) -> Origin:
        """The git commit that inventory and playbook are at; of a rollback each node has its own."""
        if prepared.action != "deploy":
            return Origin()
        checkout = GitCheckout(self._project.root)
        return Origin(commit=checkout.commit, dirty=checkout.dirty)

    def save(self, prepared: Prepared, run: Run, *, origin: Origin) -> SavedPlan:
        """What `run` found out, as a plan for later."""
        facts = self._facts.load(run.plans)
        return saved_plan(
            {name: planned_node(plan, facts.get(name)) for name, plan in run.plans.items()},
            playbook=prepared.wanted.playbook,
            on=prepared.wanted.on,
            overrides=prepared.wanted.overrides,
            git=(origin.commit, origin.dirty),
            now=self._clock.now(),
        )

    def run(self, prepared: Prepared, *, show: Show) -> Run:
        """A run over the prepared nodes; nothing is contacted yet."""
        resumed = prepared.wanted.resume
        run_id = resumed.run_id if resumed else prepared.run_id or new_run_id(self._clock.now())
        journal = Journal(run_id, clock=self._clock, show=show, path=self.runs.journal(run_id))
        return Run(
            prepared.jobs,
            link=prepared.link or self._link,
            sync=prepared.sync,
            journal=journal,
            facts_seen=self._facts.save,
            terms=self._terms(prepared),
            clock=self._clock,
            lost=prepared.lost,
        )

    def _terms(self, prepared: Prepared) -> Terms:
        wanted = prepared.wanted
        checkout = GitCheckout(self._project.root) if prepared.action == "deploy" else None
        guard = Guard(checkout=checkout, force=wanted.force, downgrade=wanted.downgrade)
        judge = judge_of(guard, wanted.saved)
        return Terms(
            operator=operator_name(),
            action=prepared.action,
            force=wanted.force,
            steal=wanted.steal,
            checkout=checkout,
            judge=judge,
            audit=AuditFile(self._project.state_dir / "audit.jsonl").add,
        )

    def readiness(self, prepared: Prepared, plans: Mapping[NodeName, NodePlan]) -> Readiness:
        """Who looks who serves what while the run goes on."""
        inventory, playbook = prepared.inventory, prepared.playbook
        takes = interrupted(prepared.jobs, plans)
        facts = self._facts.load(inventory.nodes)
        looked_at = {job.name for job in prepared.jobs}
        return Readiness(
            copies=copies_of(inventory, playbook, facts, self._project) if takes else {},
            takes=takes,
            ran=seen_by_run(prepared.jobs, plans),
            others=[node for node in inventory.nodes.values() if node.name not in looked_at],
            ask=partial(self._ask_fronts, inventory, playbook),
            reach=lambda node: self._link.connect(
                target_of(node, base=self._project.root), deadline_seconds=_LOOK_SECONDS
            ).close(),
        )

    def _ask_fronts(self, inventory: Inventory, playbook: Playbook) -> list[RouteReports]:
        doors = Gateways(self._link, base=self._project.root, key_for=fleet_key(self._project))
        try:
            fronts = [gateway for gateway in gateways(inventory, playbook) if gateway.is_front]
            return list(answered(doors.each(fronts, lambda door: door.routes())).values())
        finally:
            doors.close()

    def recorder(self, prepared: Prepared, run: Run, walk: Walk) -> Recorder:
        """Keeps the record of a run, from here on; that of a run which goes on is kept as it was."""
        jobs = {job.name: job for job in prepared.jobs}
        begun = record_of(
            run.run_id,
            walk,
            playbook=prepared.wanted.playbook,
            overrides=prepared.wanted.overrides,
            action=prepared.action,
            operator=operator_name(),
            jobs=jobs,
            before=run.before,
            results=run.results,
            clock=self._clock,
        )
        resumed = prepared.wanted.resume
        record = going_on(resumed, begun) if resumed else begun
        return Recorder(record, self.runs, clock=self._clock)

    def _facts_of(
        self, nodes: Sequence[Node], inventory: Inventory, sync: SyncPart, run_id: RunId, *, link: Link
    ) -> tuple[dict[NodeName, Facts], dict[NodeName, FleetError], dict[NodeName, Met]]:
        """The facts of all nodes that were ever seen, those of `nodes` asked for; who could not be asked, why.

        And the conversations with those that were asked: they wait, to be gone on with.
        """
        facts = self._facts.load(inventory.nodes)
        lost: dict[NodeName, FleetError] = {}
        met: dict[NodeName, Met] = {}
        unseen = [node for node in nodes if node.name not in facts]

        def ask(node: Node) -> tuple[NodeName, Met | FleetError]:
            return node.name, self._ask_facts(node, sync, run_id, link)

        asked = on_each(
            unseen,
            ask,
            failed=lambda node, error: (node.name, error),
        )
        for name, answer in asked:
            if isinstance(answer, FleetError):
                lost[name] = answer
                continue
            met[name] = answer
            if answer.hello.facts:
                facts[name] = answer.hello.facts
                self._facts.save(name, answer.hello.facts)
        return facts, lost, met

    def _ask_facts(self, node: Node, sync: SyncPart, run_id: RunId, link: Link) -> Met:
        session = link.connect(target_of(node, base=self._project.root), deadline_seconds=15.0)
        try:
            helper = helper_argv(node.settings.layout(), sudo=node.settings.sudo)
            talk = Conversation(session, node=node.name, helper=helper, sync=sync)
            hello = talk.open(state_id="-", run_id=run_id)
        except BaseException:
            session.close()
            raise
        return Met(session=session, talk=talk, hello=hello, run_id=run_id)

    def _job(
        self, node: Node, compiled: Compiled, supplies: Supplies, facts: Facts | None, *, bundle: Bundle | None
    ) -> NodeJob:
        contents: dict[str, Content | Callable[[], Content]] = {**compiled.contents, **compiled.secrets}
        packed = [
            *supplies.envs.values(),
            *supplies.archives.values(),
            *(p for p in supplies.interpreters.values() if p),
            supplies.app,
        ]
        contents |= {pack.archive.digest: self._cache.blob_path(pack.archive.digest) for pack in packed}
        for manifest in supplies.models.values():
            for file in manifest.files:
                # Gigabytes: had when a node lacks them, never for a plan or for a node that holds them.
                contents[f"sha256:{file.sha256}"] = partial(
                    model_file,
                    manifest,
                    file,
                    cache=self._cache,
                    project=self._project,
                    fetch=bundle is None,
                    notify=self._notify,
                )
        contents |= bundle.parts if bundle else {}
        return NodeJob(
            name=node.name,
            target=target_of(node, base=self._project.root),
            helper=helper_argv(node.settings.layout(), sudo=node.settings.sudo),
            compiled=compiled,
            contents=contents,
            salt=node.settings.secret_salt or "",
            facts=facts,
            peer_host=node.address.strip("[]") if node.settings.peer_weights else None,
            peer_bytes_per_second=node.settings.peer_bytes_per_second,
        )


def run_batches(
    prepared: Prepared, plans: Mapping[NodeName, NodePlan], results: Mapping[NodeName, NodeResult] | None = None
) -> tuple[Batch, ...]:
    """The batches of a run, from the playbook's strategies. `results` tell who could not be looked at."""
    plays = [
        (play.name, play.pace, [node.name for node in prepared.inventory.select(play.hosts)])
        for play in prepared.playbook.plays
    ]
    return batches(
        plays,
        {name: not plan.idle for name, plan in plans.items()},
        lost=[name for name, result in (results or {}).items() if result.outcome not in GOOD],
        memory={job.name: job.facts.memory_bytes for job in prepared.jobs if job.facts and job.facts.memory_bytes},
    )


def verdict(results: Mapping[NodeName, NodeResult]) -> FleetError | None:
    """What the whole run amounts to: None when every node is as it should be."""
    good = [r for r in results.values() if r.outcome in GOOD]
    bad = [r for r in results.values() if r not in good]
    if not bad:
        return None
    names = ", ".join(f"{r.name} ({r.outcome})" for r in bad)
    back = any(r.outcome is Outcome.REVERTED for r in bad)
    hint = "mend the cause; fleet plan shows what is left to do, fleet deploy does it" if back else ""
    if good:
        return PartialFailure(f"{len(good)} of {len(results)} nodes are as they should be; not: {names}", hint=hint)
    if all(r.outcome is Outcome.UNREACHABLE for r in bad):
        return Unreachable(f"no node could be reached: {names}")
    return RunFailed(f"no node is as it should be: {names}", hint=hint)


def looked_at(results: Mapping[NodeName, NodeResult], plans: Mapping[NodeName, NodePlan]) -> FleetError | None:
    """What a plan amounts to: None when every node could say what it is."""
    bad = [result for result in results.values() if result.name not in plans]
    if not bad:
        return None
    names = ", ".join(f"{result.name} ({result.outcome})" for result in bad)
    if plans:
        return PartialFailure(f"{len(plans)} of {len(plans) + len(bad)} nodes are in this plan; not: {names}")
    if all(result.outcome is Outcome.UNREACHABLE for result in bad):
        return Unreachable(f"no node could be reached: {names}")
    return RunFailed(f"no node could be looked at: {names}")


def operator_name() -> str:
    """Who runs this, for the journals: user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _refuse_unadopted(nodes: Sequence[Node]) -> None:
    strangers = [node.name for node in nodes if not node.settings.adopted]
    if strangers:
        without = ",".join(["all", *(f"!{name}" for name in strangers)])
        raise NotAdopted(
            f"not adopted yet: {', '.join(strangers)}",
            detail="Their SSH keys are not pinned in the inventory, and fleet's helper is not on them.",
            hint=f"fleet adopt {' '.join(strangers)}\nor leave them out: --on '{without}'",
        )
