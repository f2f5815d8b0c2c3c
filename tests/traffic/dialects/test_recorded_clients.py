"""What real clients sent is understood: each recording, and the chat request that it comes down to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dialect_kit import GOLDENS, SAMPLES, sent

from fleet.traffic.dialects.registry import DIALECTS, dialect
from fleet.traffic.work import Work

PATHS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/embeddings": "embeddings",
}
CLIENTS = sorted(
    path.stem
    for path in (SAMPLES / "clients").glob("*.json")
    if not path.stem.startswith("response.") and sent(path.stem)["path"].split("?")[0] in PATHS
)


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_real_client_sent_is_asked_of_upstreams_as_its_golden_says(
    client: str, request: pytest.FixtureRequest
) -> None:
    recorded = sent(client)
    name = PATHS[recorded["path"].split("?")[0]]
    asked = dialect(name).read(recorded["body"])
    text = json.dumps(asked.request, indent=1, ensure_ascii=False) + "\n"
    golden = GOLDENS / f"{client}.asked.json"
    if request.config.getoption("--update-goldens"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert golden.read_text() == text, "run with --update-goldens and read the difference"
    assert asked.model == recorded["body"]["model"]
    assert asked.stream is bool(recorded["body"].get("stream"))
    assert asked.original is recorded["body"]


def test_every_recorded_request_has_a_golden_and_no_golden_is_left_over() -> None:
    assert sorted(Path(path).name.removesuffix(".asked.json") for path in GOLDENS.glob("*.asked.json")) == CLIENTS


@pytest.mark.parametrize("name", ["chat", "completions"])
def test_a_request_that_passes_through_is_the_clients_own_and_no_copy(name: str) -> None:
    body = {"model": "m", "messages": [], "prompt": "", "some_field_of_tomorrow": {"a": 1}}
    assert dialect(name).read(body).request is body


def test_all_agents_want_usage_in_their_streams() -> None:
    for client in ("openclaw.agent.chat-completions", "opencode.turn.chat", "llm.chat.stream", "openai.chat.stream"):
        assert dialect("chat").read(sent(client)["body"]).wants_usage
    assert dialect("responses").read(sent("codex.responses")["body"]).wants_usage
    assert dialect("messages").read(sent("claude-code.messages")["body"]).wants_usage
    assert not dialect("chat").read(sent("openai.chat")["body"]).wants_usage


def test_every_surface_comes_down_to_a_work_of_the_upstreams() -> None:
    works = {
        one.name: one.read({"input": "a", "messages": []} | ({"prompt": "a"} if one.name == "completions" else {})).work
        for one in DIALECTS
    }
    assert works == {
        "chat": Work.CHAT,
        "completions": Work.COMPLETIONS,
        "responses": Work.CHAT,
        "messages": Work.CHAT,
        "embeddings": Work.EMBEDDINGS,
    }


def test_a_surface_that_nobody_speaks_has_no_dialect() -> None:
    with pytest.raises(KeyError):
        dialect("gopher")
