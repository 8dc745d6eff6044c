"""The routes of sweeps."""

from dataclasses import replace

import pytest

from api import create_app
from api.state.service import Service
from shared.project import ProjectQuota
from shared.sweep.folder import find_sweep, sweep_ids
from tests.support.jobs import small_spec
from tests.support.keys import authorized
from tests.support.past_sweeps import LAYERS, RATE, end_trial, ended_sweep, running_sweep
from tests.support.sweeps import sweep_document
from tests.support.two_projects import steady, two_projects


@pytest.fixture
def running(volume, grades):
    return running_sweep(volume)


def post(client, key=None, **parts):
    return client.post("/sweeps", json=sweep_document(**parts), headers={"Idempotency-Key": key} if key else {})


def test_a_posted_sweep_is_on_the_volume_with_nothing_left_open(client, volume, grades):
    answer = post(client)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/sweeps/{answer.json['id']}"
    assert answer.json["status"] == "running"
    assert answer.json["counts"]["total"] == 0
    assert answer.json["objective"] == {"monitor": "val_accuracy", "mode": "max"}
    record = find_sweep(volume, answer.json["id"]).record()
    assert (record.project, record.spec.name) == ("default", "grades")
    assert client.get(answer.json["urls"]["self"]).json == answer.json


def test_a_dry_run_stores_nothing_and_names_a_first_trial(client, volume, grades):
    answer = client.post("/sweeps?dry_run=true", json=sweep_document())
    assert answer.status_code == 200
    assert answer.json["first_parameters"] == {RATE: 0.001, LAYERS: [4]}
    assert answer.json["spec"]["sampler"] == "tpe"
    assert sweep_ids(volume) == []


def test_one_refusal_names_every_problem(client, volume, grades):
    space = {
        RATE: {"log": [0.001, 10.0]},
        "/hyperparameters/epoch": {"int": [1, 5]},
        "/model/dropout": {"uniform": [0.5, 0.1], "when": {"/model/nothing": 1}},
    }
    answer = post(client, space=space, objective={"monitor": "val_acuracy"}, trials=0)
    assert answer.status_code == 422
    assert {one["pointer"] for one in answer.json["errors"]} == {
        "#/trials",
        "#/objective/monitor",
        "#/space/~1hyperparameters~1epoch",
        "#/space/~1model~1dropout",
        "#/space/~1model~1dropout/when/~1model~1nothing",
    }
    assert sweep_ids(volume) == []


def test_an_unknown_dataset_is_404(client):
    assert post(client).status_code == 404


def test_the_dataset_of_another_project_is_not_there(app):
    world = two_projects(app)
    foreign, none = (
        world.clients["red", "write"].post("/sweeps", json=sweep_document(job=small_spec(dataset={"id": dataset})))
        for dataset in (world.things["blue"].dataset, "no-such-data")
    )
    assert (foreign.status_code, none.status_code) == (404, 404)
    assert steady(foreign, world.things["blue"].dataset) == steady(none, "no-such-data")


def test_the_same_key_is_one_sweep_and_another_body_is_refused(client, volume, grades):
    first, again = post(client, "one"), post(client, "one")
    assert again.json == first.json
    assert sweep_ids(volume) == [first.json["id"]]
    assert post(client, "one", trials=7).status_code == 422
    job = client.post("/jobs", json=sweep_document()["job"], headers={"Idempotency-Key": "one"})
    assert job.status_code == 422


def test_a_deleted_sweep_is_not_brought_back_by_its_key(client, volume, grades):
    sweep_id = post(client, "one").json["id"]
    find_sweep(volume, sweep_id).end("cancelled", "it was cancelled after 0 trials")
    assert client.delete(f"/sweeps/{sweep_id}").status_code == 204
    assert post(client, "one").status_code == 409


