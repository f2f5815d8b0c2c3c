"""All connections share one configuration of Fabric: making one changes nothing in it."""

from __future__ import annotations

import fabric

from fleet.control.link.fabric_link import OwnConnection


def test_making_a_connection_writes_nothing_to_the_shared_configuration() -> None:
    config = fabric.Config(lazy=True)
    merged = config._config
    connection = OwnConnection("h", user="u", port=22, config=config, gateway=False, connect_kwargs={"sock": None})
    assert config._config is merged  # a merge makes it anew, and it is empty until that is done
    assert config._modifications == {}
    assert connection.inline_ssh_env == config.inline_ssh_env
