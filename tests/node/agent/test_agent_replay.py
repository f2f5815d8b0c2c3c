"""A folder of recordings says also how much room there is and how wrong the clock is."""

from pathlib import Path

import pytest

from fleet.node.agent.disks import disk_source
from fleet.node.agent.recordedclock import RecordedClock
from fleet.node.agent.sampler import read_disk
from fleet.node.agent.setup import clock_of
from fleet.testing.clock import FakeClock
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.snapshot import Disk
from fleet.vocabulary.units import KIB

DF = """\
Filesystem     1024-blocks      Used Available Capacity  Mounted on
/dev/disk3s5     976562500 937500000  39062500      96%    /System/Volumes/Data
"""


def test_room_on_a_recorded_disk_is_what_df_printed(tmp_path: Path) -> None:
    (tmp_path / "df.txt").write_text(DF)
    read = disk_source(f"file:{tmp_path}")
    assert read("/") == Disk(mount="/", total_bytes=976562500 * KIB, free_bytes=39062500 * KIB)


@pytest.mark.parametrize("text", [None, "", "df: illegal option", "\xff\xfe"])
def test_room_that_was_not_recorded_is_unknown(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "df.txt").write_text(text)
    assert disk_source(f"file:{tmp_path}")("/") == Disk(mount="/")


@pytest.mark.parametrize("readings", ["macos", "linux", "file:"])
def test_a_machine_that_is_there_is_asked_itself(readings: str) -> None:
    assert disk_source(readings) is read_disk
    assert isinstance(clock_of(readings), SystemClock)


def test_a_recorded_clock_is_ahead_by_what_its_file_says_just_now(tmp_path: Path) -> None:
    right = FakeClock()
    clock = RecordedClock(tmp_path, right)
    assert clock.now() == right.now()
    (tmp_path / "clock.txt").write_text("-90\n")
    assert (clock.now() - right.now()).total_seconds() == -90
    assert clock.monotonic() == right.monotonic()
    clock.sleep(3)
    assert right.elapsed == 1003
    assert isinstance(clock_of(f"file:{tmp_path}"), RecordedClock)


@pytest.mark.parametrize("text", ["", "soon", "9" * 40, "1000000001", "\xff"])
def test_an_odd_clock_file_makes_no_clock_wrong(tmp_path: Path, text: str) -> None:
    right = FakeClock()
    (tmp_path / "clock.txt").write_text(text)
    assert RecordedClock(tmp_path, right).now() == right.now()
