"""docs/reference: written from the code, current, and complete."""

import re
from pathlib import Path
from typing import get_args

import pytest

from app import errors
from app.errors import NeumoError, RequestError
from app.main import create_app
from app.reading.judge import ReasonCode
from app.reading.population import WarningCode
from app.settings.settings import Settings
from tests.conftest import ROOT
from tools.reference.__main__ import PAGES
from tools.reference.markdown_table import render_table

FOLDER = ROOT / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run `make reference`"


def test_nothing_else_lies_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def leaves(root: type[NeumoError]) -> list[type[NeumoError]]:
    branches = [
        each for each in root.__subclasses__() if each.__module__.startswith(errors.__name__ + ".")
    ]
    return [leaf for branch in branches for leaf in (leaves(branch) or [branch])]


@pytest.mark.parametrize("error", leaves(NeumoError))
def test_an_error_has_a_section_with_all_its_texts_in_both_languages(
    error: type[NeumoError],
) -> None:
    page = PAGES["errors.md"]()
    (section,) = re.findall(
        rf"^### `{error.code}`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL
    )
    texts = [error.advice, *(error.reasons.values() if issubclass(error, RequestError) else ())]
    for text in (error.title, *texts):
        assert text.en in section
        assert text.es in section


def test_a_request_error_is_listed_under_its_status() -> None:
    page = PAGES["errors.md"]()
    rows = dict(re.findall(r"^\| (\d{3}) \| (.*) \|$", page, re.MULTILINE))
    assert "`not_a_chest_xray`" in rows["422"]
    assert "`overloaded`" in rows["503"]


@pytest.mark.parametrize("code", [*get_args(WarningCode), *get_args(ReasonCode)])
def test_every_warning_and_reason_is_told(code: str) -> None:
    assert f"| `{code}` |" in PAGES["answers.md"]()


def test_every_metric_that_is_exposed_is_told_with_its_labels(tmp_path: Path) -> None:
    folders = {"audit_folder": str(tmp_path / "trail"), "exchange_folder": str(tmp_path / "queue")}
    app = create_app(Settings(**folders))
    metrics = app.state.service.metrics
    app.state.records.trail.database.close()
    metrics.count_request("/predict", "POST", 200, 0.1)
    exposed = set(re.findall(r"^# HELP (\w+) ", metrics.render().decode(), re.MULTILINE))
    page = PAGES["metrics.md"]()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == exposed
    assert "| `neumo_requests_total` | counter | `route` `method` `status` |" in page


def test_every_call_and_every_status_of_it_is_told() -> None:
    page = PAGES["http.md"]()
    for path, item in create_app(Settings()).openapi()["paths"].items():
        for method, operation in item.items():
            heading = f"### {operation['operationId']}\n\n`{method.upper()} {path}`\n"
            section = page.partition(heading)[2].partition("\n### ")[0]
            assert section, heading
            told = re.findall(r"^\| (\w+) \| ", section.partition("Answers:")[2], re.MULTILINE)
            assert told == ["status", *operation["responses"]]


def test_a_link_to_a_schema_leads_to_its_heading() -> None:
    page = PAGES["http.md"]()
    headings = {text.strip("`").lower() for text in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    targets = set(re.findall(r"\(#(\w+)\)", page))
    assert targets
    assert targets <= {heading.replace(" ", "-") for heading in headings}


def test_a_cell_holds_a_bar_and_a_line_break() -> None:
    assert render_table(["a"], [["x|y\nz"]])[2] == "| x\\|y z |"
    assert render_table(["a"], [["[x][y]"]])[2] == "| [x]\\[y] |"
    assert render_table(["a"], []) == []
