"""The gateways of an inventory, and their admin doors over SSH: who is asked, and what they answer.

All gateways are asked at once; what one of them cannot say is an error beside the answers of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from fleet.control.actions.reach import require_adopted
from fleet.control.actions.spread import on_each
from fleet.control.inventory import Inventory, Node
from fleet.control.inventory.project import Project
from fleet.control.link import http
from fleet.control.link.protocol import Link, Session, target_of
from fleet.control.playbook import Playbook
from fleet.control.playbook.tasks import GatewayDaemon
from fleet.control.supply.secrets import SecretStore
from fleet.errors import FleetError, NodeError, ProtocolError, SupplyError, Unreachable
from fleet.vocabulary.contracts.gateway_admin import (
    DoorReport,
    DoorRequest,
    ExplainRequest,
    Explanation,
    IntentRequest,
    KillRequest,
    LiveRequest,
    LiveRequests,
    NodeIntent,
    RouteReports,
)
from fleet.vocabulary.contracts.ledger_admin import LedgerQuery, LedgerReport, RestoreReport
from fleet.vocabulary.contracts.policy_admin import (
    BudgetReport,
    GrayReports,
    GrayRequest,
    IncidentRequest,
    Incidents,
)
from fleet.vocabulary.contracts.usage import UsageQuery, UsageReport
from fleet.vocabulary.names import GatewayRole, NodeName
from fleet.vocabulary.secret import Secret

T = TypeVar("T")
KeyFor = Callable[[Node], Secret]

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 10.0
LONG_SECONDS = 600.0
_USAGE_SECONDS = 60.0
_PROBE_SECONDS = 3.0
_LONGEST_WORDS = 300
_NO_SUCH_DOOR = ": not found"


@dataclass(frozen=True, kw_only=True)
class GatewayNode:
    """A node that the playbook gives a gateway, and what that gateway is."""

    node: Node
    role: GatewayRole

    @property
    def name(self) -> NodeName:
        """The node's name."""
        return self.node.name

    @property
    def is_front(self) -> bool:
        """Whether clients come here."""
        return self.role is GatewayRole.FRONT


def gateways(inventory: Inventory, playbook: Playbook) -> tuple[GatewayNode, ...]:
    """Every node with a gateway, fronts first, else in inventory order. Of two plays the later one's role wins."""
    roles: dict[NodeName, GatewayRole] = {}
    for play in playbook.plays:
        for task in play.tasks:
            if isinstance(task.action, GatewayDaemon):
                role = GatewayRole(task.action.role)
                roles |= {node.name: role for node in inventory.select(play.hosts)}
    found = [GatewayNode(node=node, role=roles[name]) for name, node in inventory.nodes.items() if name in roles]
    return tuple(sorted(found, key=lambda gateway: not gateway.is_front))


def fleet_key(project: Project) -> KeyFor:
    """What gives the key that the laptop shows to a node's gateway. Raises SupplyError."""
    secrets = SecretStore(project)

    def key_for(node: Node) -> Secret:
        reference = node.settings.fleet_key
        if reference is None:
            hint = "set fleet_key: file:secrets/fleet.key (or env:NAME) for all nodes"
            raise SupplyError("no fleet_key in the inventory, so no key for its gateway", hint=hint, node=node.name)
        return secrets[reference]

    return key_for


