"""A sweep on a terminal."""

import io

import pytest
from rich.console import Console

from fitstop.client import Client
from fitstop.connection import Connection
from fitstop.terminal.sweep_view import short_names, status_words, sweep_fields, trial_table
from fitstop.terminal.sweep_watch import SweepMoment, _Changes, _Trials

SPACE = {"/hyperparameters/learning_rate": {"log": [1e-4, 1e-1]}, "/model/layers/0": {"int": [8, 64]}}


def trial(number, value, status="succeeded", stop="early_stopping", finished_at="2026-11-29T08:00:00.000Z"):
    return {
        "number": number,
        "job": f"job_{number:026d}",
        "status": status,
        "reason": stop if status == "succeeded" else None,
        "value": value,
        "epoch": 12,
        "gpu_seconds": 3.5,
        "costs": [],
        "parameters": {"/hyperparameters/learning_rate": 0.0123456, "/model/layers/0": 16},
        "finished_at": finished_at if status == "succeeded" else None,
    }


def sweep(**changes):
    counts = {
        "proposed": 0,
        "refused": 0,
        "deleted": 0,
        "total": 3,
        "max": 9,
        "queued": 0,
        "running": 1,
        "succeeded": 2,
        "failed": 0,
        "cancelled": 0,
    }
    return {
        "id": f"sweep_{0:026d}",
        "name": "wine",
        "status": "running",
        "reason": None,
        "cancel_requested_at": None,
        "waiting": None,
        "counts": {**counts, "outclassed": 1},
        "objective": {"monitor": "val_loss", "mode": "min"},
        "sampler": "tpe",
        "rule": "forecast",
        "parallel": 2,
        "best": trial(2, 0.25),
        "spent": {"gpu_seconds": 61, "costs": [{"amount": 1.5, "currency": "EUR"}]},
        "spec": {"space": SPACE, "seed": 3, "budget": {"max_gpu_seconds": 600.0, "max_cost": None, "deadline": None}},
        **changes,
    }


def drawn(part):
    screen = Console(file=io.StringIO(), width=200)
    screen.print(part)
    return screen.file.getvalue()


@pytest.mark.parametrize(
    ("pointers", "names"),
    [
        (["/hyperparameters/dropout"], ["dropout"]),
        (["/a/units", "/b/units"], ["a.units", "b.units"]),
        (["/model/layers/0", "/model/layers/1"], ["layers.0", "layers.1"]),
        (["/x/a~1b"], ["a/b"]),
    ],
)
def test_a_parameter_has_the_shortest_name_that_tells_it_apart(pointers, names):
    assert list(short_names(pointers).values()) == names


def test_the_facts_name_the_best_trial_and_the_budget():
    text = drawn(sweep_fields(sweep()))
    assert "3 of 9 trials, 1 running, 1 outclassed" in text
    assert "1 min 01 s of compute time, 1.50 EUR" in text
    assert "val_loss 0.2500  trial 2" in text
    assert "learning_rate 0.01235  layers.0 16" in text
    assert "max gpu seconds 600" in text


def test_the_table_has_a_column_for_each_parameter_and_says_who_was_outclassed():
    lines = drawn(trial_table([trial(1, None, stop="outclassed"), trial(2, 0.25)], sweep())).splitlines()
    assert lines[0].split()[:7] == ["TRIAL", "STATUS", "EPOCH", "val_loss", "TIME", "learning_rate", "layers.0"]
    assert lines[1].split()[:4] == ["1", "outclassed", "12", "-"]


def test_the_reason_of_the_end_is_in_words_also_of_a_later_version():
    assert status_words(sweep(status="succeeded", reason="completed")).plain == ("succeeded, all trials are completed")
    assert status_words(sweep(status="succeeded", reason="of_a_later_version")).plain == "succeeded, of a later version"
    assert status_words(sweep(waiting="its quota is 2")).plain == "running, the next trial waits: its quota is 2"


def test_only_a_better_value_is_the_best_so_far():
    news = _Changes()
    ended = [trial(1, 0.5), trial(2, 0.7), trial(3, None), trial(4, 0.3)]
    lines = [line.plain for line in news.lines(SweepMoment(sweep(), ended))]
    assert ["(best so far)" in line for line in lines] == [True, False, False, True]


def test_each_look_reads_the_unfinished_trials_and_the_new_ones_alone(monkeypatch):
    """Also if an old trial outlasts many others."""
    asked, known = [], {number: trial(number, None, "running") for number in (1, 2)}

    def page(_client, _sweep_id, *, after=0, numbers=(), **_):
        asked.append((after, *numbers))
        found = [one for number, one in known.items() if number > after and (not numbers or number in numbers)]
        return {"data": found, "has_more": False}

    monkeypatch.setattr(Client, "trials", page)
    trials = _Trials(Client(Connection("http://localhost", None, "test")), "sweep")
    ended = []
    for number in range(2, 52):
        ended += [one["number"] for one in trials.look(len(known))]
        known[number] = trial(number, 0.5)
        known[number + 1] = trial(number + 1, None, "running")
    ended += [one["number"] for one in trials.look(len(known))]
    assert ended == list(range(2, 52))
    assert [one["number"] for one in trials.unfinished] == [1, 52]
    assert len(asked) == 1 + 2 * 50
    assert all(len(numbers) <= 2 for _, *numbers in asked)
    assert [after for after, *numbers in asked if not numbers] == [0, *range(2, 52)]
    assert trials.look(len(known)) == []
    assert asked[-1] == (0, 1, 52), "nothing is new"
