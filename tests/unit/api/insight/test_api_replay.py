"""The replay over HTTP."""

import pytest

from api.state.service import Service
from tests.support.calls import count_calls
from tests.support.keys import authorized
from tests.unit.shared.histories import ended_at, history, stopped, trained

# New best values at epochs 1, 2, 4 and 9.
VALUES = [0.5, 0.6, 0.6, 0.61, 0.6, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7]


def past(volume, values=VALUES, epochs=1000, reason="early_stopping"):
    job = trained(volume, values, epochs=epochs)
    attempt = job.attempts()[0]
    ended_at(attempt, 10_000, "finished", stopped(reason, len(values), 9, epochs))
    return job


def ask(client, job, **settings):
    return client.post(f"/jobs/{job.id}/replay", json=settings)


def test_a_smaller_patience_is_answered_exactly(client, volume):
    found = ask(client, past(volume), patience=3).json
    assert found["known"] is True
    assert found["stop"] == {"reason": "early_stopping", "epoch": 7}
    assert found["last_improvement"] == {"epoch": 4, "value": 0.61, "min_delta": 0.001}
    assert found["saved"]["epochs"] == 4
    assert found["saved"]["gpu_seconds"] == pytest.approx(0.4)
    assert found["saved"]["costs"] == [{"currency": "EUR", "amount": 0.0004}]
    assert found["model"]["lost"] == pytest.approx(0.09)
    assert found["early_stopping"]["min_delta"] == 0.001
    assert "stopped at epoch 7" in found["text"]


def test_what_would_have_gone_on_cannot_be_known(client, volume):
    found = ask(client, past(volume), patience=20).json
    assert (found["known"], found["stop"], found["saved"]) == (False, None, None)
    assert "Later epochs are unknown" in found["text"]


def test_a_job_that_did_all_its_epochs_would_have_done_them_too(client, volume):
    found = ask(client, past(volume, epochs=len(VALUES), reason="epochs_completed"), patience=20).json
    assert found["stop"] == {"reason": "epochs_completed", "epoch": 11}
    assert found["saved"]["epochs"] == 0


def test_every_setting_may_be_asked_for(client, volume):
    found = ask(client, past(volume), patience=2, min_delta=0.05, start_from_epoch=2).json
    assert (found["last_improvement"]["epoch"], found["stop"]["epoch"]) == (3, 5)


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"patience": 0}, "#/patience"),
        ({"monitor": "val_acuracy"}, "#/monitor"),
        ({"mode": "min"}, "#/mode"),
        ({"patiance": 3}, "#/patiance"),
        ({"min_delta": -1}, "#/min_delta"),
    ],
)
def test_settings_that_make_no_sense_are_refused(client, volume, asked, place):
    answer = ask(client, past(volume), **asked)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json["errors"]] == [place]


def test_a_job_without_an_epoch_has_nothing_to_replay(client, job):
    answer = ask(client, job, patience=3)
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def test_the_table_says_what_each_patience_would_have_saved_and_lost(client, volume):
    jobs = [past(volume), past(volume, [0.5, 0.9, *[0.8] * 9])]
    found = client.get("/replay/patience", query_string={"jobs": ",".join(job.id for job in jobs), "most": 12}).json
    [table] = found["data"]
    rows = {row["patience"]: row for row in table["rows"]}
    assert (table["monitor"], table["jobs"], table["smallest_patience"]) == ("val_accuracy", 2, None)
    assert (rows[3]["jobs_worse"], rows[3]["stopped_sooner"]) == (1, 2)
    assert rows[3]["most_lost"] == pytest.approx(0.09)
    assert rows[3]["gpu_seconds_saved"] == pytest.approx(0.4 + 0.6)
    assert rows[3]["costs_saved"] == [{"currency": "EUR", "amount": 0.001}]
    # At its end the first job had used only two epochs of patience.
    assert (rows[5]["jobs"], rows[5]["unknown"]) == (1, 1)
    assert (rows[12]["jobs"], rows[12]["unknown"]) == (0, 2)
    tolerant = client.get("/replay/patience", query_string={"tolerance": 0.095}).json
    assert tolerant["data"][0]["smallest_patience"] == 2


def test_the_newest_jobs_are_taken_where_none_is_named_and_others_say_why_they_are_left_out(client, volume, job):
    past(volume)
    assert client.get("/replay/patience").json["data"][0]["jobs"] == 1
    left_out = client.get("/replay/patience", query_string={"jobs": job.id}).json["left_out"]
    assert left_out == [{"job": job.id, "reason": "it has not finished"}]


@pytest.mark.parametrize(
    ("query", "status"), [({"jobs": "x"}, 422), ({"tolerance": "nan"}, 422), ({"most": "0"}, 422), ({"a": "1"}, 422)]
)
def test_a_table_that_makes_no_sense_is_refused(client, query, status):
    assert client.get("/replay/patience", query_string=query).status_code == status


def test_an_unknown_job_of_the_table_is_not_found(client, job):
    unknown = f"{job.id[:-4]}0000"
    assert client.get("/replay/patience", query_string={"jobs": unknown}).status_code == 404


def test_the_curve_is_that_of_the_run_that_counts(volume):
    assert [told.metrics["val_accuracy"] for told in history(past(volume)).epochs()] == VALUES


def test_the_work_for_a_table_grows_with_its_jobs_and_not_faster(client, volume):
    for _ in range(60):
        past(volume, VALUES * 6)
    client.get("/replay/patience")
    of_one, of_all = (
        count_calls(lambda most=most: client.get("/replay/patience", query_string={"most": most})) for most in (6, 60)
    )
    assert of_all < 11 * of_one
    assert client.get("/replay/patience").json["data"][0]["jobs"] == 60


def test_a_replay_only_reads_so_a_key_that_reads_may_ask_and_it_is_no_job(app, client, volume):
    held = Service.of(app)
    held.settings = held.settings.model_copy(update={"max_unfinished_jobs": 1})
    key = client.post("/keys", json={"name": "reader", "scope": "read"}).json["key"]
    job = past(volume)
    assert [ask(authorized(app, key), job, patience=3).status_code for _ in range(3)] == [200] * 3


def test_a_damaged_job_is_left_out_of_the_table(client, volume):
    past(volume)
    past(volume).result_file.write_text('{"finished_at": 1}')
    assert client.get("/replay/patience").json["data"][0]["jobs"] == 1
