"""GET /workers: each worker's card and what it means."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.times import format_time, utc_now
from shared.worker_card import RunningAttempt, WorkerCard
from tests.support.waiting import wait_for
from tests.unit.shared.records import posted


def card(**parts):
    known = {
        "worker": "gpu-1-abc",
        "host": "gpu-1",
        "pid": 7,
        "device": "NVIDIA H200",
        "slots": 1,
        "child_start": "forkserver",
        "ready": True,
        "draining": False,
        "running": (),
        "started_at": utc_now(),
        "seen_at": utc_now(),
    }
    return WorkerCard(**{**known, **parts})


RUNNING = (RunningAttempt(job="job_x", attempt=1, slot=0),)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({}, "ready"),
        ({"ready": False}, "starting"),
        ({"ready": False, "unfit": "its GPU does not train"}, "unfit"),
        ({"ready": False, "running": RUNNING}, "busy"),
        ({"running": RUNNING, "slots": 2}, "ready"),
        ({"ready": False, "running": RUNNING, "draining": True}, "draining"),
        ({"seen_at": format_time(datetime.now(UTC) - timedelta(seconds=31))}, "lost"),
    ],
)
def test_a_worker_is_shown_with_its_status(client, volume, parts, status):
    volume.show_worker(card(**parts))
    [shown] = client.get("/workers").json["data"]
    assert (shown["status"], shown["worker"], shown["device"]) == (status, "gpu-1-abc", "NVIDIA H200")
    assert shown["last_seen_seconds"] >= 0


def test_a_worker_says_whether_it_runs_programs(client, volume):
    volume.show_worker(card(no_programs="FITSTOP_ALLOW_CODE=no"))
    volume.show_worker(card(worker="gpu-2-abc", programs="boxed"))
    shown = [(one["programs"], one["no_programs"]) for one in client.get("/workers").json["data"]]
    assert shown == [("no", "FITSTOP_ALLOW_CODE=no"), ("boxed", "")]


def test_a_job_that_no_worker_holds_enough_devices_for_says_so(client, volume):
    volume.show_worker(card())
    job = posted(volume, devices=2)
    wait_for(lambda: client.get("/queue").json["data"], 5)
    [queued] = client.get("/queue").json["data"]
    assert queued["waits"]["reason"] == "too_few_devices"
    assert queued["waits"]["detail"].startswith("no worker has 2 devices (at most 1); start one with")
    assert queued["waits"]["detail"] in client.get(f"/jobs/{job.id}").json["warnings"]
    volume.show_worker(card(worker="gpu-2-abc", slot_devices=2))
    [queued] = client.get("/queue").json["data"]
    assert queued["waits"]["reason"] == "next"
    assert [one["slot_devices"] for one in client.get("/workers").json["data"]] == [1, 2]


def test_a_worker_that_was_seen_makes_its_check_hold(client, volume):
    volume.show_worker(card())
    assert client.get("/readyz").json["checks"]["workers"]["ok"] is True


def test_with_unfit_workers_alone_nothing_is_ready_and_the_check_says_why(client, volume):
    volume.show_worker(card(ready=False, unfit="its fork server hangs"))
    reason = "1 claim no jobs: its fork server hangs"
    check = client.get("/readyz").json["checks"]["workers"]
    assert (check["ok"], check["detail"]) == (False, f"1 seen in the last 30 seconds; {reason}")
    volume.show_worker(card(worker="gpu-2-abc"))
    check = client.get("/readyz").json["checks"]["workers"]
    assert (check["ok"], check["detail"]) == (True, f"2 seen in the last 30 seconds; {reason}")


def test_without_workers_the_list_is_empty(client):
    assert client.get("/workers").json == {"object": "list", "data": [], "has_more": False}
