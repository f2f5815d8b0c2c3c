"""Polling: every node is asked at once, none can hold the others up, and each failure has its reason."""

import socket
import threading

import pytest
from loopbacklink import a_node

from fleet.control.watch.poll import Poller, poll
from fleet.control.watch.view import Reach
from fleet.errors import AuthError, FleetError, SupplyError, Unreachable
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.secret import Secret


def token_for(node):
    return Secret(f"token of {node.name}")


def ask(link, *nodes, timeout_seconds=5.0, tokens=token_for):
    return poll(nodes, link=link, token_for=tokens, clock=SystemClock(), timeout_seconds=timeout_seconds)


def test_a_node_that_answers_is_seen_now(link, start_agent):
    found = ask(link, a_node("mini-1", port=start_agent("mini-1")))["mini-1"]
    assert found.reach is Reach.ANSWERED
    assert found.seen.snapshot.memory.pressure_level == 1
    assert abs((SystemClock().now() - found.seen.at).total_seconds()) < 5


def test_every_failure_is_a_sighting_with_its_reason(link, start_agent):
    link.down["refused"] = AuthError("it refused every key", hint="ssh-add", node="refused")
    nodes = [
        a_node("mini-1", port=start_agent("mini-1")),
        a_node("refused"),
        a_node("silent", port=1),
        a_node("new", adopted=False),
    ]
    found = ask(link, *nodes)
    assert {name: sighting.reach for name, sighting in found.items()} == {
        "mini-1": Reach.ANSWERED,
        "refused": Reach.UNREACHABLE,
        "silent": Reach.AGENT_SILENT,
        "new": Reach.NOT_ADOPTED,
    }
    assert (found["refused"].problem, found["refused"].hint) == ("it refused every key", "ssh-add")
    assert "port 1" in found["silent"].problem
    assert found["new"].hint == "fleet adopt new"
    assert "new" not in link.connects


def test_a_node_that_hangs_does_not_hold_the_others_up(link, start_agent):
    link.hanging.add("stuck")
    found = ask(link, a_node("stuck"), a_node("mini-1", port=start_agent("mini-1")), timeout_seconds=0.3)
    assert found["mini-1"].reach is Reach.ANSWERED
    assert found["stuck"].problem == "no answer within 0.3 s"


def test_an_agent_that_accepts_and_says_nothing_is_silent(link):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = ask(link, a_node("mute", port=mute.getsockname()[1]), timeout_seconds=0.3)
    assert found["mute"].reach is Reach.AGENT_SILENT


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"no": 1}', "another version"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "HTTP 500"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "HTTP"),
    ],
)
def test_what_is_no_snapshot_is_said_to_be_none(link, answer, says):
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def serve():
            connection, _ = odd.accept()
            connection.recv(65536)
            connection.sendall(answer)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        found = ask(link, a_node("odd", port=odd.getsockname()[1]))
    assert found["odd"].reach is Reach.AGENT_SILENT
    assert says in found["odd"].problem


def test_a_wrong_token_says_so(link, start_agent):
    node = a_node("mini-1", port=start_agent("mini-1"))
    found = ask(link, node, tokens=lambda node: Secret("another"))["mini-1"]
    assert found.problem == "the agent refuses our token"


def test_a_token_that_cannot_be_had_is_that_nodes_problem_only(link, start_agent):
    def tokens(node):
        if node.name == "poor":
            raise SupplyError("no fleet_key")
        return token_for(node)

    found = ask(link, a_node("poor"), a_node("mini-1", port=start_agent("mini-1")), tokens=tokens)
    assert found["poor"].problem == "no fleet_key"
    assert found["mini-1"].reach is Reach.ANSWERED


def test_sessions_are_kept_between_polls_and_opened_again_when_cut(link, start_agent):
    node = a_node("mini-1", port=start_agent("mini-1"))
    poller = Poller(link, token_for=token_for, clock=SystemClock())
    poller.poll([node])
    poller.poll([node])
    assert link.connects == ["mini-1"]
    link.cut.add("mini-1")
    assert poller.poll([node])["mini-1"].reach is Reach.ANSWERED
    assert link.connects == ["mini-1", "mini-1"]
    poller.close()


def test_a_second_round_opens_nothing_and_sends_every_request_before_it_waits_for_an_answer(link, start_agent):
    """One thread asks ten nodes at once: the first answer is awaited when the last request is out."""
    nodes = [a_node(f"n{index}", port=start_agent(f"n{index}")) for index in range(10)]
    poller = Poller(link, token_for=token_for, clock=SystemClock())
    poller.poll(nodes)
    opened = len(link.opened)
    link.traffic.clear()
    found = poller.poll(nodes)
    assert {sighting.reach for sighting in found.values()} == {Reach.ANSWERED}
    assert len(link.opened) == opened
    assert [kind for kind, _ in link.traffic[:10]] == ["sent"] * 10
    assert sorted(name for _, name in link.traffic[:10]) == sorted(node.name for node in nodes)
    poller.close()


def test_one_that_hangs_costs_those_that_are_asked_with_it_nothing(link, start_agent):
    nodes = [a_node(f"n{index}", port=start_agent(f"n{index}")) for index in range(3)]
    poller = Poller(link, token_for=token_for, clock=SystemClock(), timeout_seconds=0.5)
    poller.poll(nodes)
    link.mute.add("n0")
    found = poller.poll(nodes)
    assert {name: sighting.reach for name, sighting in found.items()} == {
        "n0": Reach.AGENT_SILENT,
        "n1": Reach.ANSWERED,
        "n2": Reach.ANSWERED,
    }
    poller.close()


def test_an_agent_that_was_started_again_is_met_on_the_same_session(link, start_agent):
    node = a_node("mini-1", port=start_agent("mini-1"))
    poller = Poller(link, token_for=token_for, clock=SystemClock())
    poller.poll([node])
    link.hang_up_streams()
    assert poller.poll([node])["mini-1"].reach is Reach.ANSWERED
    assert (link.connects, len(link.opened)) == (["mini-1"], 2)
    poller.close()


def test_an_error_that_nobody_foresaw_is_a_row_and_not_a_crash(link):
    link.down["odd"] = ZeroDivisionError("by zero")
    assert "ZeroDivisionError" in ask(link, a_node("odd"))["odd"].problem


def test_more_nodes_than_threads_are_all_asked(link):
    for index in range(100):
        link.down[f"n{index}"] = Unreachable("gone")
    found = ask(link, *(a_node(f"n{index}") for index in range(100)))
    assert len(found) == 100
    assert all(isinstance(link.down[name], FleetError) for name in found)
