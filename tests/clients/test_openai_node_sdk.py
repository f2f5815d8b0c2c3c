"""OpenAI's SDK for Node through the gateway: text, stream, tool round trip and errors, on chat and responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Speaker
from tests.clients.rig.front import Front
from tests.clients.rig.node import ask

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("clients"), pytest.mark.timeout(180)]

WAYS = ("unary", "stream", "tool", "streamed_tool")
ENDS = {("chat", "unary"): "stop", ("chat", "stream"): "stop",
        ("responses", "unary"): "completed", ("responses", "stream"): "response.completed"}  # fmt: skip


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_it_gets_text_stream_usage_and_a_tool_round_trip(
    gateway: Front, node_sdk: Path, speaker: Speaker, surface: str
) -> None:
    cases = [
        {
            "name": way,
            "surface": surface,
            "model": speaker.model,
            "text": speaker.asks if "tool" in way else "hello?",
            "how": way,
        }
        for way in WAYS
    ]
    seen = ask(node_sdk, gateway.url, gateway.key, cases)
    for way in ("unary", "stream"):
        assert (seen[way].get("text"), seen[way].get("end")) == (speaker.hello, ENDS[surface, way]), seen[way]
        assert seen[way]["usage"]["total_tokens"] > 0
    for way in ("tool", "streamed_tool"):
        assert seen[way] == {"called": "get_weather", "with": {"city": "Paris"}, "text": speaker.told}


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_what_fails_is_the_sdks_own_error_with_our_words(gateway: Front, node_sdk: Path, surface: str) -> None:
    def case(name: str, text: str = "hello?", **fields: Any) -> dict[str, Any]:
        return {"name": name, "surface": surface, "model": "mock", "text": text, "how": "unary", **fields}

    seen = ask(
        node_sdk,
        gateway.url,
        gateway.key,
        [
            case("wrong key", key="sk-wrong"),
            case("unknown model", model="gpt-9"),
            case("busy", "@@err=429@@"),
            case("busy, streamed", "@@err=429@@", how="stream"),
            case("cannot serve", "@@err=503@@"),
            case("cut", "@@err=cut@@"),
            case("cut, streamed", "@@err=cut@@", how="stream"),
        ],
    )
    kinds = {name: (one.get("error"), one.get("status")) for name, one in seen.items()}
    assert kinds["wrong key"] == ("AuthenticationError", 401)
    assert kinds["unknown model"] == ("NotFoundError", 404)
    assert "org/mock:free" in seen["unknown model"]["message"]
    for name in ("busy", "busy, streamed"):
        assert kinds[name] == ("RateLimitError", 429)
        assert int(seen[name]["retryAfter"]) >= 1
    assert kinds["cannot serve"] == ("InternalServerError", 503)
    assert int(seen["cannot serve"]["retryAfter"]) >= 1
    assert kinds["cut"][0] == "InternalServerError"
    if surface == "chat":
        assert kinds["cut, streamed"][0] == "APIError"
    else:  # the SDK hands a failed response out as an event
        assert seen["cut, streamed"].get("error") == "APIError" or seen["cut, streamed"]["end"] == "response.failed"
