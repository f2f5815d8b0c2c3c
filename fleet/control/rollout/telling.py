"""A node's own journal in the run's words: what is said, what is left out, and why the node ended as it did."""

from __future__ import annotations

from fleet.control.rollout.journal import Journal
from fleet.control.rollout.nodejob import NodeResult
from fleet.control.rollout.plan import named
from fleet.errors import NodeError
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.contracts.sync import Done, Event
from fleet.vocabulary.names import NodeName

_PHASES = {"drain": Phase.DRAIN, "resume": Phase.DRAIN, "gate": Phase.GATE, "revert": Phase.REVERT}


class Telling:
    """Tells the events of one node's run, and remembers the first failure among them. `root` makes paths short."""

    def __init__(self, node: NodeName, *, root: str, journal: Journal) -> None:
        self._node = node
        self._root = root
        self._journal = journal
        self._why: Event | None = None

    def tell(self, event: Event) -> None:
        """Say one event of the node's journal, unless it says nothing new."""
        if event.status == "failed":
            self._why = self._why or event
            if self._why is not event and self._why.text == event.text:
                return  # a step's failure comes again as its gate's, and as the end's
        if not event.key and event.status == "ok":
            return  # the journal's first and last line
        phase = _PHASES.get(event.phase, Phase.APPLY)
        if event.phase == "revert" and event.status == "start" and not event.key:
            self._journal.say(phase, "note", "to what was there before", node=self._node)
            return
        detail, hint = _advice_apart(event.detail)
        text = _about(event, self._root, " · ")
        self._journal.say(phase, event.status, text, node=self._node, detail=detail, hint=hint)

    def result(self, done: Done) -> NodeResult:
        """How the node's run ended, and why if not well."""
        match done.outcome:
            case "committed":
                return NodeResult(name=self._node, outcome=Outcome.CHANGED)
            case "unchanged":
                return NodeResult(name=self._node, outcome=Outcome.UNCHANGED)
            case "reverted":
                outcome, detail = Outcome.REVERTED, "the node is as it was before"
            case _:
                outcome = Outcome.FAILED
                detail = f"neither new nor as it was: fleet logs {self._node} apply shows the last words"
        mixed = outcome is Outcome.FAILED
        return NodeResult(name=self._node, outcome=outcome, error=self._reason(), detail=detail, mixed=mixed)

    def _reason(self) -> NodeError:
        """Why the node's own run ended as it did; the run has told it already, when it happened."""
        if self._why is None:
            return NodeError("the node did not say why", node=self._node, hint=f"fleet logs {self._node} apply")
        detail, hint = _advice_apart(self._why.detail)
        return NodeError(_about(self._why, self._root, ": "), node=self._node, detail=detail, hint=hint)


def _about(event: Event, root: str, between: str) -> str:
    """What an event says, after what it is about, unless its words name that themselves."""
    name = named(event.key, root)
    bare = name.partition(" ")[2]
    return event.text if bare and bare in event.text else between.join(part for part in (name, event.text) if part)


def _advice_apart(detail: str) -> tuple[str, str]:
    """A node's detail without its last line, when that is advice; and the advice."""
    rest, _, last = detail.rpartition("\n")
    return (rest, last.removeprefix("hint: ")) if last.startswith("hint: ") else (detail, "")
