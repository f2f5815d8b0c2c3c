"""fleet's own part for nodes, and references to secrets."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from fleet.control.inventory.project import Project
from fleet.control.supply import nodepart
from fleet.control.supply.cache import Cache
from fleet.control.supply.secrets import resolve_secret
from fleet.errors import SupplyError


def test_the_sync_zipapp_is_the_same_bytes_each_time_and_imports_the_standard_library_only() -> None:
    digest, data = nodepart.sync_zipapp()
    assert (digest, data) == nodepart.sync_zipapp()
    assert digest == hashlib.sha256(data).hexdigest()
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert "__main__.py" in archive.namelist()
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert nodepart.foreign_imports(nodepart.sync_files()) == []


def test_a_foreign_import_would_be_found() -> None:
    files = {"fleet/a.py": b"import os\nimport yaml\nfrom fleet.b import c\nfrom fleet import a\n"}
    assert nodepart.foreign_imports(files) == ["fleet/a.py: yaml", "fleet/a.py: fleet.b"]


def test_the_zipapp_starts_without_any_installed_package(tmp_path: Path) -> None:
    path = tmp_path / "sync.pyz"
    path.write_bytes(nodepart.sync_zipapp()[1])
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "Traceback" not in ran.stderr
    assert ran.returncode != 0  # a verb is missing


def test_the_app_holds_what_daemons_import_and_nothing_of_the_laptop(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    packed = nodepart.app_archive(cache)
    assert packed == nodepart.app_archive(Cache(tmp_path / "other"))
    with tarfile.open(cache.blob_path(packed.digest)) as tar:
        names = tar.getnames()
    assert {"fleet/__init__.py", "fleet/errors.py", "fleet/vocabulary/pins.py"} <= set(names)
    assert not [name for name in names if name.startswith(("fleet/control", "fleet/cli", "fleet/sim"))]
    assert all(name.endswith((".py", ".html")) or "." not in name for name in names)
    assert "fleet/node/gateway/page.html" in names


def test_two_checkouts_make_the_same_bytes(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere/fleet"
    shutil.copytree(nodepart.package_dir(), copy, ignore=shutil.ignore_patterns("__pycache__", "_data"))
    code = (
        "from pathlib import Path; from fleet.control.supply import nodepart;"
        "from fleet.control.supply.cache import Cache;"
        f"print(nodepart.sync_zipapp()[0], nodepart.app_archive(Cache(Path({str(tmp_path / 'c')!r}))).digest)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=copy.parent, capture_output=True, text=True, check=True
    ).stdout.split()
    assert ran == [nodepart.sync_zipapp()[0], nodepart.app_archive(Cache(tmp_path / "d")).digest]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, tmp_path / "inventory/fleet.yml")


def test_a_secret_comes_from_the_environment_or_from_a_private_file(project: Project) -> None:
    (project.root / "key").write_text("s3cret\n")
    (project.root / "key").chmod(0o600)
    assert resolve_secret("file:key", project).reveal() == "s3cret"
    assert resolve_secret(f"file:{project.root}/key", project).reveal() == "s3cret"
    assert resolve_secret("env:KEY", project, environ={"KEY": "v"}).reveal() == "v"


def test_a_secret_file_that_others_may_read_is_refused(project: Project) -> None:
    (project.root / "key").write_text("s3cret")
    (project.root / "key").chmod(0o640)
    with pytest.raises(SupplyError, match="0640") as caught:
        resolve_secret("file:key", project)
    assert "chmod 600" in caught.value.hint
    assert "s3cret" not in caught.value.text


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:ABSENT", "ABSENT is not set"),
        ("file:absent", "no such file"),
        ("file:folder", "not a file|is a directory"),
        ("file:empty", "empty"),
        ("file:binary", "not UTF-8"),
        ("keyring:key", "begins with keyring: is not one"),
        ("op://vault/item", "begins with op: is not one"),
        ("sops:secrets.yml", "begins with sops: is not one"),
        ("sops:absent.yml#key", "no such file"),
        ("sk-or-v1-abcdef", "reference, not as itself"),
        ("env:", "reference, not as itself"),
        ("env:a-b", "begins with env: is not one"),
    ],
)
def test_what_is_no_usable_reference_is_refused_without_showing_it(
    project: Project, reference: str, message: str
) -> None:
    (project.root / "folder").mkdir(mode=0o700)
    for name, content in (("empty", b"\n"), ("binary", b"\xff\xfe")):
        (project.root / name).write_bytes(content)
        (project.root / name).chmod(0o600)
    with pytest.raises(SupplyError, match=message) as caught:
        resolve_secret(reference, project, environ={})
    assert "abcdef" not in caught.value.text
