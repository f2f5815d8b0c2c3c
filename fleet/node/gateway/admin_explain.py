"""Where a request would go now, and why: choice itself is asked, as the relay asks it. The prompt is kept nowhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fleet.node.gateway.admin_reports import upstream_report
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.intent import turned_away
from fleet.node.gateway.models import model_not_found
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.choice import Choice
from fleet.traffic.config import Route
from fleet.traffic.dialects.dialect import Asked
from fleet.traffic.explain import explain
from fleet.traffic.openai_error import ApiError, Refused
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.contracts.gateway_admin import ExplainRequest, Explanation


class Explainer:
    """Explains with the configuration and the upstreams of the moment."""

    def __init__(
        self, loaded: Callable[[], Loaded], upstreams: Upstreams, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._loaded = loaded
        self._upstreams = upstreams
        self._now = now

    def explain(self, asked: ExplainRequest) -> Explanation:
        """What would become of `asked`. Raises Refused for a model or a kind of work that is not known."""
        loaded = self._loaded()
        route = loaded.route(asked.model)
        if route is None:
            raise Refused(model_not_found(loaded, asked.model or "default"))
        shape = self._shape(asked, route)
        choice = self._upstreams.choose(route, shape)
        now, live = self._now(), self._upstreams.live
        mine = [live[name] for name in route.upstreams if name in live]
        wait_seconds = (route.timeouts or loaded.config.timeouts).queue_seconds
        return Explanation(
            node=loaded.config.node,
            route=route.name,
            track=route.track,
            attempts=choice.attempts,
            reasons=explain(route, {one.name: one.state(shape) for one in mine}, shape, now=now),
            upstreams=tuple(upstream_report(one, now=now, shape=shape) for one in mine),
            prompt_tokens=shape.prompt_tokens,
            output_tokens=shape.output_tokens,
            refused=_refused(choice, route, shape, wait_seconds),
        )

    def _shape(self, asked: ExplainRequest, route: Route) -> Shape:
        try:
            work = Work(asked.work)
        except ValueError:
            known = ", ".join(work.value for work in Work)
            message = f"nobody knows the work {asked.work!r}; it is one of {known}"
            raise Refused(ApiError(status=400, message=message, param="work", code="invalid_value")) from None
        request: dict[str, Any] = {"max_tokens": asked.max_tokens}
        match work:
            case Work.CHAT:
                request["messages"] = [{"role": "user", "content": asked.prompt}]
            case Work.COMPLETIONS:
                request["prompt"] = asked.prompt
            case Work.EMBEDDINGS:
                request["input"] = asked.prompt
        said = Asked(work=work, request=request, original=request, model=asked.model, stream=True, wants_usage=False)
        headers = {"x-fleet-session": asked.session} if asked.session else {}
        return self._upstreams.shape(said, route, headers, lane=asked.lane, size_bytes=len(asked.prompt))


def _refused(choice: Choice, route: Route, shape: Shape, wait_seconds: float) -> str:
    """Why nobody would be asked now; "" when somebody would."""
    if choice.attempts:
        return ""
    if choice.too_long is not None:
        return f"the prompt has about {shape.prompt_tokens} tokens, and the longest context here is {choice.too_long}"
    if choice.unoffered:
        return f"no upstream of {route.name} offers {shape.work.value}"
    if choice.full:
        return f"everybody who could serve is full: it would wait up to {wait_seconds:g} s, and then get 429"
    closed = turned_away(choice)
    return closed.message if closed is not None else "no upstream can serve now"