class AdminDoor:
    """The admin door of one gateway, over a session. Every call raises Unreachable, NodeError, ProtocolError."""

    def __init__(self, session: Session, node: Node, key: Secret, *, timeout_seconds: float = ANSWER_SECONDS) -> None:
        self._session = session
        self._node = node
        self._key = key
        self._timeout = timeout_seconds

    def requests(self) -> LiveRequests:
        """What is in flight."""
        return self._get("/admin/requests", LiveRequests)

    def kill(self, request_id: str, *, reason: str = "") -> LiveRequest:
        """End a request; what it was."""
        return self._post(f"/admin/requests/{quote(request_id, safe='')}/kill", KillRequest(reason=reason), LiveRequest)

    def routes(self) -> RouteReports:
        """Every route with its upstreams."""
        return self._get("/admin/routes", RouteReports)

    def explain(self, asked: ExplainRequest) -> Explanation:
        """Where a request would go now."""
        return self._post("/admin/explain", asked, Explanation)

    def intent(self) -> NodeIntent:
        """What is wanted of the node's own sidecars, and what still runs on them."""
        return self._get("/admin/intent", NodeIntent)

    def want(self, asked: IntentRequest) -> NodeIntent:
        """Change what is wanted."""
        return self._post("/admin/intent", asked, NodeIntent)

    def door(self, asked: DoorRequest | None = None) -> DoorReport:
        """Whether the gateway itself takes new requests; with a wish: open or close it."""
        path = "/admin/door"
        return self._get(path, DoorReport) if asked is None else self._post(path, asked, DoorReport)

    def budget(self) -> BudgetReport:
        """What was spent this month, and what may be."""
        return self._get("/admin/budget", BudgetReport)

    def gray(self, asked: GrayRequest | None = None) -> GrayReports:
        """The gray routes; with a wish: turn one on or off."""
        path = "/admin/gray"
        return self._get(path, GrayReports) if asked is None else self._post(path, asked, GrayReports)

    def incidents(self, asked: IncidentRequest | None = None) -> Incidents:
        """The incidents; with a wish: open or close one."""
        path = "/admin/incidents"
        return self._get(path, Incidents) if asked is None else self._post(path, asked, Incidents)

    def ledger(self, asked: LedgerQuery) -> LedgerReport:
        """Sums over the ledger."""
        return self._post("/admin/ledger", asked, LedgerReport)

    def usage(self, asked: UsageQuery) -> UsageReport:
        """How the front is used; spreads over millions of requests take seconds."""
        return self._post("/admin/usage", asked, UsageReport, within_seconds=max(self._timeout, _USAGE_SECONDS))

    def ledger_copy(self) -> bytes:
        """The whole ledger as it is now, gzipped."""
        with http.stream(*self._way("/admin/ledger/copy"), headers=self._headers, timeout=LONG_SECONDS) as answer:
            body = answer.read()
            if answer.status != 200:
                raise _refusal(http.HttpAnswer(answer.status, answer.headers, body), self._node.name)
            if len(body) != int(answer.headers.get("content-length", "-1")):
                raise ProtocolError("the copy of its ledger did not come whole", node=self._node.name)
        return body

    def restore_ledger(self, packed: bytes, *, told: str, force: bool) -> RestoreReport:
        """Have a copy taken at the gateway's next start, which it begins by itself. `told` goes into the ledger."""
        path = f"/admin/ledger/restore?told={quote(told, safe='')}&force={int(force)}"
        return self._answer(
            lambda: http.post(*self._way(path), body=packed, headers=self._headers, timeout=LONG_SECONDS), RestoreReport
        )

    def _get(self, path: str, kind: type[T]) -> T:
        return self._answer(lambda: http.get(*self._way(path), headers=self._headers, timeout=self._timeout), kind)

    def _post(self, path: str, asked: msgspec.Struct, kind: type[T], *, within_seconds: float | None = None) -> T:
        body, timeout = msgspec.json.encode(asked), within_seconds or self._timeout
        return self._answer(
            lambda: http.post(*self._way(path), body=body, headers=self._headers, timeout=timeout), kind
        )

    def _way(self, path: str) -> tuple[Session, int, str]:
        return self._session, self._node.settings.gateway_admin_port, path

    @property
    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._key.reveal()}", "Content-Type": "application/json"}

    def _answer(self, ask: Callable[[], http.HttpAnswer], kind: type[T]) -> T:
        node = self._node.name
        try:
            answer = ask()
        except Unreachable as error:
            raise self._silence(error) from error
        if answer.status != 200:
            raise _refusal(answer, node)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ProtocolError(
                "its gateway's answer is of another version", node=node, hint=f"fleet deploy --on {node}"
            ) from None

    def _silence(self, error: Unreachable) -> FleetError:
        """Why nobody answers on the admin port: the session is gone, the gateway is, or it is of an older release."""
        settings, node = self._node.settings, self._node.name
        if self._opens(settings.gateway_admin_port) or not self._works():
            return error
        if self._opens(settings.gateway_port, _local_host(settings.gateway_bind)):
            return NodeError(
                "its gateway has no admin door: deploy first",
                node=node,
                detail="it runs, but it is of an older release, or of another gateway_admin_port",
                hint=f"fleet deploy --on {node}",
            )
        return NodeError(
            "its gateway does not run",
            node=node,
            hint=f"fleet logs {node} gateway says why; fleet deploy --on {node} starts it",
        )

    def _opens(self, port: int, host: str = "127.0.0.1") -> bool:
        try:
            self._session.open_tcp(port, host, within_seconds=_PROBE_SECONDS).close()
        except FleetError:
            return False
        return True

    def _works(self) -> bool:
        """Whether the session still carries anything at all."""
        try:
            channel = self._session.exec("true", within_seconds=_PROBE_SECONDS)
            channel.close_write()
            channel.wait(within_seconds=_PROBE_SECONDS)
        except FleetError:
            return False
        return True


