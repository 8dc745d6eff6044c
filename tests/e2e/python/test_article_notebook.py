"""The article's notebook, with its one changed line, from its first cell to its last."""

import contextlib
import io
import json
from pathlib import Path

import pytest

from tests.support.wine import article_file

NOTEBOOK = Path(__file__).parents[3] / "examples" / "article.ipynb"


def cells():
    return [
        "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"
    ]


def test_every_cell_runs_and_the_job_stops_by_itself(connected, tmp_path, monkeypatch):
    article_file(tmp_path)
    if not (tmp_path / "winequalityN.csv").exists():
        (tmp_path / "winequalityN.csv").symlink_to(article_file(tmp_path))
    monkeypatch.chdir(tmp_path)
    names, shown = {}, io.StringIO()
    with contextlib.redirect_stdout(shown):
        for cell in cells():
            exec(compile(cell, str(NOTEBOOK), "exec"), names)
    run = names["run"]
    assert run.status == "succeeded"
    assert run.stop["reason"] == "early_stopping"
    assert run.stop["best"]["value"] > 0.7
    assert 12 <= run.epoch < 100
    assert len(names["best_model"].layers) == 4
    assert "the job has succeeded" in shown.getvalue()


def test_one_line_differs_from_the_article_and_nothing_that_ran_is_kept():
    notebook = json.loads(NOTEBOOK.read_text())
    assert sum("fitstop.fit(" in cell for cell in cells()) == 1
    assert not any("model.fit(" in cell for cell in cells())
    assert all(not cell["outputs"] and cell["execution_count"] is None
               for cell in notebook["cells"] if cell["cell_type"] == "code")  # fmt: skip


@pytest.mark.parametrize("cell", cells())
def test_each_cell_is_python(cell):
    compile(cell, str(NOTEBOOK), "exec")
