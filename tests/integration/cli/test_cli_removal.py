"""A removal that affects other jobs asks for confirmation first."""

import pytest

USERS = {
    "dataset": {"spec": {"dataset": {"id": "wine"}}},
    "datasets of a script": {"spec": {"program": {"id": "p", "datasets": ["x", "wine"]}}},
    "weights": {"spec": {"model": {"kind": "application", "weights": "resnet"}}},
    "program": {"spec": {"program": {"id": "cats"}}},
    "extension": {"extends": "job_01K80000000000000000000001", "spec": {}},
    "fine-tuning": {"lineage": [{"job": "job_01K80000000000000000000001"}], "spec": {}},
}
REMOVALS = {
    "dataset": ["datasets", "rm", "wine"],
    "datasets of a script": ["datasets", "rm", "wine"],
    "weights": ["models", "rm", "resnet"],
    "program": ["programs", "rm", "cats"],
    "extension": ["rm", "job_01K80000000000000000000001"],
    "fine-tuning": ["rm", "job_01K80000000000000000000001"],
}


@pytest.fixture
def deleted(canned):
    """Return the paths that the service was asked to delete."""
    for path in ("/datasets/wine", "/models/resnet", "/programs/cats", "/jobs/job_01K80000000000000000000001"):
        canned.on("DELETE", path, b"", 204)
    return lambda: [one.path for one in canned.asked if one.method == "DELETE"]


@pytest.mark.parametrize("case", USERS)
def test_it_asks_when_a_job_depends_on_what_is_removed(
    fitstop, canned, deleted, make_job, make_page, monkeypatch, case
):
    user, other = make_job(2, "succeeded", **USERS[case]), make_job(3, "succeeded", spec={"dataset": {"id": "other"}})
    canned.on("GET", "/jobs", make_page(other, user))
    # There is no terminal for an answer.
    refused = fitstop(*REMOVALS[case])
    assert (refused.exit_code, deleted()) == (2, [])
    assert "1 job " in refused.stderr
    assert user["id"] in refused.stderr
    assert other["id"] not in refused.stderr
    monkeypatch.setattr("fitstop.cli.removal._can_ask", lambda: True)
    assert (fitstop(*REMOVALS[case], stdin="n\n").exit_code, deleted()) == (0, [])
    assert (fitstop(*REMOVALS[case], stdin="y\n").exit_code, len(deleted())) == (0, 1)
    assert (fitstop(*REMOVALS[case], "--yes").exit_code, len(deleted())) == (0, 2)


@pytest.mark.parametrize("case", USERS)
def test_it_does_not_ask_when_nothing_depends_on_it(fitstop, canned, deleted, make_job, make_page, case):
    canned.on("GET", "/jobs", make_page(make_job(3, "succeeded", spec={"dataset": {"id": "other"}})))
    assert (fitstop(*REMOVALS[case]).exit_code, len(deleted())) == (0, 1)


def test_jobs_that_are_removed_together_are_not_asked_about(fitstop, canned, deleted, make_job, make_page):
    user = make_job(2, "succeeded", **USERS["extension"])
    canned.on("GET", "/jobs", make_page(user))
    canned.on("DELETE", f"/jobs/{user['id']}", b"", 204)
    assert fitstop(*REMOVALS["extension"], user["id"]).exit_code == 0
    assert len(deleted()) == 2
