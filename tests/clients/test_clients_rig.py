"""The rig's own scripts through the gateway, and the script by which its upstream speaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.rig.node import CHECK, NODE
from tests.clients.rig.processes import ROOT
from tests.clients.rig.script import answer_to

RIG = Path(__file__).with_name("rig")
READ = {"name": "Read", "parameters": {"properties": {"file_path": {"type": "string"}}}}
SHELL = {"name": "exec_command", "parameters": {"properties": {"cmd": {"type": "string"}}}}


def through_the_gateway(*command: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", "tests.clients.rig", *command)
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=160, check=False)


def test_sdk_check_passes() -> None:
    done = through_the_gateway("sh", "-c", f"exec {sys.executable} {RIG}/sdk_check.py $PORT")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fronts_own_certificate_is_all_that_the_sdks_must_trust() -> None:
    """As docs/clients.md says it."""
    check = f"SSL_CERT_FILE=$CA exec {sys.executable} {RIG}/sdk_check.py $PORT"
    done = through_the_gateway("--tls", "sh", "-c", check)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fronts_own_certificate_is_all_that_node_must_trust(node_sdk: Path) -> None:
    case = json.dumps({"name": "hello", "surface": "chat", "model": "mock", "text": "hello?", "how": "stream"})
    check = (
        f"echo '{case}' | NODE_EXTRA_CA_CERTS=$CA {NODE}/bin/node {node_sdk}/{CHECK} https://127.0.0.1:$PORT/v1 $KEY"
    )
    done = through_the_gateway("--tls", "sh", "-c", check)
    assert json.loads(done.stdout).get("end") == "stop", done.stdout + done.stderr


@pytest.mark.timeout(180)
def test_errprobe_passes() -> None:
    """No failure of an upstream looks like an answer, on any surface, and none touches the next request."""
    done = through_the_gateway("bash", "-c", f"exec {RIG}/errprobe.sh $PORT")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("offered", "called", "arguments"),
    [
        ([SHELL, READ], "Read", {"file_path": "/tmp/note.txt"}),
        ([SHELL], "exec_command", {"cmd": "cat /tmp/note.txt"}),
    ],
)
def test_a_tool_that_reads_is_called_with_the_path(
    offered: list[dict[str, object]], called: str, arguments: dict[str, str]
) -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": "Please READ_THE_NOTE /tmp/note.txt"}]}
    answer = answer_to({"messages": [turn], "tools": [{"type": "function", "function": one} for one in offered]})
    assert (answer.tool, json.loads(answer.arguments)) == (called, arguments)
    assert answer.finish_reason == "tool_calls"


def test_the_word_of_the_note_is_known_from_the_tools_result_only() -> None:
    asked = {"role": "user", "content": "READ_THE_NOTE /tmp/note.txt note-000000000000"}
    told = {"role": "tool", "content": "The word of the day is note-0123456789ab"}
    assert answer_to({"messages": [asked, told]}).message["content"] == "The note says note-0123456789ab."
    assert "note-" not in answer_to({"messages": [asked]}).message["content"]


def test_streamed_pieces_are_the_unary_answer() -> None:
    for text in ("hi", "@@chunks=3@@"):
        answer = answer_to({"messages": [{"role": "user", "content": text}]})
        assert "".join(one.get("content", "") for one in answer.deltas()) == answer.message["content"]
