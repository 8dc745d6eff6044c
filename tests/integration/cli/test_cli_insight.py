"""explain, replay, patience, usage and plot against the real API, on jobs written by hand."""

import json
import threading

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from api import create_app
from api.state.service import Service
from fitstop.cli.main import main
from fitstop.client import Client
from fitstop.connection import Connection
from fitstop.terminal import charts
from fitstop.terminal.forecast_reader import ForecastReader
from shared.settings import Settings
from tests.support.keys import ADMIN_KEY
from tests.unit.shared.histories import ended_at, stopped, trained

VALUES = [0.5, 0.6, 0.6, 0.61, 0.6, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7]


@pytest.fixture
def app(tmp_path):
    return create_app(Settings(volume=tmp_path / "volume", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY))


@pytest.fixture
def url(app):
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def past(app):
    """Two jobs that stopped early."""
    jobs = []
    for values in (VALUES, [0.4, *VALUES]):
        job = trained(Service.of(app).volume, values)
        ended_at(job.attempts()[0], 10_000, "finished", stopped("early_stopping", len(values), 9, 1000))
        jobs.append(job.id)
    return jobs


@pytest.fixture
def fitstop(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FITSTOP_API_KEY", ADMIN_KEY)
    return lambda *arguments: CliRunner().invoke(main, ["--url", url, *map(str, arguments)])


def test_explain_says_why_a_job_stopped(fitstop, past):
    result = fitstop("explain", past[0])
    assert result.exit_code == 0
    assert "989 of the 1000 maximum epochs were not run." in result.stdout.splitlines()
    assert json.loads(fitstop("explain", past[0], "-o", "json").stdout)["status"] == "succeeded"


def test_replay_says_what_another_patience_would_have_saved_and_lost(fitstop, past):
    result = fitstop("replay", past[0], "--patience", 3)
    assert "stopped at epoch 7: val_accuracy last improved at epoch 4, to 0.61." in result.stdout
    assert "4 epochs, 0.400 s of compute time, 0.0004 EUR" in result.stdout
    assert "0.0900 worse than the best of the run" in result.stdout
    assert "Later epochs are unknown" in fitstop("replay", past[0], "--patience", 99).stdout
    assert fitstop("replay", past[0]).exit_code == 2
    assert fitstop("replay", past[0], "--monitor", "val_acuracy").exit_code == 6


def test_patience_shows_the_table_and_the_smallest_that_loses_nothing_more(fitstop, past):
    result = fitstop("patience", "--tolerance", 0.095)
    lines = result.stdout.splitlines()
    assert lines[0] == "val_accuracy over 2 jobs"
    assert lines[2].split()[:5] == ["1", "2", "of", "2", "2"]
    assert lines[-1] == "With patience 2 no job's best model would have been worse by more than 0.095."
    assert fitstop("patience", past[0]).stdout.splitlines()[0] == "val_accuracy over 1 job"


def test_usage_adds_up(fitstop, past):
    result = fitstop("usage", "--from", "2026-11-01", "--to", "2026-11-30")
    assert result.stdout.splitlines()[1].split()[:4] == ["2026-11-23", "2", "20.0", "s"]
    assert result.stdout.splitlines()[-1].startswith("total")
    nothing = fitstop("usage", "--from", "2026-01-01", "--to", "2026-01-02")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "No job ended" in nothing.stderr
    assert fitstop("usage", "--from", "yesterday").exit_code == 6


def test_plot_draws_curves_and_says_them_in_words(fitstop, past):
    result = fitstop("plot", *past)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "val_accuracy" in result.stdout.splitlines()[0]
    assert result.stdout.count("*") > 10
    assert [line.split(": ")[1] for line in result.stdout.splitlines()[-2:]] == [
        "best model 0.7 at epoch 9, last 0.7 at epoch 11", "best model 0.7 at epoch 10, last 0.7 at epoch 12",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "begins"), [("c.png", b"\x89PNG"), ("c.svg", b"<?xml")])
def test_plot_makes_a_picture(fitstop, past, tmp_path, name, begins):
    result = fitstop("plot", *past, "-o", name)
    assert (result.exit_code, result.stdout.strip()) == (0, name)
    assert (tmp_path / name).read_bytes().startswith(begins)


@pytest.mark.parametrize("options", [["-o", "c.gif"], ["-o", "nowhere/c.png"], ["--metric", "nope"]])
def test_what_cannot_be_drawn_is_a_usage_error(fitstop, past, options):
    assert fitstop("plot", past[0], *options).exit_code == 2


def test_names_and_their_dollars_and_escapes_are_drawn_literally(tmp_path):
    curve = charts.Curve("$\\frac{[red]\x1b[2J", [1, 2], [0.1, 0.2], 2)
    drawn = charts.text_chart("\x1b[2Jx", [curve], charts.Canvas(60, 10, colour=False, utf8=False))
    assert "\x1b" not in drawn
    assert drawn.isascii()
    charts.save_picture([("$\\frac{", [curve])], tmp_path / "c.svg")


def test_a_curve_without_a_finite_value_is_said_to_have_none():
    assert charts.caption(charts.Curve("a", [1], [None])) == "a: no finite value"


def test_without_the_libraries_it_says_what_to_install(fitstop, past, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "plotext", None)
    result = fitstop("plot", past[0])
    assert result.exit_code == 2
    assert "fitstop[plot]" in result.stderr


def test_a_watcher_asks_for_the_forecast_once_for_each_epoch_and_never_too_often(app, url):
    job = trained(Service.of(app).volume, [0.5, 0.6, 0.7, 0.8])
    with Client(Connection(url, ADMIN_KEY)) as client:
        shown = client.job(job.id)
        forecasts = ForecastReader(client, least_seconds=0)
        first = forecasts.of(shown)
        assert first["stop"]["p50"] >= 14
        assert forecasts.of(shown) is first
        later = {**shown, "progress": {**shown["progress"], "epoch": 5}}
        assert forecasts.of(later) is not first
        assert ForecastReader(client, least_seconds=3600).of({**shown, "status": "succeeded"}) is None
    gone = ForecastReader(Client(Connection("http://127.0.0.1:1")))
    assert gone.of(shown) is None
