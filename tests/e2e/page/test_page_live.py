"""Following a job by its event stream, and by polling if no stream gets through."""

import json

from shared.events import Event
from shared.job import Ending, Stop
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec
from tests.support.waiting import wait_for

FOLLOW = """async ([id, after]) => {
  const { follow } = await import("/page/static/live.js");
  window.heard = []; window.states = []; window.problems = [];
  window.stop = follow(id, {
    after,
    onEvent: (event) => heard.push(event.id),
    onState: (job) => states.push([job.status, job.progress?.epoch ?? 0]),
    onProblem: (problem) => problems.push(problem.message),
  });
}"""


def followed(still, page, after=None):
    """Follow a new running job, one of whose events has a type unknown to the page; return the job and its attempt."""
    job = put_job(still.api.volume, small_spec(hyperparameters={"epochs": 1000}))
    attempt = claim(job)
    tell(attempt, Event("a_new_kind", "something new", {}), *(epoch(number, 0.5) for number in range(1, 4)))
    page.goto("/page/usage")
    page.evaluate(FOLLOW, [job.id, after])
    return job, attempt


def ids(still, job):
    return [event["id"] for event in still.api.ask("GET", f"/jobs/{job.id}/events").json["data"]]


def wait_heard(still, page, job, saying):
    wait_for(lambda: page.evaluate("heard") == ids(still, job), 30, 0.1, saying)


def finish(job):
    job.settle(Ending(status="succeeded", stop=Stop(reason="early_stopping")), attempt=1)


def test_by_the_stream_each_event_is_heard_once_and_the_state_follows(still):
    with still.page() as page:
        streams = []
        page.on(
            "request", lambda one: streams.append(one.url) if "event-stream" in one.headers.get("accept", "") else None
        )
        job, attempt = followed(still, page)
        wait_heard(still, page, job, "what was there before")
        tell(attempt, *(epoch(number, 0.6) for number in range(4, 7)))
        wait_heard(still, page, job, "what came later")
        finish(job)
        page.wait_for_function("() => states.at(-1)[0] === 'succeeded'")
        assert page.evaluate("states.at(-1)") == ["succeeded", 6]
        wait_heard(still, page, job, "its end")
        assert len(streams) == 1
        assert page.evaluate("problems") == []


def test_with_the_stream_blocked_it_still_moves(still):
    def block(route):
        if "event-stream" in route.request.headers.get("accept", ""):
            route.abort()
        else:
            route.continue_()

    with still.page() as page:
        page.route("**/jobs/*/events*", block)
        job, attempt = followed(still, page)
        wait_heard(still, page, job, "what was there before")
        tell(attempt, epoch(4, 0.6))
        wait_heard(still, page, job, "what came later")
        page.wait_for_function("() => states.at(-1)[1] === 4")
        finish(job)
        page.wait_for_function("() => states.at(-1)[0] === 'succeeded'")
        wait_heard(still, page, job, "its end")


def test_a_stream_that_is_cut_goes_on_where_it_was(still):
    cut = []

    def once(route):
        """Answer with only the first two frames, as a proxy that gives up would."""
        if "event-stream" not in route.request.headers.get("accept", "") or cut:
            return route.continue_()
        whole = still.api.ask("GET", route.request.url.removeprefix(still.url)).json["data"][:2]
        cut.append(whole[-1]["id"])
        frames = "".join(f"id: {one['id']}\nevent: x\ndata: {json.dumps({'id': one['id']})}\n\n" for one in whole)
        return route.fulfill(body=frames, content_type="text/event-stream")

    with still.page() as page:
        resumed = []
        page.on("request", lambda one: resumed.append(one.headers.get("last-event-id")))
        page.route("**/jobs/*/events*", once)
        job, _ = followed(still, page)
        wait_heard(still, page, job, "all of it, once")
        assert cut[0] in resumed


def test_where_all_streams_are_taken_it_asks(still):
    with still.page() as page:
        page.route(
            "**/jobs/*/events*",
            lambda route: (
                route.fulfill(status=503, headers={"Retry-After": "5"}, body="{}")
                if "event-stream" in route.request.headers.get("accept", "")
                else route.continue_()
            ),
        )
        job, _ = followed(still, page)
        wait_heard(still, page, job, "all of it")
        page.evaluate("stop()")
