"""The worst body that a route accepts costs a bounded amount of work, whatever its values.

The test counts function calls, which do not depend on the machine's load: 15,000 take about a millisecond.
`python -m proofs.worst_bodies` prints the milliseconds.
"""

import sys

import numpy as np
import pandas as pd
import pytest

from api import create_app
from api.http.strict_json import SMALL_BODY_BYTES
from api.state.service import Service
from shared.settings import Settings
from tests.support.finished_job import finished_job
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.worst_bodies import worst_bodies

# About 250 ms.
MOST_CALLS = 3_750_000
MOST_ANSWER_BYTES = 40_000
NAMES = tuple(worst_bodies(1024))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worst")
    app = create_app(Settings(volume=folder / "volume", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY))
    volume = Service.of(app).volume
    put_dataset(volume, learnable_frame())
    names = [f"column_{number:04d}_{'abcdefghij' * 18}"[:185] for number in range(4096)]
    put_dataset(volume, pd.DataFrame(np.zeros((3, 4096)), columns=names), "wide")
    client = authorized(app)
    client.job = finished_job(volume)
    client.most_bytes = Service.of(app).settings.max_job_bytes
    return client


def calls_of(act):
    count = [0]

    def see(_frame, event, _argument):
        count[0] += event in {"call", "c_call"}

    sys.setprofile(see)
    try:
        answer = act()
    finally:
        sys.setprofile(None)
    return count[0], answer


def check(client, path, body):
    client.post(path, data=body, content_type="application/json")
    count, answer = calls_of(lambda: client.post(path, data=body, content_type="application/json"))
    assert answer.status_code in {400, 422}, answer.data
    assert len(answer.data) < MOST_ANSWER_BYTES
    assert count < MOST_CALLS


@pytest.mark.parametrize("name", NAMES)
def test_the_worst_job_is_judged_within_a_bounded_amount_of_work(client, name):
    check(client, "/jobs?dry_run=true", worst_bodies(client.most_bytes)[name])


@pytest.mark.parametrize("route", ["/jobs/{}/replay", "/jobs/{}/extend", "/keys", "/webhooks"])
def test_the_worst_settings_are_judged_within_a_bounded_amount_of_work(client, route):
    for body in worst_bodies(SMALL_BODY_BYTES).values():
        check(client, route.format(client.job.id), body)


@pytest.mark.parametrize("route", ["/jobs/{}/replay", "/jobs/{}/extend"])
def test_a_job_that_is_not_there_is_404_before_its_body_is_judged(client, route):
    unknown = route.format("job_" + "0" * 26)
    answer = client.post(unknown, data=b'{"x', content_type="application/json")
    assert answer.status_code == 404


@pytest.mark.parametrize("route", ["/jobs/{}/replay", "/jobs/{}/extend", "/keys", "/webhooks"])
def test_a_body_of_settings_is_small(client, route):
    answer = client.post(
        route.format(client.job.id), data=b" " * (SMALL_BODY_BYTES + 1), content_type="application/json"
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("parameter", ["f{}=1", "status=x{}", "metadata.k{}=1"])
def test_the_worst_query_is_judged_within_a_bounded_amount_of_work(client, parameter):
    query = "&".join(parameter.format(number) for number in range(900))
    count, answer = calls_of(lambda: client.get(f"/jobs?{query}"))
    assert (count < MOST_CALLS, len(answer.data) < MOST_ANSWER_BYTES) == (True, True)
