"""Which sidecars get no work while services restart: what asks who else serves their models."""

import pytest

from fleet.control.actions.restart import without_work


@pytest.mark.parametrize(
    ("services", "sidecars"),
    [
        ((), None),
        (("gateway", "sidecar.chat"), None),
        (("sidecar.chat", "agent"), ("sidecar.chat",)),
        (("chat", "big"), ("chat", "big")),
        (("agent",), ()),
    ],
)
def test_no_word_and_a_gateway_take_all_sidecars_out_and_an_agent_none(
    services: tuple[str, ...], sidecars: tuple[str, ...] | None
) -> None:
    assert without_work(services) == sidecars
