"""The verdict on the tools of one answer (SPEC section 5.3). The first rule that it breaks names it. Pure, total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from fleet.traffic.tools.heard import Heard
from fleet.traffic.tools.leaked import is_leaked
from fleet.traffic.tools.offered import Offered, Schemas
from fleet.vocabulary.contracts.ledger import ToolVerdict

SUCCESSES = frozenset({ToolVerdict.OK, ToolVerdict.OK_SOFT})
FAILURES = frozenset(
    {
        ToolVerdict.BAD_JSON,
        ToolVerdict.NOT_OBJECT,
        ToolVerdict.SCHEMA,
        ToolVerdict.UNKNOWN_TOOL,
        ToolVerdict.TRUNCATED,
        ToolVerdict.DROPPED,
        ToolVerdict.MISSING_REQUIRED,
        ToolVerdict.LEAKED_TEXT,
    }
)
"""What counts: the rate of errors is failures by failures and successes. All other verdicts are left out of it."""


class Ended(StrEnum):
    """How the answer ended.

    `cut`: the upstream failed or fell silent after its first token. `nothing`: there was no first token (refused,
    429, 5xx, timeout). `stopped`: we ended it ourselves. `left`: the client did.
    """

    WHOLE = "whole"
    CUT = "cut"
    NOTHING = "nothing"
    STOPPED = "stopped"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Score:
    """A verdict, and what in particular: no text of the model."""

    verdict: ToolVerdict
    detail: str = ""


def score(offered: Offered, heard: Heard, *, ended: Ended, schemas: Schemas) -> Score:
    """What became of what was `offered`."""
    match ended:
        case Ended.LEFT:
            return Score(ToolVerdict.CANCELLED)
        case Ended.NOTHING | Ended.STOPPED:
            return Score(ToolVerdict.INFRA, ended.value)
        case Ended.CUT:
            return Score(ToolVerdict.TRUNCATED, "cut") if heard.begun else Score(ToolVerdict.INFRA, "cut")
        case Ended.WHOLE:
            return _whole(offered, heard, schemas)


def _whole(offered: Offered, heard: Heard, schemas: Schemas) -> Score:
    if heard.begun and heard.finish_reason == "length":
        return Score(ToolVerdict.TRUNCATED, "length")
    if not heard.calls:
        return _without(offered, heard)
    odd = list(heard.odd)
    ids: set[str] = set()
    unscorable = ""
    for call in heard.calls:
        found = _of_call(offered, call, ids, odd, schemas)
        if found is not None and found.verdict is not ToolVerdict.UNSCORABLE:
            return found
        unscorable = unscorable or (found.detail if found is not None else "")
    if offered.named is not None and offered.named not in {_name(call) for call in heard.calls}:
        return Score(ToolVerdict.MISSING_REQUIRED, "another tool was called")
    if unscorable:
        return Score(ToolVerdict.UNSCORABLE, unscorable)
    if heard.finish_reason not in ("tool_calls", "function_call"):
        odd.append(f"finish_reason {heard.finish_reason}"[:64])
    return Score(ToolVerdict.OK_SOFT, ", ".join(odd)) if odd else Score(ToolVerdict.OK)


def _without(offered: Offered, heard: Heard) -> Score:
    if heard.finish_reason in ("tool_calls", "function_call"):
        return Score(ToolVerdict.DROPPED)
    if offered.required:
        return Score(ToolVerdict.MISSING_REQUIRED)
    if is_leaked(heard.content, offered.schemas.keys()):
        return Score(ToolVerdict.LEAKED_TEXT)
    return Score(ToolVerdict.NO_CALL)


def _of_call(
    offered: Offered, call: Mapping[str, Any], ids: set[str], odd: list[str], schemas: Schemas
) -> Score | None:
    """What is wrong with one call, or None. Of small things it adds to `odd`."""
    name, call_id = _name(call), call.get("id")
    if name not in offered.schemas:
        return Score(ToolVerdict.UNKNOWN_TOOL)
    if not isinstance(call_id, str) or not call_id:
        odd.append("no id")
    elif call_id in ids:
        return Score(ToolVerdict.SCHEMA, "two calls with one id")
    else:
        ids.add(call_id)
    if name in offered.free:
        return None
    arguments = _function(call).get("arguments")
    if isinstance(arguments, str):
        if not arguments.strip():
            odd.append("no arguments")
            arguments = "{}"
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Score(ToolVerdict.BAD_JSON)
    elif arguments is None:
        odd.append("no arguments")
        arguments = {}
    elif isinstance(arguments, dict):
        odd.append("arguments as an object")
    if not isinstance(arguments, dict):
        return Score(ToolVerdict.NOT_OBJECT)
    check = schemas.check(offered.schemas[name])
    if check is None:
        return Score(ToolVerdict.UNSCORABLE, "its schema")
    return None if check(arguments) else Score(ToolVerdict.SCHEMA)


def _function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = call.get("function") or call.get("custom")
    return inner if isinstance(inner, dict) else {}


def _name(call: Mapping[str, Any]) -> str:
    name = _function(call).get("name")
    return name if isinstance(name, str) else ""
