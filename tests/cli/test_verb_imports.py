"""What people call all day loads only what it needs."""

import subprocess
import sys

import pytest

SCREENS = {"rich", "textual"}
BUILDING = {"jinja2", "huggingface_hub", "uv", "fleet.control.desired", "fleet.control.playbook"}
SSH = {"paramiko", "fabric"}
FACTS = {"fleet.control.actions.facts", "fleet.vocabulary.contracts.sync"}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/fleet.yml").write_text("all:\n  hosts:\n    mini-[1:2]:\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["inventory", "list"], SCREENS | BUILDING | SSH | FACTS),
        (["inventory", "list", "--json"], SCREENS | BUILDING | SSH | FACTS),
        (["inventory", "graph"], SCREENS | BUILDING | SSH | FACTS),
        (["status"], BUILDING | FACTS),
        (["status", "--json"], BUILDING | FACTS | SCREENS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_verb_loads_only_what_it_needs(project, words, unwanted):
    code = (
        "import sys; from fleet.cli.main import cli\n"
        f"try: cli.main({words!r}, standalone_mode=False)\n"
        "except BaseException as stop: print(repr(stop), file=sys.stderr)\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=project, check=True)
    assert "mini-2" in ran.stdout
    assert set(ran.stderr.splitlines()[-1].split()).isdisjoint(unwanted)
