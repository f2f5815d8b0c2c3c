"""The admin door of the front that this runs on: Fronts of one, over loopback. Standard library and msgspec."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import TypeVar

import msgspec

from fleet.practice.sources import Told
from fleet.vocabulary.contracts.policy_admin import BudgetReport, GrayReports, Incidents
from fleet.vocabulary.contracts.usage import UsageQuery, UsageReport

T = TypeVar("T")

_MOST_BYTES = 64 * 1024 * 1024
_LONGEST_WORDS = 200


class OwnFront:
    """See Fronts. `key_file` holds what is shown at the door; the agent's token will do, it may read these."""

    def __init__(self, node: str, *, port: int, key_file: Path, timeout_seconds: float = 60.0) -> None:
        self._node = node
        self._port = port
        self._key_file = key_file
        self._timeout = timeout_seconds

    def usage(self, query: UsageQuery) -> Told[UsageReport]:
        """See Fronts."""
        return self._told("POST", "/admin/usage", UsageReport, msgspec.json.encode(query))

    def budget(self) -> Told[BudgetReport]:
        """See Fronts."""
        return self._told("GET", "/admin/budget", BudgetReport)

    def gray(self) -> Told[GrayReports]:
        """See Fronts."""
        return self._told("GET", "/admin/gray", GrayReports)

    def incidents(self) -> Told[Incidents]:
        """See Fronts."""
        return self._told("GET", "/admin/incidents", Incidents)

    def _told(self, method: str, path: str, kind: type[T], body: bytes | None = None) -> Told[T]:
        try:
            report = msgspec.json.decode(self._asked(method, path, body), type=kind)
        except (OSError, http.client.HTTPException, _Refused) as problem:
            return Told(away={self._node: f"{path}: {problem or type(problem).__name__}"})
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            return Told(away={self._node: f"{path}: not an answer of a gateway ({problem})"})
        return Told(reports={self._node: report})

    def _asked(self, method: str, path: str, body: bytes | None) -> bytes:
        key = self._key_file.read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read(_MOST_BYTES)
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise _Refused(f"{answer.status} {content[:_LONGEST_WORDS].decode('utf-8', 'replace')}")
        return content


class _Refused(Exception):
    """The door's words."""
