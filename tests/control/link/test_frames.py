"""The frame reader: noise, cut answers and foreign text, each said so."""

from __future__ import annotations

import pytest

from fleet.control.link.frames import FrameReader, MagicMissing, encode_frame, write_frame
from fleet.errors import ProtocolError
from fleet.testing.link import FakeChannel
from fleet.vocabulary.contracts.sync import MAGIC, Commit, Done, Event, Hello


def reader(output: bytes, *, status: int = 0, stderr: str = "") -> FrameReader:
    return FrameReader(FakeChannel(output, exit_status=status, stderr=stderr), node="mini-1")


@pytest.mark.parametrize("noise", [b"", b"welcome\n", b"no newline at the end", b"\x1b[31m\xff\xfe\n\n"])
def test_what_a_login_shell_prints_before_the_magic_line_is_skipped(noise: bytes) -> None:
    frames = reader(noise + MAGIC + encode_frame(Hello(idle=True)))
    assert frames.skip_to_magic() == noise
    assert frames.read(Hello) == Hello(idle=True)


def test_frames_follow_one_another() -> None:
    event = Event(seq=1, at_seconds=2.5, phase="step", status="ok", text="ünïcode\nlines")
    frames = reader(MAGIC + encode_frame(event) + encode_frame(Done(outcome="unchanged")))
    frames.skip_to_magic()
    assert [frames.read_any(), frames.read_any()] == [event, Done(outcome="unchanged")]


def test_a_written_frame_is_read_back() -> None:
    channel = FakeChannel(b"")
    write_frame(channel, Commit(run_id="r1"))
    assert reader(bytes(channel.written)).read(Commit) == Commit(run_id="r1")


def test_exit_127_without_a_word_means_that_the_node_lacks_this_sync() -> None:
    with pytest.raises(MagicMissing) as caught:
        reader(b"hi from .zshenv\n", status=127, stderr="sh: /opt/fleet/sbin/fleet-node: not found").skip_to_magic()
    assert caught.value.exit_status == 127
    assert "hi from .zshenv" in caught.value.detail
    assert "not found" in caught.value.detail
    assert "fleet adopt" in caught.value.hint


def test_sudo_that_wants_a_password_is_said_so() -> None:
    with pytest.raises(MagicMissing, match="sudo refused"):
        reader(b"", status=1, stderr="sudo: a password is required").skip_to_magic()


def test_endless_noise_is_given_up() -> None:
    with pytest.raises(MagicMissing, match="64 KiB") as caught:
        reader(b"spam and eggs\n" * 10_000).skip_to_magic()
    assert "spam and eggs" in caught.value.detail
    with pytest.raises(MagicMissing, match="64 KiB"):
        reader(b"x" * 200_000).skip_to_magic()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (b"Segmentation fault\n", "not a frame"),
        (b"99999999999\n", "not a frame"),
        (b"-5\nhello\n", "not a frame"),
        (b"\n", "not a frame"),
        (b"5\nhelloX", "does not end"),
        (b"5\nhello\n", "does not know"),
        (b'15\n{"kind":"what"}\n', "does not know"),
        (b"500\n{", "ended with exit status 0"),
        (b"", "ended with exit status 0"),
    ],
)
def test_anything_but_a_frame_is_a_protocol_error_that_shows_it(output: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message) as caught:
        reader(output).read_any()
    assert caught.value.node == "mini-1"
    assert "Traceback" not in caught.value.text
