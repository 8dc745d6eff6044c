"""PATCH /jobs/{id}: tags and a note, refusals, and lists filtered by tags."""

import threading

import pytest

from shared.annotations import ANNOTATIONS, MOST_NOTE_CHARACTERS, MOST_TAGS
from shared.job import Ending
from shared.open_job import OpenJob


def change(client, job, **body):
    return client.patch(f"/jobs/{job.id}", json=body)


def listed(client, query):
    return [job["id"] for job in client.get(f"/jobs?{query}").json["data"]]


def test_tags_and_a_note_change_while_the_record_stays(client, job):
    before = job.spec_file.read_bytes()
    assert (client.get(f"/jobs/{job.id}").json["tags"], client.get(f"/jobs/{job.id}").json["note"]) == ([], "")
    answer = change(client, job, tags=["baseline", "paper", "baseline"], note="first line\n\tsecond: é")
    assert answer.status_code == 200
    assert (answer.json["tags"], answer.json["note"]) == (["baseline", "paper"], "first line\n\tsecond: é")
    answer = change(client, job, add_tags=["new"], remove_tags=["paper", "unknown"])
    assert (answer.json["tags"], answer.json["note"]) == (["baseline", "new"], "first line\n\tsecond: é")
    assert change(client, job, note="").json["note"] == ""
    shown = client.get(f"/jobs/{job.id}").json
    assert (shown["tags"], shown["note"]) == (["baseline", "new"], "")
    assert job.spec_file.read_bytes() == before
    assert len(list((job.path / ANNOTATIONS).iterdir())) == 1


def test_a_job_that_has_ended_is_shown_with_its_new_tags(client, volume, job):
    job.settle(Ending(status="cancelled"), None)
    volume.close_job(OpenJob(5, job.id))
    first = client.get(f"/jobs/{job.id}")
    change(client, job, tags=["a"])
    second = client.get(f"/jobs/{job.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert second.json["tags"] == ["a"]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["#"]),
        ({"tags": None}, ["#"]),
        ({"tag": ["a"]}, ["#/tag"]),
        ({"tags": ["", " a", "x" * 65, 5, "a\u202eb"]}, [f"#/tags/{at}" for at in range(5)]),
        ({"tags": ["a"], "add_tags": ["b"], "remove_tags": ["c"]}, ["#/add_tags", "#/remove_tags"]),
        ({"add_tags": [f"t{number}" for number in range(MOST_TAGS + 1)]}, ["#/add_tags"]),
        ({"note": "x" * (MOST_NOTE_CHARACTERS + 1), "tags": "a"}, ["#/tags", "#/note"]),
        ({"note": "\x1b[2J"}, ["#/note"]),
        ({"name": "other", "status": "succeeded"}, ["#/name", "#/status"]),
    ],
)
def test_every_problem_of_a_change_is_named_and_nothing_changes(client, job, body, pointers):
    change(client, job, tags=["kept"])
    answer = change(client, job, **body)
    assert answer.status_code == 422
    assert sorted(one["pointer"] for one in answer.json["errors"]) == sorted(pointers)
    assert client.get(f"/jobs/{job.id}").json["tags"] == ["kept"]


def test_more_tags_than_a_job_may_have_are_refused_also_one_by_one(client, job):
    change(client, job, tags=[f"t{number}" for number in range(MOST_TAGS)])
    answer = change(client, job, add_tags=["one more"])
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "too_many_tags")
    assert change(client, job, add_tags=["one more"], remove_tags=["t0"]).status_code == 200


def test_no_tag_is_lost_when_many_add_one_at_once(client, job):
    tags = [f"t{number}" for number in range(12)]
    threads = [threading.Thread(target=change, args=(client, job), kwargs={"add_tags": [tag]}) for tag in tags]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(client.get(f"/jobs/{job.id}").json["tags"]) == sorted(tags)


def test_jobs_are_listed_by_tag_also_those_tagged_elsewhere(client, volume, new_job):
    one, other, third = (new_job(name=name, metadata={"team": "red"}) for name in ("one", "other", "third"))
    assert listed(client, "tag=keep") == []
    change(client, one, tags=["keep", "best"])
    change(client, third, tags=["keep"])
    assert listed(client, "tag=keep") == [third.id, one.id]
    assert listed(client, "tag=keep&tag=best&metadata.team=red") == [one.id]
    change(client, one, remove_tags=["keep"])
    assert listed(client, "tag=keep") == [third.id]
    client.post(f"/jobs/{third.id}/cancel")
    assert listed(client, "tag=keep&status=cancelled") == [third.id]
    client.delete(f"/jobs/{third.id}")
    assert listed(client, "tag=keep") == []
    assert [path.name.partition(".")[0] for path in volume.annotated.iterdir()] == [one.id]
    assert listed(client, "tag=best&search=on") == [one.id]
    assert other.id not in listed(client, "tag=best")


def test_a_change_that_a_killed_process_had_only_begun_is_not_lost_from_the_index(client, volume, job):
    """First the marker exists without its document, then the document too."""
    (volume.annotated / f"{job.id}.1").touch()
    assert listed(client, "tag=a") == []
    (job.path / ANNOTATIONS).mkdir()
    (job.path / ANNOTATIONS / "1.json").write_text('{"format": 1, "tags": ["a"], "unknown": 1}')
    assert listed(client, "tag=a") == [job.id]


def test_damaged_annotations_hide_no_job(client, volume, job):
    change(client, job, tags=["a"])
    (job.path / ANNOTATIONS / "1.json").write_text("{")
    shown = client.get(f"/jobs/{job.id}").json
    assert shown["tags"] == []
    assert any("1.json is damaged" in one for one in shown["warnings"])
    assert listed(client, "") == [job.id]


def test_what_is_gone_is_not_found(client, job):
    client.post(f"/jobs/{job.id}/cancel")
    client.delete(f"/jobs/{job.id}")
    assert change(client, job, tags=["a"]).status_code == 404
