"""Where a target is: the inventory over ssh_config over the usual."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.control.link.places import Place, Places
from fleet.control.link.protocol import Target
from fleet.errors import UsageError

PlaceOf = Callable[..., Place]


@pytest.fixture
def place_of(tmp_path: Path) -> PlaceOf:
    def made(config: str, **changes: str) -> Place:
        (tmp_path / "config").write_text(config)
        places = Places((), ssh_config=tmp_path / "config", home=tmp_path)
        return places.of(Target(**({"node": "mini-1", "address": "attic", "host_key": "ssh-ed25519 A"} | changes)))

    return made


def test_what_the_inventory_says_wins_and_ssh_config_fills_the_rest(place_of: PlaceOf) -> None:
    config = "Host attic\n  HostName 10.0.0.7\n  User somebody\n  Port 2222\n"
    assert place_of(config).where == "10.0.0.7 port 2222"
    assert place_of(config, user="op").user == "op"
    assert place_of(config).user == "somebody"


@pytest.mark.parametrize(
    ("word", "family"),
    [("inet", socket.AF_INET), ("inet6", socket.AF_INET6), ("any", socket.AF_UNSPEC), ("x", socket.AF_UNSPEC)],
)
def test_address_family_is_kept_to(place_of: PlaceOf, word: str, family: socket.AddressFamily) -> None:
    assert place_of(f"Host *\n  AddressFamily {word}\n").family is family


@pytest.mark.parametrize(("word", "seconds"), [("7", 7.0), ("0", None), ("none", None), ("1m", None)])
def test_connect_timeout_is_in_seconds_or_nothing(place_of: PlaceOf, word: str, seconds: float | None) -> None:
    assert place_of(f"Host *\n  ConnectTimeout {word}\n").connect_seconds == seconds
    assert place_of("").connect_seconds is None


def test_identities_know_the_tokens_of_the_node(place_of: PlaceOf, tmp_path: Path) -> None:
    config = (
        "Host attic\n  HostName 10.0.0.7\n  User op\n  IdentityAgent %d/%r@%h:%p\n"
        "  IdentityFile %d/%n\n  CertificateFile ~/%n-cert.pub\n"
    )
    found = place_of(config).identities
    assert found.agent_socket == f"{tmp_path}/op@10.0.0.7:22"
    assert found.certificates == (tmp_path / "attic-cert.pub",)


def test_a_list_of_jump_hosts_replaces_that_of_ssh_config(place_of: PlaceOf) -> None:
    place = place_of("Host attic\n  ProxyJump one, two\n")
    assert place.hops(None) == ["one", "two"]
    assert place.hops("three") == ["three"]
    assert place.hops("none") == []
    assert place_of("Host attic\n  ProxyCommand none\n").proxy_command is None


@pytest.mark.parametrize("config", ["Match localnetwork 10.0.0.0/8\n  User x\n", "Host\n  User x\n", "User\n"])
def test_an_ssh_config_that_only_ssh_can_read_names_the_way_out(place_of: PlaceOf, config: str) -> None:
    with pytest.raises(UsageError, match="ssh_config cannot be read") as caught:
        place_of(config)
    assert "link: openssh" in caught.value.hint


@pytest.mark.parametrize(
    "config",
    [
        "Match tagged work host elsewhere\n  User x\n",
        "User op\nMatch localnetwork 10.0.0.0/8\n  User x\n",
        "Match host attic exec true\n  User op\nMatch exec false\n  User x\n",
    ],
)
def test_a_match_that_makes_no_difference_is_let_be(place_of: PlaceOf, config: str) -> None:
    assert place_of(f"{config}Host *\n  User op\n").user == "op"


def test_included_files_count_and_their_block_goes_on_behind_them(place_of: PlaceOf, tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d/10-rack").write_text("Host attic\n  HostName 10.0.0.7\n  Include deeper\n  User op\n")
    (tmp_path / "deeper").write_text("Host other\n  User x\nHost attic\n  Port 2200\n")
    (tmp_path / "absolute").write_text("IdentitiesOnly yes\n")
    place = place_of(
        f"Include config.d/* nowhere/*\nHost attic\n  Include {tmp_path}/absolute\n  AddressFamily inet6\n"
    )
    assert (place.where, place.user) == ("10.0.0.7 port 2200", "op")
    assert place.family is socket.AF_INET6
    assert not place.identities.agent_keys


def test_files_that_include_one_another_end(place_of: PlaceOf) -> None:
    assert place_of("Include config\nHost *\n  User op\n").user == "op"


def test_match_exec_runs_with_the_nodes_tokens_and_without_our_stdin(place_of: PlaceOf) -> None:
    config = 'Match exec "test %h = attic && ! read x"\n  User op\nMatch !exec "true"\n  User x\n'
    assert place_of(config).user == "op"