class Gateways:
    """Admin doors by node. Sessions are kept between rounds; one that was cut is made anew once. `close` ends them."""

    def __init__(self, link: Link, *, base: Path, key_for: KeyFor, timeout_seconds: float = ANSWER_SECONDS) -> None:
        self._link = link
        self._base = base
        self._key_for = key_for
        self._timeout = timeout_seconds
        self._sessions: dict[NodeName, Session] = {}
        self._lock = threading.Lock()

    def each(self, gateways: Sequence[GatewayNode], work: Callable[[AdminDoor], T]) -> dict[NodeName, T | FleetError]:
        """What `work` brings from every gateway, or why it does not, in their order."""
        nodes = [gateway.node for gateway in gateways]

        def ask(node: Node) -> tuple[NodeName, T | FleetError]:
            return node.name, self.one(node, work)

        found = dict(on_each(nodes, ask, failed=_failed))
        return {node.name: found[node.name] for node in nodes}

    def one(self, node: Node, work: Callable[[AdminDoor], T]) -> T:
        """What `work` brings from one gateway. Raises FleetError."""
        require_adopted(node)
        key = self._key_for(node)
        with self._lock:
            session = self._sessions.pop(node.name, None)
        kept = session is not None
        session = session or self._connect(node)
        try:
            answer = work(AdminDoor(session, node, key, timeout_seconds=self._timeout))
        except Unreachable:
            session.close()
            if kept:  # it slept, or was cut: once more with a new one
                return self.one(node, work)
            raise
        except BaseException:
            session.close()
            raise
        with self._lock:
            self._sessions[node.name] = session
        return answer

    def close(self) -> None:
        """End the sessions."""
        with self._lock:
            sessions = [*self._sessions.values()]
            self._sessions.clear()
        for session in sessions:
            session.close()

    def _connect(self, node: Node) -> Session:
        return self._link.connect(target_of(node, base=self._base), deadline_seconds=CONNECT_SECONDS)


def answered(answers: Mapping[NodeName, T | FleetError]) -> dict[NodeName, T]:
    """Those that have an answer."""
    return {name: answer for name, answer in answers.items() if not isinstance(answer, FleetError)}


def problems(answers: Mapping[NodeName, T | FleetError]) -> dict[NodeName, FleetError]:
    """Those that have none, and why."""
    return {name: answer for name, answer in answers.items() if isinstance(answer, FleetError)}


def exit_code(asked: int, errors: Mapping[NodeName, FleetError]) -> int:
    """DESIGN section 6: 0 all answered, 3 some did, 4 none was reached, 1 none had an answer."""
    if not errors:
        return 0
    if len(errors) < asked:
        return 3
    return 4 if all(error.exit_code == 4 for error in errors.values()) else 1


def _failed(node: Node, error: FleetError) -> tuple[NodeName, FleetError]:
    if error.node is None:
        error.node = node.name
    return node.name, error


def _local_host(bind: str) -> str:
    """Where the node itself reaches what binds `bind`."""
    return "127.0.0.1" if bind in ("0.0.0.0", "::", "localhost") else bind.strip("[]")


class NodeRefusal(NodeError):
    """The admin door said no, with a status."""

    def __init__(self, title: str, *, status: int, node: str, hint: str = "") -> None:
        super().__init__(title, node=node, hint=hint)
        self.status = status


def _refusal(answer: http.HttpAnswer, node: str) -> NodeError:
    try:
        message = str(msgspec.json.decode(answer.body)["error"]["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        message = f"its gateway answered HTTP {answer.status}"
    if answer.status == 404 and message.endswith((_NO_SUCH_DOOR, "HTTP 404")):
        message = f"its gateway is of an older release, which has no such door ({message})"
    hints = {
        404: f"fleet deploy --on {node}" if "older release" in message else "",
        401: f"it does not know fleet_key: fleet deploy --on {node} brings it there",
        403: f"the key that it has for us is of an older release: fleet deploy --on {node}",
    }
    message = message[:_LONGEST_WORDS]
    return NodeRefusal(message, status=answer.status, node=node, hint=hints.get(answer.status, ""))
