"""POST /sweeps/{id}/extend: more trials and more budget, once, and one refusal for everything that is wrong."""

import pytest

from shared.sweep.folder import find_sweep
from shared.times import time_in
from tests.support.jobs import claim
from tests.support.past_sweeps import ended_sweep, propose, running_sweep
from tests.support.sweeps import sweep_document

LATER, LATEST, EARLIER = (time_in(seconds) for seconds in (7200, 9000, 3600))
BUDGET = {"max_gpu_seconds": 100.0, "deadline": LATER}


def extend(client, sweep_id, **changes):
    return client.post(f"/sweeps/{sweep_id}/extend", json=changes)


def places(answer):
    assert answer.status_code == 422, answer.json
    return {one["pointer"]: one["code"] for one in answer.json["errors"]}


@pytest.fixture
def budgeted(client, grades):
    answer = client.post("/sweeps", json=sweep_document(budget=BUDGET))
    assert answer.status_code == 202, answer.json
    return answer.json["id"]


def test_an_ended_sweep_runs_again_with_more_trials_and_its_record_stays(client, volume, grades):
    folder = ended_sweep(volume)
    before = folder.record_file.read_bytes()
    assert client.get(f"/sweeps/{folder.id}").json["status"] == "succeeded"
    answer = extend(client, folder.id, trials=9)
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["finished_at"], answer.json["extensions"]) == ("running", None, 1)
    assert (answer.json["spec"]["trials"], answer.json["counts"]["max"]) == (9, 9)
    assert client.get(f"/sweeps/{folder.id}").json == answer.json
    assert folder.record_file.read_bytes() == before
    assert client.delete(f"/sweeps/{folder.id}").status_code == 409
    folder.end("completed", "all 9 trials have ended", 1)
    assert client.get(f"/sweeps/{folder.id}").json["message"] == "all 9 trials have ended"


def test_a_repeated_extension_is_one(client, volume, grades):
    sweep_id = running_sweep(volume).id
    first = extend(client, sweep_id, trials=9)
    assert extend(client, sweep_id, trials=9).json == first.json
    assert extend(client, sweep_id, trials=12).json["extensions"] == 2
    assert places(extend(client, sweep_id)) == {"#": "missing"}


def test_limits_are_raised_and_removed(client, volume, budgeted):
    answer = extend(client, budgeted, budget={"max_gpu_seconds": 200.0})
    assert answer.json["spec"]["budget"] == {"max_gpu_seconds": 200.0, "max_cost": None, "deadline": LATER}
    answer = extend(client, budgeted, trials=20, budget={"deadline": LATEST})
    assert answer.json["spec"]["budget"] == {"max_gpu_seconds": 200.0, "max_cost": None, "deadline": LATEST}
    assert extend(client, budgeted, budget=None).json["spec"]["budget"] is None
    assert find_sweep(volume, budgeted).record().spec.budget.max_gpu_seconds == 100


def test_a_limit_that_the_sweep_did_not_have_is_added_if_more_than_that_is_left(client, volume, grades):
    sweep_id = running_sweep(volume).id
    too_little = {"max_gpu_seconds": 12.0, "max_cost": 0.001, "deadline": time_in(-5)}
    assert places(extend(client, sweep_id, budget=too_little)) == {
        "#/budget/max_gpu_seconds": "not_more",
        "#/budget/max_cost": "not_more",
        "#/budget/deadline": "passed",
    }
    enough = {"max_gpu_seconds": 20.0, "max_cost": 1.0, "deadline": LATER}
    for name, value in enough.items():
        answer = extend(client, sweep_id, budget={name: value})
        assert answer.json["spec"]["budget"][name] == value, answer.json
    assert answer.json["spec"]["budget"] == enough


def test_a_cost_is_not_limited_while_a_trial_runs_whose_price_nobody_knows(client, volume, grades):
    folder = running_sweep(volume)
    trial = propose(volume, folder, 4)
    claim(volume.job_folder(trial.job))
    assert places(extend(client, folder.id, budget={"max_cost": 5.0})) == {"#/budget/max_cost": "no_price"}


def test_one_refusal_names_everything_that_is_not_more(client, budgeted):
    smaller = {"max_gpu_seconds": 50.0, "deadline": EARLIER}
    assert places(extend(client, budgeted, trials=3, budget=smaller)) == {
        "#/trials": "not_more",
        "#/budget/max_gpu_seconds": "not_more",
        "#/budget/deadline": "not_more",
    }
    assert places(extend(client, budgeted)) == {"#": "missing"}
    assert places(extend(client, budgeted, trials=6)) == {"#": "not_more"}
    assert places(extend(client, budgeted, budget={"deadline": time_in(-5)})) == {"#/budget/deadline": "passed"}
    assert set(places(extend(client, budgeted, trial=9, budget={"max_gpu_seconds": -1}))) == {
        "#/trial",
        "#/budget/max_gpu_seconds",
    }


def test_a_sweep_that_would_end_again_at_once_is_refused(client, volume, budgeted):
    find_sweep(volume, budgeted).end("budget", "its budget is used up")
    assert extend(client, budgeted, trials=20).status_code == 200
    folder = ended_sweep(volume)
    assert places(extend(client, folder.id, trials=6)) == {"#": "not_more"}
    grid = client.post("/sweeps", json=sweep_document(sampler="grid", space={"/model/layers": {"choice": [[4], [8]]}}))
    assert places(extend(client, grid.json["id"], trials=9)) == {"#/trials": "not_more"}


@pytest.mark.parametrize("reason", ["cancelled", "failed_trials", "data_changed"])
def test_a_sweep_that_failed_or_was_cancelled_is_not_extended(client, volume, budgeted, reason):
    folder = find_sweep(volume, budgeted)
    if reason == "cancelled":
        folder.request_cancel()
    folder.end(reason, "it has ended")
    assert extend(client, budgeted, trials=20).status_code == 409
