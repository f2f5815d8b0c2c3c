"""A gateway as a real process, over a real `mlx_lm server`, a simulated OpenRouter and a scripted upstream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.sim.models.tiny import CONTEXT_TOKENS, make_tiny
from tests.clients.rig.front import Front, front, openrouter, scripted_upstreams, sidecar


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """A model whose answers are known: to "hello?", and to a tool that said "sunny".

    `asks` is what makes it call get_weather for Paris when that tool is offered.
    """

    model: str
    hello: str
    asks: str
    told: str


SPEAKERS = {
    "sidecar": Speaker(
        model="scripted", hello="Hello from the scripted model.", asks="hello?", told="It is sunny in Paris."
    ),
    "openrouter": Speaker(
        model="sim/echo-small",
        hello="You said: hello?",
        asks='@@tool=get_weather {"city": "Paris"}@@',
        told="The tool said: sunny",
    ),
}


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One gateway for all clients; they leave it as it was."""
    folder = tmp_path_factory.mktemp("clients")
    make_tiny(folder / "model", scripted=True)
    with ExitStack() as running:
        upstreams = (
            running.enter_context(
                sidecar(folder, folder / "model", serves=SPEAKERS["sidecar"].model, context_tokens=CONTEXT_TOKENS)
            ),
            running.enter_context(openrouter(folder, model=SPEAKERS["openrouter"].model)),
            *running.enter_context(scripted_upstreams(folder)),
        )
        yield running.enter_context(front(folder, *upstreams))


@pytest.fixture(scope="session", params=sorted(SPEAKERS))
def speaker(request: pytest.FixtureRequest) -> Speaker:
    """Each kind of upstream in turn."""
    found: Speaker = SPEAKERS[request.param]
    return found


@pytest.fixture(scope="session")
def node_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The check for Node with OpenAI's SDK beside it."""
    from tests.clients.rig.node import installed

    return installed()
