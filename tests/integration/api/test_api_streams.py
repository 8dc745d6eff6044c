"""Event streams over a real connection: live, cut and resumed, and limited in number."""

import json
import random
import threading

from shared.events import Event, EventWriter
from shared.job import AttemptEnd, Ending
from shared.times import utc_now
from tests.support.jobs import claim
from tests.support.keys import AUTHORIZATION
from tests.support.waiting import wait_for

CSV = b"kind,size,label\n" + b"".join(b"red,%d,%d\n" % (n, n % 2) for n in range(60))
SPEC = {"dataset": {"id": "streamed", "target": "label", "drop_columns": ["kind"]}}


class Stream:
    """One client of a stream."""

    def __init__(self, api, job_id, last=None):
        self._connection = api.connect()
        headers = {**AUTHORIZATION, "Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        self._connection.request("GET", f"/jobs/{job_id}/events", headers=headers)
        self.response = self._connection.getresponse()

    def next(self):
        """Return the next frame that carries data; None at the end of the stream."""
        fields = {}
        while line := self.response.readline().decode():
            if line == "\n" and "data" in fields:
                return {**fields, "data": json.loads(fields["data"])}
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        return None

    def close(self):
        self.response.close()
        self._connection.close()


def running_job(api):
    api.ask("PUT", "/datasets/streamed", CSV)
    job = api.volume.job(api.ask("POST", "/jobs", SPEC).json["id"])
    return job, claim(job)


def tell(attempt, *messages):
    with EventWriter(attempt.events_file) as writer:
        writer.write(Event("state", message, {}) for message in messages)


def test_events_arrive_while_they_happen_and_a_cut_stream_goes_on_where_it_was(api):
    job, attempt = running_job(api)
    stream = Stream(api, job.id)
    assert stream.response.headers["Content-Type"].startswith("text/event-stream")
    tell(attempt, "one")
    first = stream.next()
    assert (first["event"], first["data"]["message"], first["data"]["attempt"]) == ("state", "one", 1)
    stream.close()
    tell(attempt, "two", "three")
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    again = Stream(api, job.id, last=first["id"])
    assert [again.next()["data"]["message"] for _ in range(2)] == ["two", "three"]
    second = claim(job, 2)
    tell(second, "four")
    last = again.next()
    assert (last["data"]["message"], last["data"]["attempt"]) == ("four", 2)
    job.settle(Ending(status="succeeded"), attempt=2)
    end = again.next()
    assert (end["event"], end["data"]) == ("end", {"status": "succeeded"})
    assert again.next() is None
    again.close()


def test_above_the_cap_a_stream_is_refused_and_others_are_still_served(api):
    job, attempt = running_job(api)
    streams = [Stream(api, job.id) for _ in range(4)]
    assert [stream.response.status for stream in streams] == [200] * 4
    refused = Stream(api, job.id)
    assert (refused.response.status, refused.response.headers["Retry-After"]) == (503, "5")
    assert json.loads(refused.response.read())["code"] == "too_many_streams"
    refused.close()
    assert api.ask("GET", f"/jobs/{job.id}/events").status == 200
    streams.pop().close()
    tell(attempt, "one")
    for stream in streams:
        assert stream.next()["data"]["message"] == "one"

    def another():
        stream = Stream(api, job.id)
        streams.append(stream)
        return stream.response.status == 200

    wait_for(another, 20, every=0.3)
    job.settle(Ending(status="cancelled"), attempt=None)
    for stream in streams:
        stream.response.read()
        stream.close()


def test_a_stream_that_is_cut_and_resumed_a_hundred_times_loses_and_repeats_nothing(api):
    """Cut at random bytes while events come, also between two attempts; each time resumed after the last whole one."""
    job, attempt = running_job(api)
    chance = random.Random(7)
    sent = [f"event {number} {'ü' * chance.randrange(200)}" for number in range(400)]
    halves = [(attempt, sent[:250]), (None, sent[250:])]

    def happen():
        for half, messages in halves:
            writer = half or claim(job, 2)
            for start in range(0, len(messages), 10):
                tell(writer, *messages[start : start + 10])
            if half:
                half.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
        job.settle(Ending(status="succeeded"), attempt=2)

    teller = threading.Thread(target=happen)
    teller.start()
    heard, last, cuts = [], None, 0
    while not heard or heard[-1] is not None:
        stream = Stream(api, job.id, last=last)
        budget = chance.randrange(1, 3000) if cuts < 100 else 10**9
        frames, rest = whole_frames(stream.response, budget)
        stream.close()
        for frame in frames:
            last = frame["id"]
            heard.append(None if frame["event"] == "end" else frame["data"]["message"])
        cuts += rest is not None
    teller.join()
    assert cuts >= 100
    assert heard == [*sent, None]


def whole_frames(response, budget):
    """Return the whole frames within `budget` bytes, and the part that was cut off; None if nothing was cut off."""
    content = b""
    while len(content) < budget:
        piece = response.read1(min(budget - len(content), 1 + budget // 3))
        if not piece:
            break
        content += piece
    *frames, rest = content.decode(errors="replace").split("\n\n")
    fields = [dict(line.partition(": ")[::2] for line in frame.split("\n")) for frame in frames]
    found = [{**one, "data": json.loads(one["data"])} for one in fields if "data" in one]
    return found, rest or None
