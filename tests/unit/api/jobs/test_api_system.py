"""GET /jobs/{id}/system, and what explain says about it."""

import pytest

from shared.job import AttemptEnd
from shared.times import utc_now
from tests.support.jobs import claim
from tests.support.system import CPU, GPU, leave_system, seconds_of, train_for

IDLE = {"gpu_percent": 23.0, "cpu_cores": 3.9, "disk_read": 0.0}


def asked(client, job, **query):
    answer = client.get(f"/jobs/{job.id}/system", query_string=query)
    return answer.json


@pytest.fixture
def lost(job):
    """A job with a first attempt on a CPU that was lost, and a second one on a GPU."""
    first = claim(job, 1)
    leave_system(first, seconds_of(40, cpu_cores=1.5, memory_bytes=10**9))
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    second = claim(job, 2)
    train_for(second, 60, each=2.0)
    leave_system(second, seconds_of(60, **IDLE), GPU)
    return job


def test_the_samples_of_all_attempts_come_in_order_with_their_machines(client, lost):
    shown = asked(client, lost)
    assert [one["attempt"] for one in shown["data"]] == [1] * 40 + [2] * 60
    assert [(one["attempt"], one["gpu"], one["cores"]) for one in shown["attempts"]] == [
        (1, None, CPU.cores),
        (2, GPU.gpu, GPU.cores),
    ]
    assert shown["data"][0] == {
        "attempt": 1, "at": 1.0, "seconds": 1.0, "cpu_cores": 1.5, "memory_bytes": 10**9, "disk_read": None,
        "disk_written": None, "gpu_percent": None, "gpu_memory_bytes": None, "gpu_watts": None, "gpu_celsius": None,
    }  # fmt: skip
    assert (shown["object"], shown["sampled"], shown["next"]) == ("system_metrics", None, "2:60000")


def test_after_a_cursor_come_only_new_samples(client, lost):
    second = lost.attempts()[1]
    assert [one["at"] for one in asked(client, lost, after="2:58000")["data"]] == [59.0, 60.0]
    assert asked(client, lost, after="1:39000")["data"][0]["attempt"] == 1
    nothing = asked(client, lost, after="2:60000")
    assert (nothing["data"], nothing["next"]) == ([], "2:60000")
    leave_system(second, seconds_of(61, cpu_cores=2.0), GPU)
    assert [one["at"] for one in asked(client, lost, after="2:60000")["data"]] == [61.0]


def test_more_samples_than_asked_for_are_merged_and_the_answer_says_so(client, lost):
    shown = asked(client, lost, points=12)
    assert shown["sampled"] == {"of": 100, "shown": len(shown["data"])}
    assert len(shown["data"]) <= 12
    assert sum(one["seconds"] for one in shown["data"]) == 100
    assert shown["next"] == "2:60000"


def test_what_the_gpu_waited_for_is_said_here_and_in_the_explanation(client, lost):
    finding = asked(client, lost)["finding"]
    assert (finding["code"], finding["attempt"], finding["gpu_percent"]) == ("gpu_waited_for_data", 2, 23.0)
    sentences = client.get(f"/jobs/{lost.id}/explain").json["sentences"]
    assert sentences[-1] == finding["text"]
    assert finding["text"].startswith("The GPU waited for data: ")


def test_what_did_not_wait_is_not_explained(client, job):
    attempt = claim(job)
    train_for(attempt, 60, each=2.0)
    leave_system(attempt, seconds_of(60, gpu_percent=97.0, cpu_cores=1.0), GPU)
    assert asked(client, job)["finding"]["code"] == "gpu_busy"
    assert "GPU" not in client.get(f"/jobs/{job.id}/explain").json["text"]


def test_without_metrics_the_answer_is_empty(client, job):
    expected = {"object": "system_metrics", "job": job.id, "attempts": [], "data": [], "sampled": None}
    assert asked(client, job) == {**expected, "next": "0:0", "finding": None}
    attempt = claim(job)
    assert asked(client, job)["data"] == []
    attempt.system_file.parent.mkdir()
    attempt.system_file.write_text("no document of ours")
    assert asked(client, job)["data"] == []
    assert client.get(f"/jobs/{job.id}/explain").status_code == 200


@pytest.mark.parametrize("query", [{"points": 2}, {"points": 4001}, {"after": "x"}, {"limit": 3}])
def test_a_query_out_of_range_is_refused(client, job, query):
    assert asked(client, job, **query)["status"] == 422


def test_a_link_in_the_place_of_the_file_is_not_followed(client, job, tmp_path):
    attempt = claim(job)
    leave_system(attempt, seconds_of(3))
    target = attempt.system_file.rename(tmp_path / "elsewhere.jsonl")
    attempt.system_file.symlink_to(target)
    assert asked(client, job)["data"] == []
