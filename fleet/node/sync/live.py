"""Who made the live release: the request of the run that did, kept beside it for the next deploy to compare with."""

from __future__ import annotations

from fleet.node.sync.machine import Machine
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.sync import RunRequest


def keep_live_record(machine: Machine, request: RunRequest) -> None:
    """The release of this run is live now."""
    machine.disk.write(machine.layout.state("live.json"), canonical(request), mode=0o600)


def live_record(machine: Machine, current: str | None) -> RunRequest | None:
    """The run that made `current` live; None when nothing is, or an older fleet did."""
    try:
        request = decode(machine.disk.read(machine.layout.state("live.json")) or b"", RunRequest)
    except ContractError:
        return None
    return request if current is not None and request.state_id == current else None
