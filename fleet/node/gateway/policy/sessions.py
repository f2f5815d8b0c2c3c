"""Which conversation a request belongs to, as the ledger calls it."""

from __future__ import annotations

from fleet.node.gateway.call import Call
from fleet.traffic.prefix import session_of
from fleet.traffic.sensitivity.taint import session_hash


def session_in_ledger(call: Call) -> str:
    """A hash of its key and of what names it (prefix.py says what does); "" = there is nothing to go by."""
    named = call.shape.session or session_of(call.headers, call.asked.original, call.asked.request)
    return session_hash(call.key, named) if named else ""
