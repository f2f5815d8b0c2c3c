"""The wheel, installed where nothing else is, does what the checkout does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.package, pytest.mark.timeout(300), pytest.mark.xdist_group("package")]


def uv(*words: str, cwd: Path) -> None:
    """uv, as installed with fleet."""
    answer = subprocess.run(
        [shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--quiet", "--out-dir", str(out), str(ROOT), cwd=out)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bin_dir(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a clean environment with the plain install."""
    home = tmp_path_factory.mktemp("clean")
    uv("venv", "--quiet", "--python", sys.executable, str(home / "venv"), cwd=home)
    uv("pip", "install", "--quiet", "--python", str(home / "venv"), str(wheel), cwd=home)
    return home / "venv" / "bin"


def run(bin_dir: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The installed fleet, with nothing of this checkout in reach."""
    return subprocess.run(
        [str(bin_dir / "fleet"), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)},
        check=False,
    )


def test_the_wheel_carries_templates_playbooks_locks_and_examples(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    launchd = {f"templates/launchd/{name}.plist.j2" for name in ("agent", "gateway", "sidecar", "apply", "sysctl")}
    wanted = launchd | {
        "playbooks/site.yml",
        "locks/node.lock",
        "locks/mlx.lock",
        "inventory/example.yml",
        "suites/fifty.yml",
    }
    assert {f"fleet/_data/{name}" for name in wanted} <= names
    assert "fleet/node/sync/helper.sh" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_installed_command_tells_its_version(bin_dir: Path, tmp_path: Path) -> None:
    from fleet import __version__

    answer = run(bin_dir, "--version", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (0, f"fleet {__version__}\n")


def test_the_packaged_examples_lint_clean(bin_dir: Path, tmp_path: Path) -> None:
    (site,) = (bin_dir.parent / "lib").glob("python3*/site-packages/fleet/_data")
    for inventory in sorted((site / "inventory").glob("*.yml")):
        answer = run(bin_dir, "-i", str(inventory), "lint", cwd=tmp_path)
        assert answer.returncode == 0, f"{inventory.name}: {answer.stdout}{answer.stderr}"


def test_a_new_project_of_the_installed_command_lints(bin_dir: Path, tmp_path: Path) -> None:
    assert run(bin_dir, "init", "mine", cwd=tmp_path).returncode == 0
    answer = run(bin_dir, "lint", cwd=tmp_path / "mine")
    assert "Traceback" not in answer.stderr
    assert (tmp_path / "mine" / "secrets" / "fleet.key").stat().st_mode & 0o077 == 0


def test_every_node_entry_point_of_the_wheel_imports(bin_dir: Path, tmp_path: Path) -> None:
    imports = "import fleet.control.actions.deploy, fleet.control.actions.adopt, fleet.control.supply.nodepart as n"
    code = f"{imports}; print(len(n.sync_zipapp()[1]) > 1000)"
    answer = subprocess.run(
        [str(bin_dir / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.stdout.strip() == "True", answer.stderr
