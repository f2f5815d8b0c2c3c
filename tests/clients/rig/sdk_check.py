"""OpenAI's and Anthropic's SDKs, every call that a client of ours makes, against a gateway over the scripted upstream.

    sdk_check.py PORT [KEY]

By hand: `python -m tests.clients.rig bash -c 'python tests/clients/rig/sdk_check.py $PORT'`. With CA in the environment
(`--tls`) it speaks TLS; the SDKs trust what SSL_CERT_FILE names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai

HELLO: Any = [{"role": "user", "content": "hi"}]
USE_TOOL: Any = [{"role": "user", "content": "USE_TOOL"}]
SEE: Any = [
    {"type": "text", "text": "what is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "description": "w", "parameters": SCHEMA}}]
ANSWER_AS: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
GREETING = "Hello from the mock"
Checks = Iterator[tuple[str, Callable[[], object]]]


def of_openai(client: openai.OpenAI) -> Checks:
    """Each check is true when it passed, or raises."""
    chat = client.chat.completions.create

    def stream() -> bool:
        chunks = list(chat(model="mock", messages=HELLO, stream=True, stream_options={"include_usage": True}))
        return bool(chunks[-1].usage and chunks[-1].usage.total_tokens == 48 and not chunks[-1].choices)

    def tool_and_result() -> bool:
        asked = chat(model="mock", messages=USE_TOOL, tools=TOOLS, tool_choice="auto").choices[0].message
        call = (asked.tool_calls or [])[0]
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        told = chat(model="mock", messages=[*USE_TOOL, asked, result], tools=TOOLS)
        return told.choices[0].message.content == "The tool said: sunny"

    def streamed_tool() -> bool:
        with client.chat.completions.stream(model="mock", messages=USE_TOOL, tools=TOOLS) as said:
            calls = said.get_final_completion().choices[0].message.tool_calls or []
        return [call.function.name for call in calls] == ["get_weather"]

    def responses_stream() -> bool:
        kinds = [event.type for event in client.responses.create(model="mock", input="hi", stream=True)]
        return (kinds[0], kinds[-1]) == ("response.created", "response.completed")

    yield "chat", lambda: GREETING in (chat(model="mock", messages=HELLO).choices[0].message.content or "")
    yield "chat, stream and usage", stream
    yield "chat, tool and its result", tool_and_result
    yield "chat, streamed tool", streamed_tool
    yield "chat, json_schema", lambda: chat(model="mock", messages=HELLO, response_format=ANSWER_AS).choices
    yield "chat, image", lambda: chat(model="mock", messages=[{"role": "user", "content": SEE}]).choices
    yield "responses", lambda: GREETING in client.responses.create(model="mock", input="hi").output_text
    yield "responses, stream", responses_stream
    yield "models", lambda: {"mock", "org/mock:free"} <= {model.id for model in client.models.list()}
    yield "model by id", lambda: client.models.retrieve("org/mock:free").id == "org/mock:free"
    yield "embeddings", lambda: len(client.embeddings.create(model="mock", input=["a", "b"]).data) == 2
    for status, error in ((429, openai.RateLimitError), (500, openai.InternalServerError)):
        turn: Any = [{"role": "user", "content": f"@@err={status}@@"}]
        yield (
            f"an upstream's {status}",
            lambda turn=turn, error=error: raises(error, lambda: chat(model="mock", messages=turn)),
        )


def of_anthropic(client: anthropic.Anthropic) -> Checks:
    """See of_openai."""
    fields: Any = {"model": "mock", "max_tokens": 64, "messages": HELLO}

    def stream() -> bool:
        with client.messages.stream(system="s", **fields) as said:
            text = "".join(said.text_stream)
            return GREETING in text and said.get_final_message().usage.output_tokens == 6

    def tool() -> bool:
        offered: Any = [{"name": "get_weather", "input_schema": SCHEMA}]
        answer = client.messages.create(**{**fields, "messages": USE_TOOL}, tools=offered)
        return answer.stop_reason == "tool_use" and answer.content[-1].type == "tool_use"

    def counted() -> bool:
        return client.messages.count_tokens(model="mock", messages=HELLO).input_tokens > 0

    yield "messages", lambda: GREETING in client.messages.create(**fields).content[0].text
    yield "messages, stream and usage", stream
    yield "messages, tool", tool
    yield "messages, count_tokens", counted
    yield "models, by Anthropic's SDK", lambda: "mock" in {model.id for model in client.models.list()}
    turn: Any = [{"role": "user", "content": "@@err=429@@"}]
    yield (
        "an upstream's 429, by Anthropic's SDK",
        lambda: raises(anthropic.RateLimitError, lambda: client.messages.create(**{**fields, "messages": turn})),
    )


def raises(error: type[Exception], call: Callable[[], object]) -> bool:
    """Whether it fails in that way."""
    try:
        call()
    except error:
        return True
    return False


def main(port: str, key: str = "sk-fleet-test") -> int:
    """The exit code: 0 when all passed."""
    url = f"{'https' if os.environ.get('CA') else 'http'}://127.0.0.1:{port}"
    passed = failed = 0
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=1) as one,
        anthropic.Anthropic(base_url=url, api_key=key, max_retries=1) as other,
    ):
        for name, check in (*of_openai(one), *of_anthropic(other)):
            problem = ""
            try:
                problem = "" if check() else "not the answer that was expected"
            except Exception as error:  # noqa: BLE001 (whatever an SDK raises is the finding)
                problem = f"{type(error).__name__}: {str(error)[:200]}"
            sys.stdout.write(f"FAIL {name}: {problem}\n" if problem else f"ok   {name}\n")
            passed, failed = passed + (not problem), failed + bool(problem)
    sys.stdout.write(f"{passed} passed, {failed} failed\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