def test_a_post_that_was_killed_after_its_choice_is_stored_under_it(client, volume, grades, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("shared.sweep.folder.SweepFolder.store", lambda *_: 1 / 0)
        assert post(client, "one").status_code == 500
    first = post(client, "one")
    assert first.status_code == 202
    assert post(client, "one").json["id"] == first.json["id"]


def test_a_sweep_counts_its_trials_and_names_the_best(client, running):
    shown = client.get(f"/sweeps/{running.id}").json
    assert {name: count for name, count in shown["counts"].items() if count} == {
        "max": 6, "total": 3, "queued": 1, "succeeded": 2, "outclassed": 1
    }  # fmt: skip
    assert (shown["best"]["number"], shown["best"]["value"], shown["best"]["best_epoch"]) == (2, 0.6, 3)
    assert shown["spent"]["gpu_seconds"] == 12.0
    assert shown["spent"]["costs"] == [{"currency": "USD", "amount": round(12 * 2 / 3600, 6)}]
    assert client.get("/sweeps").json["data"] == [{name: one for name, one in shown.items() if name != "spec"}]


def test_an_unchanged_sweep_is_304(client, running):
    first = client.get(f"/sweeps/{running.id}")
    again = client.get(f"/sweeps/{running.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_trials_come_in_pages(client, running):
    page = client.get(f"/sweeps/{running.id}/trials?limit=2").json
    assert [one["number"] for one in page["data"]] == [1, 2]
    assert page["has_more"] is True
    rest = client.get(f"/sweeps/{running.id}/trials?after=2").json
    assert [(one["number"], one["status"], one["value"]) for one in rest["data"]] == [(3, "queued", None)]
    assert rest["has_more"] is False
    assert page["data"][1]["reason"] == "outclassed"
    assert page["data"][1]["finished_at"] is not None


def test_a_sweep_says_why_its_next_trial_waits(settings, client, volume, running):
    limited = settings.model_copy(update={"project_quotas": {"default": ProjectQuota(unfinished_jobs=1)}})
    waiting = 'the project "default" has 1 unfinished job, and its quota is 1'
    for quotas, told in ((settings, None), (limited, waiting)):
        asked = authorized(create_app(quotas))
        assert asked.get(f"/sweeps/{running.id}").json["waiting"] == told
        assert asked.get("/sweeps").json["data"][0]["waiting"] == told
        said = asked.get(f"/sweeps/{running.id}/explain").json["sentences"]
        assert [one for one in said if "waits:" in one] == ([f"The next trial waits: {told}."] if told else [])
    running.request_cancel()
    assert authorized(create_app(limited)).get(f"/sweeps/{running.id}").json["waiting"] is None


def test_trials_are_asked_for_by_number(client, running):
    def numbers(query):
        return [one["number"] for one in client.get(f"/sweeps/{running.id}/trials?{query}").json["data"]]

    assert numbers("number=3&number=1&number=9") == [1, 3]
    assert numbers("number=3&number=1&after=1") == [3]
    answer = client.get(f"/sweeps/{running.id}/trials?number=-1&number=x")
    assert [one["pointer"] for one in answer.json["errors"]] == ["#/query/number", "#/query/number"]


def test_a_trial_that_ends_is_seen_by_the_next_look(client, volume, running):
    client.get(f"/sweeps/{running.id}")
    end_trial(volume, running, 4, 0.9, "epochs_completed")
    assert client.get(f"/sweeps/{running.id}").json["best"]["number"] == 4


def test_a_job_says_of_which_sweep_it_is_a_trial(client, running):
    job = client.get(f"/sweeps/{running.id}/trials").json["data"][0]["job"]
    assert client.get(f"/jobs/{job}").json["sweep"] == {"id": running.id, "trial": 1}


def test_a_cancelled_sweep_cancels_what_has_not_ended(client, volume, running):
    answer = client.post(f"/sweeps/{running.id}/cancel")
    assert answer.status_code == 200
    assert answer.json["cancel_requested_at"] is not None
    assert answer.json["counts"]["cancelled"] == 1
    assert client.post(f"/sweeps/{running.id}/cancel").status_code == 200
    assert client.delete(f"/sweeps/{running.id}").status_code == 409


def test_an_ended_sweep_is_deleted_and_its_jobs_stay(client, volume, grades):
    folder = ended_sweep(volume)
    jobs = [one["job"] for one in client.get(f"/sweeps/{folder.id}/trials").json["data"]]
    assert client.post(f"/sweeps/{folder.id}/cancel").status_code == 409
    assert client.delete(f"/sweeps/{folder.id}").status_code == 204
    assert client.get(f"/sweeps/{folder.id}").status_code == 404
    assert {client.get(f"/jobs/{job}").status_code for job in jobs} == {200}


def test_it_explains_what_a_sweep_does(client, volume, running):
    shown = client.get(f"/sweeps/{running.id}/explain").json
    assert shown["sentences"] == [
        "The sweep runs: 2 of 6 trials have ended, 0 train, and 1 wait for a free slot.",
        "The best val_accuracy is 0.6, of trial 2, at epoch 3.",
        'The rule "none" stopped 1 trial that could not become the best.',
    ]
    assert shown["importance"] is None
    for number in range(4, 14):
        end_trial(volume, running, number, 0.1 * number, "epochs_completed")
    shown = client.get(f"/sweeps/{running.id}/explain").json
    assert shown["importance"] == [
        {"parameter": RATE, "importance": 1.0},
        {"parameter": LAYERS, "importance": 0.0},
    ]


def test_a_replay_under_another_rule_is_in_words_and_figures(client, volume, grades, running):
    assert client.post(f"/sweeps/{running.id}/replay", json={"rule": {"name": "none"}}).status_code == 409
    folder = ended_sweep(volume)
    answer = client.post(f"/sweeps/{folder.id}/replay", json={"rule": {"name": "median", "min_epochs": 1}})
    assert answer.status_code == 200
    assert (answer.json["trials"], answer.json["winner"], answer.json["is_winner_lost"]) == (2, 2, False)
    assert "trial 2 stays the best" in answer.json["text"]
    refused = client.post(f"/sweeps/{folder.id}/replay", json={"rule": {"name": "asah"}})
    assert refused.status_code == 422


def test_lists_are_paged_newest_first(client, volume, grades):
    ids = sorted((running_sweep(volume).id for _ in range(3)), reverse=True)
    first = client.get("/sweeps?limit=2").json
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:2], True)
    assert [one["id"] for one in client.get(f"/sweeps?after={ids[1]}").json["data"]] == ids[2:]
    assert client.get("/sweeps?after=nothing").status_code == 422


