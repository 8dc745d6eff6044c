import io
import re

import pytest
from rich.console import Console

from fitstop.terminal.job_view import Bar, ending, failure_words, job_fields, job_picture, model_words

PROGRESS = {
    "epoch": 12,
    "epochs": 1000,
    "metrics": {
        name: 0.78123
        for split in ("", "val_")
        for name in (f"{split}accuracy", f"{split}loss", f"{split}precision", f"{split}recall")
    },
    "best": {"epoch": 9, "monitor": "val_accuracy", "value": 0.7842},
    "learning_rate": 0.001,
    "epoch_seconds": 0.021,
    "early_stopping": {"monitor": "val_accuracy", "wait": 3, "patience": 10, "stops_at_epoch": 19},
    "reduce_lr": {"wait": 1, "patience": 10},
}
JOB = {
    "id": "job_01M85E63EV6GPRF7Q82FVD7MMA",
    "name": "[red]wine\x1b[2J",
    "status": "running",
    "attempt": 2,
    "progress": PROGRESS,
    "worker": {"host": "gpu-1", "device": "NVIDIA H200", "slot": 0},
}


def rendered(renderable, width=80, encoding="utf-8"):
    raw = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    Console(file=raw, width=width, force_terminal=True, color_system=None, legacy_windows=False).print(renderable)
    return raw.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [80, 120])
