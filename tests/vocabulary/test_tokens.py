"""The agent's token: the same on both ends, another for every node and key."""

from fleet.vocabulary.secret import Secret
from fleet.vocabulary.tokens import agent_token


def test_a_token_is_the_hmac_of_the_node_under_the_fleet_key():
    # printf 'agent:mini-1' | openssl dgst -sha256 -hmac fleet-key
    expected = "f04032e9d9902fadc3f21ed63586f8c4e99e135383f3a082180e2cec973ce5fe"
    assert agent_token(Secret("fleet-key"), "mini-1").reveal() == expected


def test_every_node_and_every_key_has_a_token_of_its_own():
    keys = (Secret("one"), Secret("two"))
    assert len({agent_token(key, node).reveal() for key in keys for node in ("mini-1", "mini-2")}) == 4
