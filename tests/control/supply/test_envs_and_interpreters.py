"""Envs and interpreters by the real uv, from folders of this machine: no network is needed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.control.desired.supplies import EnvNeed, InterpreterNeed, Needs, SecretNeed
from fleet.control.inventory.project import Project
from fleet.control.supply.cache import Cache
from fleet.control.supply.envs import build_env, env_key
from fleet.control.supply.interpreters import fetch_interpreter
from fleet.control.supply.locks import write_lock
from fleet.control.supply.resolve import resolve
from fleet.errors import SupplyError, UsageError

SYSCONFIG = (
    b"# system configuration generated and used by the sysconfig module\n"  # uv looks for this line
    b"build_time_vars = {'prefix': '/install'}\n"
)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def wheel(folder: Path, name: str, tag: str) -> str:
    """A wheel with a module and a console script; its sha256."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"tag = {tag!r}\ndef main(): print(tag)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}={name}:main\n",
    }
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
        for path, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            archive.writestr(inner, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """uv finds packages in this folder alone."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for variable, value in {
        "UV_FIND_LINKS": str(folder),
        "UV_NO_INDEX": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
    }.items():
        monkeypatch.setenv(variable, value)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def need(tmp_path: Path, text: str, **changes: object) -> EnvNeed:
    lock = tmp_path / "demo.lock"
    lock.write_text(text)
    found = EnvNeed(
        name="demo",
        lock_path=lock,
        lock_sha256=hashlib.sha256(text.encode()).hexdigest(),
        python_version=VERSION,
        platform="this-machine",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def names(cache: Cache, digest: str) -> list[str]:
    with tarfile.open(cache.blob_path(digest)) as tar:
        return tar.getnames()


def test_an_env_runs_from_its_folder_and_is_the_same_bytes_when_built_anew(
    wheels: Path, tmp_path: Path, cache: Cache
) -> None:
    lock = f"one==1.0 --hash=sha256:{wheel(wheels, 'one', 'py3-none-any')}\n"
    heard: list[str] = []
    packed = build_env(need(tmp_path, lock), cache=cache, notify=heard.append)
    assert build_env(need(tmp_path, lock), cache=cache, notify=heard.append) == packed
    assert len(heard) == 1
    assert build_env(need(tmp_path, lock), cache=Cache(tmp_path / "other")) == packed
    found = names(cache, packed.digest)
    assert "one.py" in found
    assert not [name for name in found if "bin" in name or "pyc" in name or name == ".lock"]
    with tarfile.open(cache.blob_path(packed.digest)) as tar:
        tar.extractall(tmp_path / "env", filter="data")
    assert "../bin" not in (tmp_path / "env/one-1.0.dist-info/RECORD").read_text()
    ran = subprocess.run(
        [sys.executable, "-s", "-c", "import one, importlib.metadata as m; one.main(); print(m.version('one'))"],
        env={"PYTHONPATH": str(tmp_path / "env")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["py3-none-any", "1.0"]


def test_a_mac_gets_the_wheel_for_its_macos_version(wheels: Path, tmp_path: Path, cache: Cache) -> None:
    hashes = [wheel(wheels, "metal", f"py3-none-macosx_{major}_0_arm64") for major in (14, 26)]
    lock = "metal==1.0 " + " ".join(f"--hash=sha256:{digest}" for digest in hashes) + "\n"
    digests = {}
    for version, expected in (("15.5", b"macosx_14_0"), ("26.4", b"macosx_26_0"), (None, b"macosx_14_0")):
        packed = build_env(need(tmp_path, lock, platform="macos-arm64", os_version=version), cache=cache)
        with tarfile.open(cache.blob_path(packed.digest)) as tar:
            module = tar.extractfile("metal.py")
            assert module is not None
            assert expected in module.read()
        digests[version] = packed.digest
    assert digests["15.5"] != digests["26.4"]


def test_a_package_without_a_wheel_for_the_node_is_named(wheels: Path, tmp_path: Path, cache: Cache) -> None:
    lock = f"metal==1.0 --hash=sha256:{wheel(wheels, 'metal', 'py3-none-macosx_26_0_arm64')}\n"
    with pytest.raises(SupplyError, match=r"env demo cannot be built for macOS 15\.5") as caught:
        build_env(need(tmp_path, lock, platform="macos-arm64", os_version="15.5"), cache=cache)
    assert "metal" in caught.value.detail


def test_a_wheel_that_is_not_the_locked_one_is_refused(wheels: Path, tmp_path: Path, cache: Cache) -> None:
    wheel(wheels, "one", "py3-none-any")
    with pytest.raises(SupplyError) as caught:
        build_env(need(tmp_path, f"one==1.0 --hash=sha256:{'0' * 64}\n"), cache=cache)
    assert "hash" in caught.value.detail.lower()


def test_a_lock_that_changed_meanwhile_is_refused(tmp_path: Path, cache: Cache) -> None:
    found = need(tmp_path, "one==1.0\n")
    found.lock_path.write_text("two==1.0\n")
    with pytest.raises(SupplyError, match="changed"):
        build_env(found, cache=cache)


def test_the_os_version_is_part_of_the_key_only_where_it_matters(tmp_path: Path) -> None:
    here = need(tmp_path, "")
    assert env_key(here) == env_key(replace(here, os_version="26.4", name="other"))
    mac = replace(here, platform="macos-arm64", os_version="15.5")
    assert len({env_key(here), env_key(mac), env_key(replace(mac, os_version="26.4"))}) == 3
    assert env_key(mac) != env_key(replace(mac, python_version="3.99"))


def test_a_lock_is_written_beside_its_source_and_names_no_address(wheels: Path, tmp_path: Path) -> None:
    digest = wheel(wheels, "one", "py3-none-any")
    project = Project(tmp_path / "project", tmp_path / "project/inventory/fleet.yml")
    (project.root / "locks").mkdir(parents=True)
    (project.root / "locks/demo.in").write_text("one>=0.5\n")
    lock = write_lock(project, "demo").read_text()
    assert lock == f"one==1.0 \\\n    --hash=sha256:{digest}\n"
    with pytest.raises(UsageError, match=r"locks/other\.in is not in") as caught:
        write_lock(project, "other")
    assert "demo" in caught.value.detail


def stub_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror folder with a build that holds two scripts, and uv's list of builds naming it."""
    out = io.BytesIO()
    files = {
        "python/bin/python3.12": (b"#!/bin/sh\necho Python 3.12.12\n", 0o755),
        "python/lib/python3.12/_sysconfigdata__darwin_darwin.py": (
            SYSCONFIG,
            0o644,
        ),
        "python/lib/python3.12/__pycache__/x.pyc": (b"x", 0o644),
    }
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, "python3.12"
        tar.addfile(link)
    mirror = tmp_path / "mirror/20251209"
    mirror.mkdir(parents=True)
    (mirror / "cpython.tar.gz").write_bytes(out.getvalue())
    listing = {
        "cpython-3.12.12-darwin-aarch64-none": {
            "name": "cpython",
            "arch": {"family": "aarch64", "variant": None},
            "os": "darwin",
            "libc": "none",
            "major": 3,
            "minor": 12,
            "patch": 12,
            "prerelease": "",
            "url": "https://github.com/astral-sh/python-build-standalone/releases/download/20251209/cpython.tar.gz",
            "sha256": hashlib.sha256(out.getvalue()).hexdigest(),
            "variant": None,
            "build": "20251209",
        }
    }
    (tmp_path / "builds.json").write_text(json.dumps(listing))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", (tmp_path / "builds.json").as_uri())
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", (tmp_path / "mirror").as_uri())


STANDALONE = InterpreterNeed(kind="standalone", python_version="3.12", platform="macos-arm64")


def test_a_standalone_build_comes_from_a_file_mirror_and_packs_the_same_twice(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_build(tmp_path, monkeypatch)
    packed = fetch_interpreter(STANDALONE, cache=cache)
    assert packed is not None
    assert fetch_interpreter(STANDALONE, cache=Cache(tmp_path / "other")) == packed
    found = names(cache, packed.digest)
    assert {"bin/python3", "bin/python3.12"} <= set(found)
    assert not [name for name in found if "pycache" in name or "EXTERNALLY" in name]
    with tarfile.open(cache.blob_path(packed.digest)) as tar:
        data = tar.extractfile("lib/python3.12/_sysconfigdata__darwin_darwin.py")
        assert data is not None
        text = data.read()
    assert b"/install" in text
    assert str(tmp_path).encode() not in text


def test_a_build_that_cannot_be_fetched_says_what_else_works(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_build(tmp_path, monkeypatch)
    (tmp_path / "mirror/20251209/cpython.tar.gz").unlink()
    with pytest.raises(SupplyError, match=r"cpython-3\.12-macos-aarch64-none cannot be fetched") as caught:
        fetch_interpreter(STANDALONE, cache=cache)
    assert "interpreter: /path" in caught.value.hint


def test_a_path_on_the_node_is_nothing_to_push(cache: Cache) -> None:
    given = InterpreterNeed(
        kind="path", python_version="3.12", platform="macos-arm64", path="/usr/local/bin/python3.12"
    )
    assert fetch_interpreter(given, cache=cache) is None
    with pytest.raises(SupplyError, match="not an absolute path"):
        fetch_interpreter(replace(given, path="python3"), cache=cache)


def test_everything_needed_is_answered_once(
    wheels: Path, tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = need(tmp_path, f"one==1.0 --hash=sha256:{wheel(wheels, 'one', 'py3-none-any')}\n")
    python = InterpreterNeed(kind="path", python_version=VERSION, platform="this-machine", path=sys.executable)
    monkeypatch.setenv("DEMO_TOKEN", "s3cret")
    project = Project(tmp_path, tmp_path / "inventory/fleet.yml")
    needs = Needs(envs=(env,), interpreters=(python,), secrets=(SecretNeed(reference="env:DEMO_TOKEN"),))
    supplies = resolve(needs, project=project, cache=cache)
    assert "one.py" in names(cache, supplies.envs[env].digest)
    assert supplies.interpreters[python] is None
    assert supplies.secrets["env:DEMO_TOKEN"].reveal() == "s3cret"
    assert "fleet/node/__init__.py" in names(cache, supplies.app.digest)
    assert "s3cret" not in repr(supplies)