def test_the_picture_says_all_that_matters_in_one_line_each(width):
    lines = rendered(job_picture(JOB), width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 8
    text = "\n".join(lines)
    assert r"[red]wine\x1b[2J  running  NVIDIA H200 on gpu-1  attempt 2" in text
    assert "12 of 1000; stops at 19 unless val_accuracy improves" in text
    assert "■■■□□□□□□□  3 of 10 used" in text
    assert "val_accuracy 0.7842 at epoch 9" in text
    assert "0.001  plateau 1 of 10  0.021 s per epoch" in text


FORECAST = {
    "stop": {"p10": 24, "p50": 40, "p90": 60},
    "seconds_left": {"p50": 90.0},
    "costs_left": [{"currency": "EUR", "p50": 0.0125}],
    "chance_of_better": 0.4,
}


def test_the_picture_of_a_running_job_shows_its_forecast_in_one_line_and_draws_the_bar_against_it():
    plain, foreseen = (rendered(job_picture(JOB, None, one), 80).splitlines() for one in (None, FORECAST))
    assert len(foreseen) == len(plain) + 1
    assert max(map(len, foreseen)) <= 80
    assert any("stops near 40 (24 to 60), in 1 min 30 s, 0.0125 EUR; 40% to improve" in line for line in foreseen)
    assert foreseen[1].count("━") > plain[1].count("━")
    ended = rendered(job_picture({**JOB, "status": "succeeded"}, None, FORECAST), 80)
    assert "stops near" not in ended
    assert "stops at" not in ended
    assert "stops near" not in rendered(job_picture(JOB, None, {"stop": None, "reason": "too few"}))


def test_show_of_a_finished_job_foretells_nothing():
    text = rendered(job_fields({**JOB, "status": "succeeded"}), 100)
    assert re.search(r"epoch +12 of 1000 *$", text, re.MULTILINE)
    assert "12 of 1000; stops at 19" in rendered(job_fields(JOB), 100)


def test_show_says_what_the_gpu_time_bought():
    seconds = {"start_up": 2.0, "learning": 14.8, "patience": 4.0, "redone": 0.0, "saving": 2.6, "total": 23.4}
    ledger = {"gpu_seconds": seconds, "costs": [{"currency": "EUR", "total": 0.0163, "avoided": 2.5}]}
    text = rendered(job_fields({**JOB, "ledger": ledger}), 100)
    assert "23.4 s: start-up 2.0 s, learning 14.8 s, patience 4.0 s, saving 2.6 s" in text
    assert "0.0163 EUR; 2.50 avoided" in text


def test_show_names_the_models_that_a_job_was_trained_from():
    lineage = [
        {"job": "job_01M85E63EV6GPRF7Q82FVD7MMB", "name": "cats", "epoch": 7},
        {"job": "job_01M85E63EV6GPRF7Q82FVD7MMC", "name": None, "epoch": 3},
    ]
    spec = {"model": {"kind": "job", "job": "job_01M85E63EV6GPRF7Q82FVD7MMB", "trainable": 3}}
    text = rendered(job_fields({**JOB, "spec": spec, "lineage": lineage}), 120)
    assert "fine-tunes     job_01M85E63EV6GPRF7Q82FVD7MMB (cats), its model of epoch 7" in text
    assert "job_01M85E63EV6GPRF7Q82FVD7MMC, its model of epoch 3" in text
    assert "fine-tuned: the last 3 layers and the head" in text
    assert model_words({"kind": "job", "trainable": "head"}) == "fine-tuned: the head"


BUDGET = {"max_gpu_seconds": 60, "max_cost": 2.5, "deadline": "2030-01-31T06:00:00Z"}
PAID = {"gpu_seconds": {"total": 23.4}, "costs": [{"currency": "EUR", "total": 0.0163, "avoided": 0.0}]}


def test_show_says_on_how_many_devices_a_job_trains_where_there_are_several():
    for devices in (1, 2):
        text = rendered(job_fields({**JOB, "spec": {"hyperparameters": {"devices": devices}}}), 100)
        assert ("devices" in text) == (devices == 2)


def test_watch_and_show_say_what_of_the_budget_is_used():
    job = {**JOB, "spec": {"budget": BUDGET}, "ledger": PAID}
    words = "23.4 s of 1 min 00 s of compute time used; 0.0163 EUR of 2.50 spent; deadline 2030-01-31T06:00:00Z"
    assert f"budget  {words}" in rendered(job_picture(job), 120)
    assert words in rendered(job_fields(job), 140)
    assert "budget" not in rendered(job_picture({**job, "status": "succeeded"}), 120), "how it ended tells that"
    assert "budget" not in rendered(job_picture({**JOB, "spec": {"budget": None}}), 120)


def test_a_budget_of_which_nothing_is_used_is_told_too():
    assert "nothing of 2.50 spent" in rendered(job_picture({**JOB, "spec": {"budget": {"max_cost": 2.5}}}), 120)


def test_a_queued_job_says_where_it_stands_and_a_lost_service_is_said():
    text = rendered(job_picture({"name": "w", "status": "queued", "queue_position": 3, "attempt": 0}, "no answer"))
    assert "number 3 in the queue" in text
    assert "no answer (trying again)" in text


def test_callbacks_that_are_off_are_left_out():
    progress = {**PROGRESS, "early_stopping": None, "reduce_lr": None, "best": None, "metrics": {"loss": None}}
    text = rendered(job_picture({**JOB, "progress": progress}))
    assert "patience" not in text
    assert "plateau" not in text
    assert "loss -" in text


def test_the_bar_marks_where_it_would_stop():
    assert rendered(Bar(5, 10, mark=8), 10).strip() == "━━━━━───┃─"
    assert rendered(Bar(1, 1000, mark=11), 10).strip() == "┃─────────"
    assert rendered(Bar(5, 10, mark=8), 10, "ascii").strip() == "=====---|-"


@pytest.mark.parametrize(
    ("status", "stop", "said"),
    [
        (
            "succeeded",
            {"reason": "early_stopping", "monitor": "val_accuracy", "patience": 10, "last_epoch": 30},
            "succeeded: stopped early at epoch 30: val_accuracy had not improved for 10 epochs",
        ),
        (
            "succeeded",
            {"reason": "budget", "last_epoch": 9, "budget": {"kind": "max_gpu_seconds", "limit": 5, "used": 4.871}},
            "succeeded: stopped after epoch 9: budget used up, 4.8710 of 5 s of compute time",
        ),
        (
            "failed",
            {"reason": "budget", "last_epoch": 0, "budget": {"kind": "deadline", "limit": "2030-01-31T06:00:00Z"}},
            "failed: ended before its first epoch was complete: deadline 2030-01-31T06:00:00Z",
        ),
        ("succeeded", {"reason": "epochs_completed", "last_epoch": 5}, "succeeded: all 5 epochs completed"),
        ("cancelled", {"reason": "cancelled", "last_epoch": 7}, "cancelled: after epoch 7"),
        ("cancelled", None, "cancelled: before its first epoch"),
        ("failed", {"reason": "diverged", "last_epoch": 2}, "failed: diverged at epoch 2"),
        ("failed", {"reason": "a_new_word"}, "failed: a_new_word"),
        ("failed", None, "failed: no reason was recorded"),
    ],
)
def test_an_ending_says_why(status, stop, said):
    assert ending({"status": status, "stop": stop})[0].plain == said


def test_an_ending_names_the_best_model_and_the_error():
    stop = {"reason": "x", "best": {"epoch": 3, "monitor": "val_loss", "value": 0.25}, "epochs_not_run": 990}
    lines = ending({"status": "failed", "stop": stop, "error": {"code": "oom", "message": "less [b]batch[/b]"}})
    assert [line.plain for line in lines[1:]] == [
        "best model: val_loss 0.2500 at epoch 3; 990 epochs not run",
        "oom: less [b]batch[/b]",
    ]


def test_a_failed_attempt_says_what_is_known():
    assert failure_words({"attempt": 1, "outcome": "handed_back"}) == "attempt 1 handed back"
    said = failure_words({"attempt": 2, "outcome": "failed", "code": "oom", "message": "no memory"})
    assert said == "attempt 2 failed; oom: no memory"


def test_show_tells_attempts_losses_and_failures_apart():
    failures = [
        {"attempt": 1, "outcome": "lost", "is_loss": True, "host": "gpu-1"},
        {"attempt": 2, "outcome": "failed", "is_loss": False, "host": "gpu-2"},
        {"attempt": 3, "outcome": "handed_back", "is_loss": False, "host": "gpu-3"},
    ]
    counts = {"total": 4, "lost": 1, "failed": 1, "handed_back": 1}
    text = rendered(job_fields({**JOB, "attempt": 4, "attempts": counts, "failures": failures}))
    assert "4: 1 lost, 1 failed, 1 handed back" in text
    assert re.search(r"loss +attempt 1 lost on gpu-1", text)
    assert re.search(r"failure +attempt 2 failed on gpu-2", text)
    assert re.search(r"handed back +attempt 3 handed back on gpu-3", text)


def test_show_copes_with_a_job_that_has_hardly_begun():
    assert "job_1" in rendered(job_fields({"id": "job_1", "status": "queued"}))
    text = rendered(job_fields({**JOB, "failures": [{"attempt": 1, "outcome": "lost"}], "warnings": ["beware"]}))
    assert "attempt 1 lost" in text
    assert "beware" in text


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"kind": "dense", "layers": [64, 32]}, "dense 64 → 32"),
        ({"kind": "cnn", "filters": [32, 64], "dense": [128]}, "cnn 32 → 64"),
        ({"kind": "application", "name": "MobileNetV2"}, "MobileNetV2"),
        ({"kind": "keras", "config": {"config": {"name": "own", "layers": [{}, {}]}}}, "Keras model own, 2 layers"),
        ({"kind": "keras", "config": {}}, "Keras model -, 0 layers"),
        ({}, "-"),
    ],
)
def test_show_says_which_model_is_trained(model, words):
    assert model_words(model) == words
    dataset = {"kind": "images", "id": "digits"}
    shown = rendered(job_fields({**JOB, "spec": {"dataset": dataset, "model": model}}), 100)
    assert re.search(rf"model +{re.escape(words)} *$", shown, re.MULTILINE)
    assert "digits (images)" in shown
