"""What a front shows of its watch: `/node/sd` for Prometheus, and its families of metrics."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from fleet.node.gateway.auth import NODE
from fleet.node.gateway.doors import Door, Visit, json_answer
from fleet.node.gateway.frontwatch.families import write
from fleet.node.gateway.frontwatch.sd import target_groups
from fleet.node.gateway.frontwatch.watch import FrontWatch
from fleet.node.gateway.reload import Current
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.exposition import Exposition


class WatchDoors:
    """The doors of a watch, to be opened on a Front."""

    def __init__(self, watch: FrontWatch, current: Current) -> None:
        self._watch = watch
        self._current = current

    def doors(self) -> Mapping[str, Door]:
        """What to add to a Front."""
        return {"/node/sd": Door(self._discovery, NODE, dialect("chat"))}

    def metrics(self) -> bytes:
        """Families that go behind the gateway's own; b"" while nothing is watched."""
        view = self._watch.view()
        if view is None:
            return b""
        text = Exposition()
        write(text, view)
        return text.encode()

    async def _discovery(self, visit: Visit) -> web.Response:  # noqa: ARG002 (a door's signature)
        config = self._current.loaded.config
        if config.watch is None:
            message = "this gateway watches no fleet: ask a front (front_watch is on by default)"
            raise Refused(ApiError(status=404, message=message, code="no_watch"))
        return json_answer(target_groups(config))
