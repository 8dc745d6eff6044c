"""Functions of the page's scripts that need no service, compared with the service's own Python."""

import csv
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from shared.replay import best_value, replay
from shared.spec import EarlyStoppingSpec
from shared.task import better_mode, log_names
from tests.support.browser import Visitor

CURVES = Path(__file__).parents[2] / "data" / "curves"
METRICS = ("accuracy", "precision", "recall", "auc", "mae", "mse", "rmse", "r2")


def recorded():
    """Every recorded curve with its monitor, and some unusual ones."""
    runs = defaultdict(list)
    for path in sorted(CURVES.glob("*.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            runs[path.name, row["run"], row["monitor"]].append(float(row["value"]))
    odd = [
        [None, None, 0.5, None, 0.4],
        [None] * 5,
        [0.5],
        [],
        [0.1, 0.1 + 1e-9, 0.1 + 1e-3, 0.101, 0.1021],
        [1e39, 1e38],
    ]
    return [(monitor, values) for (_, _, monitor), values in runs.items()] + [
        ("val_accuracy", values) for values in odd
    ]


@pytest.fixture(scope="module")
def page(browser, still_api):
    """One page for all tests of this file, because the functions that they call keep no state."""
    visitor = Visitor(browser, still_api, [])
    with visitor.page(key=None) as page:
        page.goto("/page/sign-in")
        yield page
    assert visitor.complaints == []


def call(page, module, function, *arguments):
    """Call a function of a module of the page, and return its value."""
    script = "async ([module, name, given]) => (await import(`/page/static/${module}`))[name](...given)"
    return page.evaluate(script, [module, function, list(arguments)])


def test_a_sample_stays_the_same_when_trials_are_added(page):
    trials = [{"number": number} for number in range(1, 5001)]
    whole, before, few = (call(page, "sweep_paper.js", "sample", trials[:count], 1000) for count in (5000, 4990, 9))
    assert whole == trials[4::5]
    assert before == whole[: len(before)]
    assert few == trials[:9]


def improvement(replayed):
    last = replayed.last_improvement
    return last and {"epoch": last.epoch, "value": last.value}


def test_the_page_replays_every_patience_as_the_service_does(page):
    curves = recorded()
    rules = [
        {
            "monitor": monitor,
            "mode": better_mode(monitor),
            "min_delta": min_delta,
            "patience": 10,
            "start_from_epoch": start,
        }
        for monitor, _ in curves
        for min_delta, start in [(0.001, 0), (0.0, 0), (0.01, 5)]
    ]
    given = [
        [values, rule]
        for (_, values), part in zip(curves, zip(*[iter(rules)] * 3, strict=True), strict=True)
        for rule in part
    ]
    script = """async (given) => {
      const { bestValue, replay } = await import('/page/static/stopping.js');
      const value = (values, { mode }) => bestValue(values.slice(0, 40), mode);
      return given.map(([values, rule]) => ({ ...replay(values, rule), value: value(values, rule) }));
    }"""
    for found, (values, rule) in zip(page.evaluate(script, given), given, strict=True):
        own = replay(values, EarlyStoppingSpec.model_validate(rule))
        assert [(stop["epoch"], stop["improved"]) for stop in found["stops"]] == [
            (stop.epoch, improvement(stop)) for stop in own.stops
        ]
        assert (found["improved"], found["wait"]) == (improvement(own), own.wait)
        assert found["value"] == best_value(values[:40], rule["mode"])


def test_the_page_knows_which_way_each_metric_is_better(page):
    names = log_names(METRICS)
    script = "async (names) => names.map((await import('/page/static/series.js')).betterMode)"
    assert page.evaluate(script, names) == [better_mode(name) for name in names]


def test_an_axis_always_has_a_length(page):
    for bounds in [(None, None), (0, 0), (0.5, 0.5), (-3, 2), (1e-9, 1e-9), (0.2, 40), (-1, -1)]:
        least, greatest = call(page, "series.js", "linearRange", *bounds)
        assert least < greatest
        least, greatest = call(page, "series.js", "logRange", *bounds)
        assert 0 < least < greatest
        splits = call(page, "series.js", "logSplits", least, greatest)
        assert splits == sorted(splits)
        assert all(least <= split <= greatest for split in splits)


def test_smoothing_begins_at_the_curve_and_leaves_holes_as_they_are(page):
    assert call(page, "series.js", "smoothed", [1, None, 3, 3], 0.5) == [
        1,
        None,
        pytest.approx(7 / 3),
        pytest.approx(19 / 7),
    ]
    assert call(page, "series.js", "smoothed", [1, 2], 0) == [1, 2]


def test_where_there_are_too_many_points_no_spike_is_lost(page):
    flat = [0.5] * 50_000
    flat[31_234], flat[7_001] = 9, None
    rows = call(page, "series.js", "thinned", [flat, flat[::-1]], 0, 50_000, 2000, [123])
    assert len(rows) <= 2000
    assert {0, 123, 31_234, 50_000 - 1 - 31_234, 49_999} <= set(rows)
    assert rows == sorted(rows)


def test_what_an_interruption_trained_twice_counts_once(page):
    script = """async () => {
      const { Curves } = await import('/page/static/curves.js');
      const curves = new Curves();
      const epoch = (number, value, learning_rate = 0.1) => curves.take({ type: 'epoch', attempt: 1, data: {
        epoch: number, metrics: { val_loss: value }, learning_rate, seconds: 2, best: null, early_stopping: null } });
      for (const number of [1, 2, 3, 4, 5]) epoch(number, number);
      curves.take({ type: 'checkpoint', attempt: 1, data: { epoch: 5, name: 'five', is_best: true } });
      curves.take({ type: 'resume', attempt: 2, data: { epoch: 4, batch: 7, from_attempt: 1 } });
      epoch(4, 40, 0.1);
      epoch(5, 50, 0.01);
      return { epochs: curves.epochs, values: curves.values('val_loss'), elapsed: curves.elapsed,
        interruptions: curves.interruptions, checkpoints: curves.checkpoints, drops: curves.drops };
    }"""
    assert page.evaluate(script) == {
        "epochs": [1, 2, 3, 4, 5],
        "values": [1, 2, 3, 40, 50],
        "elapsed": [2, 4, 6, 8, 10],
        "interruptions": [{"epoch": 4, "from": 1, "attempt": 2}],
        "checkpoints": [],
        "drops": [{"epoch": 5, "before": 0.1, "after": 0.01}],
    }


def test_a_chart_takes_the_colours_of_the_theme_that_is_shown(page):
    page.evaluate("import('/page/static/view.js').then(({ View }) => { window.view = new View(); })")
    assert page.evaluate("view.colour('--accent')") == "rgb(37, 87, 214)"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => view.colour('--accent') === 'rgb(126, 166, 255)'")
    page.emulate_media(color_scheme="light")


def test_long_work_lets_the_browser_draw_in_between(page):
    script = """async () => {
      const { Slices } = await import('/page/static/slices.js');
      const slices = new Slices(8);
      const pieces = [0];
      for (let step = 0; step < 30; step += 1) {
        if (slices.isOver) {
          await slices.next();
          pieces.push(0);
        }
        pieces[pieces.length - 1] += 1;
        const until = performance.now() + 2;
        while (performance.now() < until);
      }
      return pieces;
    }"""
    pieces = page.evaluate(script)
    assert sum(pieces) == 30
    assert max(pieces) <= 4


def test_a_job_that_is_added_changes_no_colour(page):
    script = """async (ids) => {
      const { penOf } = await import('/page/static/colours.js');
      const plain = ([id, pen]) => [id, pen.colour, pen.dash.join()];
      return ids.map((_, place) => [...penOf(ids.slice(0, place + 1))].map(plain));
    }"""
    growing = page.evaluate(script, [f"job_{number:026d}" for number in range(20)])
    for fewer, more in pairwise(growing):
        assert more[:-1] == fewer
    assert len({(colour, dash) for _, colour, dash in growing[-1]}) == 20
    assert len({colour for _, colour, _ in growing[7]}) == 8


def keras_job(*layers):
    made = [{"class_name": "Dense", "config": {"name": name, "units": units}} for name, units in layers]
    return {
        "model": {"kind": "keras", "config": {"class_name": "Sequential", "config": {"name": "own", "layers": made}}}
    }


def test_keras_models_are_compared_layer_by_layer_where_they_have_the_same_ones(page):
    [place] = call(
        page, "differences.js", "differences", [keras_job(("a", 8), ("b", 1)), keras_job(("a", 16), ("b", 1))]
    )
    assert place == {"path": "model.config.config.layers.a.config.units", "values": ["8", "16"]}
    [place] = call(page, "differences.js", "differences", [keras_job(("a", 8), ("b", 1)), keras_job(("c", 8))])
    assert place == {"path": "model.config", "values": ["own, 2 layers", "own, 1 layer"]}