@pytest.mark.parametrize(
    "sweep_id", ["x", "sweep_", "..%2f..%2fetc", "sweep_01M8KAGYKDYHNAGA2FCZ02VTJ6", "sweep_" + "Z" * 10_000]
)
def test_what_is_no_sweep_is_404(client, sweep_id):
    assert client.get(f"/sweeps/{sweep_id}").status_code == 404


def test_a_damaged_sweep_is_left_out_of_the_list_and_named_when_asked_for(client, volume, grades):
    kept, damaged = running_sweep(volume), running_sweep(volume)
    damaged.record_file.write_text("{")
    assert [one["id"] for one in client.get("/sweeps").json["data"]] == [kept.id]
    assert client.get(f"/sweeps/{damaged.id}").status_code == 500


class CountedTrials(tuple):
    """Trials that count how often they are iterated over."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def test_a_look_goes_through_five_thousand_trials_as_often_as_through_one(app, client, running, monkeypatch):
    state = Service.of(app).sweeps.of(running.id)
    passes = []
    for count in (1, 5000):
        trials = CountedTrials(replace(state.trials[0], number=number) for number in range(1, count + 1))
        monkeypatch.setattr(Service.of(app).sweeps, "of", lambda _, trials=trials: replace(state, trials=trials))
        assert client.get(f"/sweeps/{running.id}").json["counts"]["total"] == count
        passes.append(trials.passes)
    assert passes[0] == passes[1] > 0


def test_what_a_running_sweep_needs_is_not_deleted_also_between_two_trials(client, volume, grades):
    running = post(client).json["id"]
    refused = client.delete("/datasets/grades")
    assert (refused.status_code, running in refused.json["detail"]) == (409, True)
    find_sweep(volume, running).request_cancel()
    assert client.delete("/datasets/grades").status_code == 204
