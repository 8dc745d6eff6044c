"""GET /jobs/{id}/evaluation."""

import json

import pytest

from shared.job import AttemptEnd, Ending
from shared.times import utc_now
from tests.support.evaluations import classified, leave_evaluation, measured_numbers
from tests.support.jobs import claim, put_job, small_spec


def asked(client, job):
    answer = client.get(f"/jobs/{job.id}/evaluation")
    return answer.status_code, answer.json


@pytest.fixture
def result():
    return classified(("a", "b"), [0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])


def test_it_is_what_the_training_process_left(client, job, result):
    left = leave_evaluation(claim(job), "binary", result, test=result)
    status, shown = asked(client, job)
    assert status == 200
    assert (shown["object"], shown["job"], shown["epoch"]) == ("evaluation", job.id, 3)
    assert shown["validation"] == shown["test"] == left.validation.model_dump(mode="json")
    assert shown["validation"]["confusion"] == [[1, 0], [1, 1]]
    assert [(one["row"], one["true"], one["predicted"]) for one in shown["validation"]["mistakes"]] == [(2, "b", "a")]


def test_that_of_the_newest_attempt_counts(client, job, result):
    first = claim(job, 1)
    leave_evaluation(first, "binary", result)
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    leave_evaluation(claim(job, 2), "regression", measured_numbers([1.0, 2.0], [1.5, 2.0]))
    assert asked(client, job)[1]["validation"]["metrics"]["mae"] == 0.25


def test_without_one_the_answer_says_whether_there_will_be_one(client, job):
    assert asked(client, job)[0] == 404
    assert "after the last epoch" in asked(client, job)[1]["detail"]
    job.settle(Ending(status="cancelled"), attempt=None)
    assert "see the job's events for the reason" in asked(client, job)[1]["detail"]


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"format": 2}'])
def test_a_document_that_cannot_be_read_is_no_internal_error(client, job, content):
    claim(job).evaluation_file.write_bytes(content)
    status, problem = asked(client, job)
    assert problem["code"] in {"damaged_record", "newer_format"}, (status, problem)


def test_a_document_that_a_script_has_forged_is_damaged(client, job, result):
    attempt = claim(job)
    document = leave_evaluation(attempt, "binary", result).model_dump(mode="json")
    for place, value in (
        ("mistakes", [{**document["validation"]["mistakes"][0], "thumbnail": "https://example.org/seen.png"}]),
        ("mistakes", [{**document["validation"]["mistakes"][0], "thumbnail": "data:text/html;base64,PHA+"}]),
        ("confusion", [[1, 2, 3]]),
        ("most_confused", [{"true": 7, "predicted": 0, "rows": 1}]),
    ):
        forged = {**document, "validation": {**document["validation"], place: value}}
        attempt.evaluation_file.write_text(json.dumps(forged))
        assert asked(client, job)[1]["code"] == "damaged_record", (place, value)


def test_a_link_to_the_evaluation_of_another_job_is_not_followed(client, job, volume, result):
    other = claim(put_job(volume, small_spec()))
    leave_evaluation(other, "binary", result)
    claim(job).evaluation_file.symlink_to(other.evaluation_file)
    assert asked(client, job)[1]["code"] == "damaged_record"
