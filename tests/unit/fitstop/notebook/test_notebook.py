"""A job in a notebook: one output that is updated, without code and without remote content."""

import sys
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree

import pytest

from fitstop.notebook.curves import Line, chart
from fitstop.notebook.display import is_notebook, show
from fitstop.notebook.html import Picture, picture_html
from fitstop.terminal.follow import Moment

HOSTILE = '<script>alert("x")</script>'
RUNNING = {
    "id": "job_01M85E63EV6GPRF7Q82FVD7MMA",
    "name": HOSTILE,
    "status": "running",
    "worker": {"device": HOSTILE, "host": "gpu-1"},
    "progress": {
        "epoch": 12, "epochs": 1000, "learning_rate": 0.001, "metrics": {},
        "best": {"epoch": 2, "monitor": "val_accuracy", "value": 0.75},
        "early_stopping": {"monitor": "val_accuracy", "wait": 3, "patience": 10, "stops_at_epoch": 19},
    },
    "ledger": {"gpu_seconds": {"total": 61.0}, "costs": [{"currency": "EUR", "total": 0.25}]},
    "spec": {"budget": {"max_cost": 2.0}},
}  # fmt: skip
EPOCHS = {
    n: {"loss": 1 / n, "val_loss": 1.1 / n, "accuracy": n / 10, "val_accuracy": None if n == 3 else n / 11}
    for n in range(1, 6)
}
FORECAST = {"stop": {"p10": 24, "p50": 40, "p90": 60}, "seconds_left": {"p50": 90.0}, "chance_of_better": 0.4}
FINISHED = {
    **RUNNING,
    "status": "succeeded",
    "stop": {
        "reason": "early_stopping", "monitor": "val_accuracy", "patience": 10, "wait": 10, "last_epoch": 12,
        "epochs_not_run": 988, "best": {"epoch": 2, "monitor": "val_accuracy", "value": 0.75},
        "last_improvement": {"epoch": 2, "value": 0.75, "min_delta": 0.001},
    },
}  # fmt: skip


def parse(html):
    return ElementTree.fromstring(html.replace("<br>", "<br/>"))


def test_a_running_job_shows_its_epoch_patience_forecast_best_model_and_cost():
    html = picture_html(Picture(RUNNING, EPOCHS, FORECAST, url="http://127.0.0.1:8000/page/jobs/x"))
    text = " ".join(parse(html).itertext())
    for words in (
        "12 of 1000", "3 of 10 used, 7 left", "stops near 40 (24 to 60)", "val_accuracy 0.7500 at epoch 2",
        "1 min 01 s", "0.2500 EUR of 2.00 spent",
    ):  # fmt: skip
        assert words in text, (words, text)
    assert 'href="http://127.0.0.1:8000/page/jobs/x"' in html
    assert html.count("<svg") == 2
    assert html.count("<polyline") == 4


def test_a_finished_job_shows_why_it_ended_and_foresees_nothing():
    text = " ".join(parse(picture_html(Picture(FINISHED, EPOCHS, FORECAST))).itertext())
    assert "stopped early at epoch 12" in text
    assert "stops near" not in text
    assert "left" not in text


def test_nothing_of_it_runs_or_is_fetched_and_every_text_is_escaped():
    for job in (RUNNING, FINISHED, {"id": "x", "status": "queued", "name": HOSTILE}, {}):
        html = picture_html(Picture(job, EPOCHS, trouble=HOSTILE, url="javascript:alert(1)"))
        parse(html)
        assert "<script" not in html
        assert "javascript:" not in html
        assert "src=" not in html


def test_a_chart_has_a_point_for_each_finite_value_and_words_for_a_reader():
    line = Line("validation", "#000", [(1, 0.5), (2, None), (3, float("nan")), (4, 0.25)])
    svg = ElementTree.fromstring(chart("loss", [line], mark=4))
    assert len(svg.find("polyline").get("points").split()) == 2
    assert svg.get("aria-label") == "loss: validation 0.25"
    assert svg.find("line") is not None
    assert chart("loss", [Line("x", "#000", [(1, None)])]) == ""


def test_many_epochs_are_thinned_out_and_the_last_is_kept():
    line = Line("x", "#000", [(n, float(n)) for n in range(100_000)])
    assert len(line.finite) <= 600
    assert line.finite[-1] == (99_999, 99_999.0)


@pytest.fixture
def outputs(monkeypatch):
    """What IPython was given to show: for each output, its contents in order."""
    shown = []

    class Handle:
        def update(self, html):
            shown[-1].append(html)

    def display(html, *, display_id):
        assert display_id is True
        shown.append([html])
        return Handle()

    module = ModuleType("IPython.display")
    module.display, module.HTML = display, str
    package = ModuleType("IPython")
    package.display, package.get_ipython = module, lambda: SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def test_one_output_is_updated_and_only_where_something_is_new(outputs):
    assert is_notebook()
    event = {"type": "epoch", "data": {"epoch": 1, "metrics": EPOCHS[1]}}
    moments = [
        Moment(RUNNING), Moment(RUNNING), Moment(RUNNING, [event]), Moment(RUNNING, trouble="no answer"),
        Moment(FINISHED),
    ]  # fmt: skip
    client = SimpleNamespace(connection=SimpleNamespace(url="http://here"), forecast=lambda _: FORECAST)
    assert show(iter(moments), client) == FINISHED
    (output,) = outputs
    assert ["<svg" in html for html in output] == [False, True, True, True]
    assert "no answer (trying again)" in output[2]
    assert "stopped early" in output[3]


def test_a_terminal_and_an_ipython_without_a_kernel_are_no_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not is_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    assert not is_notebook()
