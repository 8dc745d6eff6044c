"""The article's notebook as a plain script: its cells as they are, with `model.fit` in its one changed line."""

import json
import os
from pathlib import Path

import keras
import pandas as pd
import pytest

from shared.evaluation import read_evaluation
from shared.volume import Volume
from tests.support.jobs import claim
from tests.support.played_scripts import events_of, file_of, play_attempt
from tests.support.scripts import put_script_job
from tests.support.stock_fit import stock_fit
from tests.support.wine import article_file

NOTEBOOK = Path(__file__).parents[5] / "examples" / "article.ipynb"
CHANGED, PLAIN = "run = fitstop.fit(\n    model,\n", "history = model.fit(\n"
ROWS = 600

pytestmark = pytest.mark.usefixtures("process_as_before")


def article() -> str:
    """Return the notebook's code up to its training; the cells after it read the service's run."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    code = ["".join(cell["source"]) for cell in cells]
    (fit,) = [number for number, cell in enumerate(code) if CHANGED in cell]
    return "\n\n".join([*code[:fit], code[fit].replace(CHANGED, PLAIN)]) + "\n"


def test_it_stops_early_and_its_log_is_that_of_plain_keras_in_the_same_order_of_rows(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wine = tmp_path / "few" / "winequalityN.csv"
    wine.parent.mkdir()
    pd.read_csv(article_file(tmp_path)).sample(ROWS, random_state=1).to_csv(wine, index=False)
    script = article()
    job = put_script_job(volume, script, {"winequalityN.csv": wine.read_bytes()})
    ending = play_attempt(claim(job))
    log = file_of(job, "training_log.csv").read_bytes()
    saved = sorted(path.name for path in file_of(job, "").glob("*.keras"))

    monkeypatch.setattr(keras.Model, "fit", stock_fit(keras.Model.fit))
    os.chdir(wine.parent)
    keras.utils.clear_session()
    exec(compile(script, "train.py", "exec"), {"__name__": "__main__"})
    assert Path("training_log.csv").read_bytes() == log
    assert sorted(path.name for path in Path().glob("*.keras")) == saved
    assert len(saved) > 1

    (call,) = events_of(job, "fit")
    stop = ending.stop
    assert stop is not None
    assert (stop.reason, stop.monitor, stop.wait, stop.patience) == ("early_stopping", "val_accuracy", 10, 10)
    assert (call.data["resume"], log.count(b"\n")) == ("exact", stop.last_epoch + 1)
    evaluation = read_evaluation(job.attempts()[0])
    assert evaluation is not None
    assert evaluation.validation.metrics["accuracy"] == pytest.approx(stop.best.value)  # type: ignore[union-attr]
