"""Bundles: one project gives one file, out of which every need is answered; whatever is wrong with it is one error."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.desired.supplies import (
    ArchiveNeed,
    EnvNeed,
    InterpreterNeed,
    ModelNeed,
    Needs,
    Packed,
    SecretNeed,
    Supplies,
)
from fleet.control.inventory.project import Project
from fleet.control.supply.bundle import open_bundle, read_part
from fleet.control.supply.bundlewriter import ingredients, write_bundle
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import lock_folder, manifest_text, read_manifest
from fleet.control.supply.nodepart import app_archive
from fleet.control.supply.resolve import resolve
from fleet.errors import SupplyError

LOCK = hashlib.sha256(b"").hexdigest()
PYTHON = InterpreterNeed(kind="standalone", python_version="3.12", platform="macos-arm64")
NODE = ArchiveNeed(name="node", sha256="a" * 64, url="https://example.com/node.tar.gz", strip=1)
OWN = InterpreterNeed(kind="path", python_version="3.12", platform="this-machine", path="/usr/bin/python3")


def env(os_version: str | None = "26.4", *, lock: str = LOCK, platform: str = "macos-arm64") -> EnvNeed:
    return EnvNeed(
        name="serve",
        lock_path=Path("locks/serve.lock"),
        lock_sha256=lock,
        python_version="3.12",
        platform=platform,
        os_version=os_version,
    )


class Shop:
    """A project with a model, and supplies as `resolve` would have made them."""

    def __init__(self, place: Path, *envs: EnvNeed) -> None:
        self.project = Project(place, place / "inventory" / "fleet.yml")
        self.cache = Cache(place / "cache")
        self.weights = place / "weights"
        self.weights.mkdir(parents=True)
        (self.weights / "config.json").write_text("{}")
        (self.weights / "a.safetensors").write_bytes(os.urandom(100_000))
        manifest = lock_folder(self.weights, name="m", cache=self.cache).manifest
        path = place / "models" / "m.json"
        path.parent.mkdir()
        path.write_text(manifest_text(manifest))
        self.needs = Needs(
            envs=envs or (env(),), models=(ModelNeed(manifest_path=path),), interpreters=(PYTHON, OWN), archives=(NODE,)
        )
        self.supplies = Supplies(
            app=app_archive(self.cache),
            envs={need: self._packed(f"env {need.os_version} {need.platform}") for need in self.needs.envs},
            models={need: read_manifest(path) for need in self.needs.models},
            archives={NODE: self._packed("node")},
            interpreters={PYTHON: self._packed("python"), OWN: None},
        )

    def _packed(self, text: str) -> Packed:
        blob = self.cache.add(text.encode() * 1000)
        return Packed(digest=blob.hex, archive=blob)

    def bundle(self, *, weights: bool = True, name: str = "all.bundle") -> Path:
        path = self.project.root / name
        what = ingredients(self.needs, self.supplies, project=self.project, cache=self.cache, weights=weights)
        write_bundle(what, path)
        return path


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A laptop that has nothing, and on which neither uv nor the hub's library can be had."""
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    return Cache(tmp_path / "elsewhere")


def test_every_need_is_answered_out_of_the_bundle_with_neither_uv_nor_hub(shop: Shop, other: Cache) -> None:
    bundle = open_bundle(shop.bundle(), cache=other)
    found = resolve(shop.needs, project=shop.project, cache=other, bundle=bundle)
    assert replace(found, secrets={}, memo=shop.supplies.memo) == shop.supplies
    digests = {f"sha256:{one.digest}" for one in (*found.envs.values(), found.interpreters[PYTHON]) if one}
    weights = {f"sha256:{file.sha256}" for one in found.models.values() for file in one.files}
    assert digests | weights < set(bundle.parts)
    for digest, part in bundle.parts.items():
        assert f"sha256:{hashlib.sha256(b''.join(read_part(part))).hexdigest()}" == digest


def test_secrets_are_asked_of_this_laptop(shop: Shop, other: Cache) -> None:
    bundle = open_bundle(shop.bundle(), cache=other)
    wants = replace(shop.needs, secrets=(SecretNeed(reference="env:FLEET_NOT_SET_ANYWHERE"),))
    with pytest.raises(SupplyError, match="FLEET_NOT_SET_ANYWHERE"):
        resolve(wants, project=shop.project, cache=other, bundle=bundle)


def test_one_project_gives_one_bundle(shop: Shop) -> None:
    assert shop.bundle(name="a").read_bytes() == shop.bundle(name="b").read_bytes()
    assert str(shop.project.root).encode() not in shop.bundle().read_bytes()


