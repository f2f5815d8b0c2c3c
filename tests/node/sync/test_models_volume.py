"""Weights on a volume of their own: only on that very one, in its place; a file that crosses volumes arrives whole."""

from __future__ import annotations

import errno
import os
import plistlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sync_kit import Node, adopted
from test_session import frame, of, talk
from test_weights_ahead import FILES, stow, weights

from fleet.node.sync.disk import Disk
from fleet.node.sync.machine import Ran
from fleet.node.sync.prune import prune
from fleet.node.sync.volume import Volume, parse_volume
from fleet.vocabulary.contracts.desired import Keep
from fleet.vocabulary.contracts.questions import Stow, Stowed
from fleet.vocabulary.contracts.sync import Bye, Desired, Failed, Observed
from fleet.vocabulary.layout import NodeLayout

UUID = "0A81F3B1-51D9-3335-B3E3-169C3640360D"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Adopted with a volume for its models, which is where it should be."""
    node = adopted(tmp_path)
    node.layout = replace(node.layout, models_volume=UUID)
    node.machine = replace(node.machine, layout=node.layout)
    Path(node.layout.root, "models").mkdir()
    says(node)
    return node


def says(node: Node, code: int = 0, **other: object) -> None:
    """What diskutil says of the volume."""
    found = {
        "VolumeUUID": UUID,
        "VolumeName": "weights",
        "MountPoint": f"{node.layout.root}/models",
        "WritableVolume": True,
        "GlobalPermissionsEnabled": True,
    }
    out = plistlib.dumps({**found, **other}).decode()
    node.mac.programs["/usr/sbin/diskutil"] = lambda words: Ran(
        code=code, out=out if words[1:] == ("info", "-plist", UUID) else ""
    )


def test_on_its_volume_weights_land_and_stay_and_nothing_of_them_is_written_elsewhere(node: Node) -> None:
    tree = weights(node)
    half = stow(node, tree, dict(list(FILES.items())[:1]))
    assert of(Failed, half).title.endswith("still missing")
    assert list(Path(node.layout.root, "models", ".blobs").iterdir())
    assert not list(Path(node.layout.root, "blobs").iterdir())
    assert of(Stowed, stow(node, tree)).paths == (tree.path,)
    assert {path: Path(tree.path, path).read_bytes() for path in FILES} == FILES


@pytest.mark.parametrize(
    ("other", "says_so", "hint"),
    [
        ({"MountPoint": ""}, "is not mounted", f"mount -mountPoint {{root}}/models {UUID}"),
        ({"MountPoint": "/Volumes/weights 1"}, "is mounted elsewhere", f"unmount {UUID} && sudo diskutil mount"),
        ({"MountPoint": "", "Locked": True}, "is locked", "unlockVolume"),
        ({"WritableVolume": False}, "cannot be written", "lock on the disk"),
        ({"GlobalPermissionsEnabled": False}, "ignores who owns its files", f"enableOwnership {UUID}"),
        ({"VolumeUUID": UUID.replace("0", "1")}, "is not there", "connect the disk"),
        ({"code": 1}, "is not there", "connect the disk"),
    ],
)
def test_a_volume_that_is_not_as_it_should_be_is_told_with_what_to_type(
    node: Node, other: dict[str, object], says_so: str, hint: str
) -> None:
    says(node, **other)  # type: ignore[arg-type]
    tree = weights(node)
    state = node.release().daemon("agent", "one").state
    for said in (frame(Stow(trees=(tree,))), frame(Desired(state=state))):
        failed = of(Failed, talk(node, said))
        assert failed.code == "volume"
        assert failed.title == f"the volume of the models {says_so}"
        assert hint.format(root=node.layout.root) in failed.hint
    assert not list(Path(node.layout.root, "models").iterdir())


def test_without_a_volume_nobody_is_asked(tmp_path: Path) -> None:
    node = adopted(tmp_path)
    of(Observed, talk(node, frame(Desired(state=node.release().daemon("agent", "one").state)) + frame(Bye())))
    assert not [words for words in node.mac.typed if "diskutil" in words[0]]
    assert node.layout.landing == f"{node.layout.root}/blobs"


def test_the_volume_is_named_whatever_the_case_of_its_letters(node: Node) -> None:
    says(node, VolumeUUID=UUID.lower())
    assert of(Stowed, stow(node, weights(node)))


def test_a_blob_that_crosses_volumes_is_copied_whole_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "a").chmod(0o600)
    (tmp_path / "folder").mkdir()

    def crossing(_source: str, _target: str) -> None:
        raise OSError(errno.EXDEV, "Cross-device link")

    with monkeypatch.context() as patched:
        real = os.rename
        patched.setattr(
            os,
            "rename",
            lambda source, target, **where: real(source, target, **where) if where else crossing(source, target),
        )
        Disk().rename(str(tmp_path / "a"), str(tmp_path / "b"))
        with pytest.raises(OSError, match="Cross-device"):
            Disk().rename(str(tmp_path / "folder"), str(tmp_path / "other"))
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.glob("[ab]")] == [("b", 0o600)]
    assert (tmp_path / "b").read_bytes() == b"content"


def test_housekeeping_removes_what_was_left_on_its_way_to_the_volume(node: Node) -> None:
    stow(node, weights(node), dict(list(FILES.items())[:1]))
    left = list(Path(node.layout.root, "models", ".blobs").iterdir())
    assert left
    node.clock.advance(400 * 86400)
    gone = {one.path for one in prune(node.machine, Keep()).dropped}
    assert {str(path) for path in left} <= gone


@given(st.text(max_size=60) | st.sampled_from(["<plist/>", "<?xml", "bplist00", "<plist><array/></plist>"]))
def test_odd_text_is_a_volume_that_nothing_is_known_of(text: str) -> None:
    assert parse_volume(text) == Volume()


def test_odd_kinds_of_values_are_unknown() -> None:
    odd = {"VolumeUUID": 7, "MountPoint": True, "WritableVolume": "yes", "GlobalPermissionsEnabled": 1, "Locked": []}
    assert parse_volume(plistlib.dumps(odd).decode()) == Volume()


def test_a_layout_without_a_volume_is_what_it_was() -> None:
    from fleet.vocabulary.contracts.codec import plain

    assert "models_volume" not in plain(NodeLayout(owner="me"))
