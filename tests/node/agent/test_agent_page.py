"""docs/agent.md names every metric, every column and every path that there is."""

import re
from pathlib import Path

from fleet.node.agent import metrics
from fleet.node.agent.columns import COLUMNS, Kind
from fleet.node.agent.seriesquery import MOST_VALUES

PAGE = Path(__file__).parents[3] / "docs" / "agent.md"
BEGIN, END = "<!-- columns: written by pytest --update-goldens -->", "<!-- end of columns -->"
KEPT = {Kind.GAUGE: "mean, `.min`, `.max`", Kind.LEVEL: "highest", Kind.COUNTER: "last"}


def the_columns() -> str:
    rows = ["| column | of a minute |", "|---|---|"]
    return "\n".join(rows + [f"| `{column.name}` | {KEPT[column.kind]} |" for column in COLUMNS])


def test_the_page_shows_the_columns_as_they_are(request):
    head, _, rest = PAGE.read_text().partition(BEGIN)
    shown, _, tail = rest.partition(END)
    if request.config.getoption("--update-goldens"):
        PAGE.write_text(f"{head}{BEGIN}\n{the_columns()}\n{END}{tail}")
        shown = the_columns()
    assert shown.strip() == the_columns()


def test_the_page_names_every_metric_and_no_other():
    there = set(re.findall(r'"((?:fleet|process)_[a-z0-9_]+)"', Path(metrics.__file__).read_text()))
    named = set(re.findall(r"`((?:fleet|process)_[a-z0-9_]+)[`{]", PAGE.read_text()))
    assert named == there


def test_the_page_says_how_much_an_answer_holds():
    assert f"{MOST_VALUES:,} values at most" in PAGE.read_text()