def test_weights_come_along_when_they_are_wanted_only(shop: Shop) -> None:
    without = open_bundle(shop.bundle(weights=False), cache=shop.cache)
    assert [(one.name, one.weights) for one in without.index.models] == [("m", False)]
    assert len(without.parts) == len(open_bundle(shop.bundle(), cache=shop.cache).parts) - 2


def test_a_bundle_with_a_bit_turned_is_refused_and_a_checked_one_is_not_read_again(shop: Shop, other: Cache) -> None:
    path = shop.bundle()
    told: list[str] = []
    open_bundle(path, cache=other, notify=told.append)
    open_bundle(path, cache=other, notify=told.append)
    assert len(told) == 1
    raw = bytearray(path.read_bytes())
    part = max(open_bundle(path, cache=other).parts.values(), key=lambda one: one.size)
    raw[part.offset + 7] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SupplyError, match="is damaged"):
        open_bundle(path, cache=other)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(min_value=0.0, max_value=0.999))
def test_a_bundle_that_is_cut_anywhere_is_one_error(share: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("cut")
    shop = Shop(place)
    whole = shop.bundle()
    blobs = open_bundle(whole, cache=shop.cache).parts.values()
    end = max(part.offset + part.size for part in blobs)
    cut = place / "cut"
    cut.write_bytes(whole.read_bytes()[: int(end * share)])
    with pytest.raises(SupplyError) as refused:
        open_bundle(cut, cache=shop.cache)
    assert str(cut) in refused.value.title
    assert refused.value.hint


def a_tar(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


INDEX = {"fleet_version": "1", "app": "sha256:a", "sync": "sha256:b", "blobs": []}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"readme_txt": b"hello"},
        {"bundle_json": b"{"},
        {"bundle_json": b"[]"},
        {"bundle_json": json.dumps({**INDEX, "schema": 9}).encode()},
        {"bundle_json": json.dumps(INDEX).encode()},
        {"bundle_json": json.dumps({**INDEX, "surprise": 1}).encode()},
    ],
)
def test_another_tar_is_no_bundle(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(SupplyError, match=r"is not a bundle|cannot be read as a bundle"):
        open_bundle(a_tar(tmp_path / "x.tar", **members), cache=Cache(tmp_path / "cache"))


def test_no_file_a_folder_and_noise_are_no_bundle(tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_bytes(os.urandom(5000))
    for path in (tmp_path / "nowhere", tmp_path, noise):
        with pytest.raises(SupplyError, match="cannot be read as a bundle"):
            open_bundle(path, cache=Cache(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("have", "want", "taken"),
    [
        (["26.4", "26.5"], "26.4", "26.4"),
        (["26.4", "26.5"], "26.10", "26.5"),
        ([None, "26.4"], "26.4", "26.4"),
        ([None], "26.4", None),
        ([None, "15.0"], "14.2", None),
    ],
)
def test_an_env_for_the_newest_macos_that_is_not_newer_than_the_nodes_is_taken(
    tmp_path: Path, have: list[str | None], want: str, taken: str | None
) -> None:
    shop = Shop(tmp_path / "shop", *(env(one) for one in have))
    bundle = open_bundle(shop.bundle(weights=False), cache=shop.cache)
    wants = Needs(envs=(env(want),))
    found = resolve(wants, project=shop.project, cache=shop.cache, bundle=bundle)
    assert found.envs[env(want)] == shop.supplies.envs[env(taken)]


def test_what_the_bundle_lacks_is_named(shop: Shop) -> None:
    bundle = open_bundle(shop.bundle(weights=False), cache=shop.cache)
    older = Needs(envs=(env("15.1"),))
    changed = Needs(envs=(env(lock="f" * 64),))
    python = Needs(interpreters=(replace(PYTHON, python_version="3.13"),))
    for wants, said in ((older, "macOS 15.1"), (changed, "is not the one"), (python, "Python 3.13")):
        with pytest.raises(SupplyError) as refused:
            resolve(wants, project=shop.project, cache=shop.cache, bundle=bundle)
        assert said in refused.value.text


def test_a_bundle_of_another_fleet_is_refused(shop: Shop) -> None:
    bundle = open_bundle(shop.bundle(weights=False), cache=shop.cache)
    foreign = replace(bundle, index=msgspec.structs.replace(bundle.index, sync="sha256:" + "0" * 64))
    with pytest.raises(SupplyError, match="made by another fleet"):
        foreign.supplies(Needs(), cache=shop.cache)


def test_weights_that_changed_since_they_were_locked_get_into_no_bundle(shop: Shop) -> None:
    (shop.weights / "a.safetensors").write_bytes(b"x" * 100_000)
    with pytest.raises(SupplyError, match="is not what its manifest says"):
        shop.bundle()
    assert not list(shop.project.root.glob("*.bundle*")) + list(shop.project.root.glob(".*bundle*"))
