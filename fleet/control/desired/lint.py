"""What can be said of inventory, playbook and templates without any node: every finding with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.control.desired.compile import daemon_names
from fleet.control.desired.expand import NodePlaybook, expand
from fleet.control.desired.keys import edges_of
from fleet.control.desired.manifests import manifests_of
from fleet.control.desired.needs import missing_files, model_need, model_tasks, needs_of
from fleet.control.desired.nodestate import NodeCompiler
from fleet.control.desired.plists import check_plist
from fleet.control.desired.rehearsal import as_if_adopted, rehearsal_supplies
from fleet.control.desired.roster import Roster, rosters
from fleet.control.desired.states import Compiled
from fleet.control.desired.stuck import stuck
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Finding, Inventory, Project
from fleet.control.inventory.project import packaged_dir
from fleet.control.playbook.playbook import Playbook
from fleet.control.playbook.predicates import Undecided
from fleet.errors import ConfigError, FitError, FleetError
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.names import GatewayRole, NodeName

_REFERENCE = re.compile(r"""\bvars\.([A-Za-z_]\w*)|\bvars\[\s*["']([^"']+)|\bvar:\s*["']?([A-Za-z_]\w*)""")


@dataclass(frozen=True, kw_only=True)
class Lint:
    """What was found, and the memory arithmetic of every node that has sidecars."""

    findings: tuple[Finding, ...]
    fits: Mapping[NodeName, str]

    @property
    def errors(self) -> int:
        """How many findings stop a deploy."""
        return sum(finding.level == "error" for finding in self.findings)


def lint(inventory: Inventory, playbook: Playbook, *, project: Project, facts: Mapping[NodeName, Facts]) -> Lint:
    """Everything that can be known before any connection. Raises nothing for what is in the project's files.

    What a deploy asks the node for and nobody knows yet is a warning, not an error.
    """
    findings = [*inventory.warnings, *inventory.unused(references(project, playbook))]
    fits: dict[NodeName, str] = {}
    whole = as_if_adopted(inventory)
    try:
        books = expand(whole, playbook, facts=facts, templates=Templates(project))
        lists = rosters(books)
    except Undecided as error:
        return Lint(findings=(*findings, finding_of(error, known=bool(facts))), fits={})
    except FleetError as error:
        return Lint(findings=(*findings, finding_of(error)), fits={})
    findings += [Finding(t.place, "warning", text, hint) for t, text, hint in missing_files([*books.values()], project)]
    elsewhere = daemon_names(playbook, lists)
    manifests = manifests_of(books, project)
    for name, book in books.items():
        weighed = all(model_need(model, project).manifest_path.is_file() for _, model in model_tasks(book))
        try:
            supplies = rehearsal_supplies(needs_of([book], lists, project))
            compiled = NodeCompiler(
                book, lists, supplies, project, elsewhere, manifests, clients=inventory.client_keys
            ).compile()
        except FleetError as error:
            if not isinstance(error, FitError):
                findings.append(finding_of(error, place=book.node.place))
            elif weighed:
                findings.append(finding_of(error, place=book.node.place, known=_sized(book)))
            continue
        findings += _of_state(book, compiled)
        if compiled.fit and weighed:
            fits[name] = compiled.fit.text
    findings += [finding for entry in lists.values() for finding in _unreachable_edges(entry, lists)]
    findings += stuck(whole, playbook, lists)
    return Lint(findings=tuple(dict.fromkeys(findings)), fits=fits)


def finding_of(error: FleetError, *, place: str = "", known: bool = True) -> Finding:
    """An error as a finding, at its own place or at `place`; a warning when something is just not `known` yet."""
    own = error.place if isinstance(error, ConfigError) else ""
    title = error.title.removeprefix(f"{own}: ") if own else error.title
    where = f"{error.node}: " if error.node else ""
    detail = "".join(f"\n  {line}" for line in error.detail.splitlines())
    return Finding(
        own or place, "error" if known else "warning", f"{where}{title}{detail}", error.hint.replace("\n", "\n  ")
    )


def references(project: Project, playbook: Playbook) -> frozenset[str]:
    """The variables that playbooks and templates name."""
    folders = [base / kind for base in (project.root, packaged_dir()) for kind in ("playbooks", "templates")]
    paths = [playbook.path, *(path for folder in folders for path in sorted(folder.rglob("*")))]
    found = [match for path in paths if path.is_file() for match in _REFERENCE.findall(_text(path))]
    return frozenset(name for names in found for name in names if name)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _sized(book: NodePlaybook) -> bool:
    """Whether the node's memory is known, so that a fit that fails is a fault and not a question."""
    settings = book.node.settings
    return book.facts is not None or settings.memory_gb is not None or settings.wired_limit_mb is not None


def _of_state(book: NodePlaybook, compiled: Compiled) -> Iterator[Finding]:
    for daemon in compiled.state.daemons:
        plist = compiled.contents[daemon.plist.digest]
        if isinstance(plist, bytes):
            yield from check_plist(plist.decode(), label=daemon.label, domain=book.layout.domain)
    if compiled.fit and compiled.fit.tight:
        last = compiled.fit.text.splitlines()[-1]
        yield Finding(
            book.node.place,
            "warning",
            f"{book.node.name}: its models take more than 80 % of what the GPU may wire ({last})",
            "panics were reported near the limit: a smaller kv_reserve or model is safer",
        )
    if book.layout.domain != "system":
        gone = "ends when that user logs out" if book.layout.domain.startswith("gui/") else "does not start at boot"
        yield Finding(
            book.node.place, "warning", f"{book.node.name}: a job of {book.layout.domain} {gone}", "domain: system"
        )


def _unreachable_edges(front: Roster, lists: Mapping[NodeName, Roster]) -> Iterator[Finding]:
    if front.role is not GatewayRole.FRONT:
        return
    for edge in edges_of(front, lists):
        settings = edge.node.settings
        host = settings.gateway_url_host or edge.node.address
        if is_loopback(settings.gateway_bind) and not is_loopback(host):
            yield Finding(
                edge.node.place,
                "warning",
                f"{edge.node.name}: {front.node.name} reaches its edge at {host}, and the edge binds loopback only",
                "gateway_bind: 0.0.0.0 (TLS with a pinned key, and a key to show)",
            )
