"""The agent's token and the key of a Prometheus: the same on both ends, another for every key."""

from fleet.vocabulary.secret import Secret
from fleet.vocabulary.tokens import agent_token, metrics_key


def test_a_token_is_the_hmac_of_the_node_under_the_fleet_key():
    # printf 'agent:mini-1' | openssl dgst -sha256 -hmac fleet-key
    expected = "f04032e9d9902fadc3f21ed63586f8c4e99e135383f3a082180e2cec973ce5fe"
    assert agent_token(Secret("fleet-key"), "mini-1").reveal() == expected


def test_every_node_and_every_key_has_a_token_of_its_own():
    keys = (Secret("one"), Secret("two"))
    assert len({agent_token(key, node).reveal() for key in keys for node in ("mini-1", "mini-2")}) == 4


def test_the_key_of_a_prometheus_is_no_token_of_a_node_and_never_the_fleet_key():
    # printf metrics | openssl dgst -sha256 -hmac fleet-key
    expected = "ac2ee90d660605c8e21d56861042b5fff581d7fe3dc42ad7754759043c87a0b1"
    assert metrics_key(Secret("fleet-key")).reveal() == expected
    assert metrics_key(Secret("fleet-key")) not in (agent_token(Secret("fleet-key"), "metrics"), Secret("fleet-key"))
