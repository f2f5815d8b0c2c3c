"""Templates see a closed set of names, and come from the project, then from the package, and from nowhere else."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest

from fleet.control.desired.templates import Templates
from fleet.control.inventory import Project
from fleet.errors import PlaybookError, TemplateError
from fleet.vocabulary.layout import NodeLayout

VALUES = MappingProxyType({"vars": {"port": 8800, "name": "a<b", "on": True, "items": "mine"}, "facts": {}})


def templates(folder: Path, **files: str) -> Templates:
    """The templates of a project with these files; `__` in a name is a slash."""
    for name, text in files.items():
        path = folder / "templates" / name.replace("__", "/").replace("_j2", ".j2").replace("_plist", ".plist")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Templates(Project(folder, folder / "inventory" / "fleet.yml"))


def test_a_template_of_the_project_wins_over_the_packages(tmp_path: Path) -> None:
    own = templates(tmp_path, launchd__agent_plist_j2="mine\n")
    assert own.render("launchd/agent.plist.j2", {}) == "mine\n"
    layout = NodeLayout(owner="fleet")
    with pytest.raises(TemplateError, match="'daemon' is undefined"):
        own.render("launchd/gateway.plist.j2", {"layout": layout})


def test_xml_is_escaped_in_plists_and_only_there(tmp_path: Path) -> None:
    made = templates(tmp_path, a_plist_j2="{{ vars.name }}\n", a_j2="{{ vars.name }}\n")
    assert made.render("a.plist.j2", VALUES) == "a&lt;b\n"
    assert made.render("a.j2", VALUES) == "a<b\n"


def test_an_unknown_name_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    made = templates(tmp_path, a_j2="one\ntwo\n{{ vars.prot }}\n")
    with pytest.raises(TemplateError) as caught:
        made.render("a.j2", VALUES)
    assert caught.value.place == f"{tmp_path}/templates/a.j2:3"
    assert "no attribute 'prot'" in caught.value.text


def test_a_mistake_of_syntax_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    made = templates(tmp_path, a_j2="one\n{% if %}\n")
    with pytest.raises(TemplateError) as caught:
        made.render("a.j2", VALUES)
    assert caught.value.place == f"{tmp_path}/templates/a.j2:2"


def test_an_error_in_an_included_template_names_that_template(tmp_path: Path) -> None:
    made = templates(tmp_path, a_j2='{% include "b.j2" %}\n', b_j2="\n{{ nothing }}\n")
    with pytest.raises(TemplateError) as caught:
        made.render("a.j2", VALUES)
    assert caught.value.place == f"{tmp_path}/templates/b.j2:2"


@pytest.mark.parametrize("name", ["../secret.j2", "/etc/passwd", "x/../../secret.j2", "..\\\\secret.j2"])
def test_a_template_from_outside_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.j2").write_text("secret")
    made = templates(tmp_path, a_j2=f'{{% include "{name}" %}}')
    for asked in (name, "a.j2"):
        with pytest.raises(TemplateError, match="no template"):
            made.render(asked, VALUES)


def test_a_link_that_leads_out_of_the_project_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.j2"
    outside.write_text("secret")
    made = templates(tmp_path / "project", a_j2="x")
    (tmp_path / "project" / "templates" / "link.j2").symlink_to(outside)
    with pytest.raises(TemplateError, match="no template"):
        made.render("link.j2", VALUES)


@pytest.mark.parametrize(
    "expression",
    [
        "vars.__class__",
        "''.__class__.__mro__",
        "vars.update({'port': 1})",
        "lipsum()",
        "cycler",
        "[1, 2] | random",
        "now()",
        "environ",
        "self._TemplateReference__context",
        "layout.__init__.__globals__",
    ],
)
def test_the_sandbox_lets_nothing_out_and_nothing_be_changed(tmp_path: Path, expression: str) -> None:
    made = templates(tmp_path, a_j2=f"{{{{ {expression} }}}}")
    with pytest.raises(TemplateError):
        made.render("a.j2", {**VALUES, "layout": NodeLayout(owner="fleet")})


def test_a_lone_expression_keeps_its_type(tmp_path: Path) -> None:
    made = templates(tmp_path)
    assert made.scalar("{{ vars.port }}", VALUES) == 8800
    assert made.scalar("{{ vars.on }}", VALUES) is True
    assert made.scalar("port {{ vars.port }}", VALUES) == "port 8800"
    assert made.scalar("{{ vars.port }}{{ vars.port }}", VALUES) == "88008800"
    assert made.scalar("plain", VALUES) == "plain"
    assert made.scalar("{{ vars.name }}", VALUES) == "a<b"


def test_a_variable_may_be_called_like_a_method_of_a_mapping(tmp_path: Path) -> None:
    made = templates(tmp_path, a_j2="{{ vars.items }}")
    assert made.scalar("{{ vars.items }}", VALUES) == "mine"
    assert made.render("a.j2", VALUES) == "mine"


def test_a_value_is_not_a_template_again(tmp_path: Path) -> None:
    made = templates(tmp_path)
    assert made.scalar("{{ vars.x }}", {"vars": {"x": "{{ 1 + 1 }}"}}) == "{{ 1 + 1 }}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ vars.prot }}", "no attribute 'prot'"),
        ("{{ vars.prot }}", "did you mean `port`?"),
        ("x{{ vars.prot }}", "no attribute 'prot'"),
        ("{{ vrs.port }}", "'vrs' is undefined"),
        ("{{ vars.port", "unexpected"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% if true %}x{% endif %}", "only {{ }} is understood inside a task"),
        ("{# no #}", "only {{ }} is understood inside a task"),
    ],
)
def test_a_scalar_that_cannot_be_filled_in_is_an_error_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        templates(tmp_path).scalar(text, VALUES, place="p.yml:4:7")
    assert "p.yml:4:7" in caught.value.text
    assert said in caught.value.text
