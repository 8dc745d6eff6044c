"""The queue: with a real Redis, and without one."""

import json
import time

import pytest

from shared.queue import MOST_PENDING, QUEUE, TASK, OwnQueue, RedisQueue, make_celery
from shared.settings import read_settings
from tests.support.redis import free_port, redis_program, running_redis


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    if redis_program() is None:
        pytest.skip("there is no redis-server here")
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def queue_at(url):
    return RedisQueue(make_celery(read_settings({"FITSTOP_REDIS_URL": url})))


def test_a_notification_waits_in_redis_as_json_with_the_id_as_its_only_word(redis_server):
    job_queue = queue_at(redis_server.url)
    before = job_queue.count_pending()
    assert job_queue.notify("job_1")
    assert job_queue.count_pending() == before + 1
    with redis_server.client() as client:
        message = json.loads(client.lindex(QUEUE, 0))
    assert message["headers"]["task"] == TASK
    assert message["content-type"] == "application/json"
    assert json.loads(message["headers"]["argsrepr"].replace("'", '"')) == ["job_1"]


def test_several_jobs_are_announced_at_once(redis_server):
    job_queue = queue_at(redis_server.url)
    before = job_queue.count_pending()
    assert job_queue.notify("job_1", "job_2", "job_3")
    assert job_queue.count_pending() == before + 3


def test_where_enough_notifications_wait_no_more_are_sent(redis_server):
    job_queue = queue_at(redis_server.url)
    assert job_queue.notify(*(f"job_{number}" for number in range(2 * MOST_PENDING)))
    assert job_queue.notify("job_1")
    assert job_queue.count_pending() == MOST_PENDING


def test_no_notification_leaves_a_result_behind(redis_server):
    queue_at(redis_server.url).notify("job_1")
    with redis_server.client() as client:
        assert not list(client.scan_iter("celery-task-meta*"))


def test_where_redis_is_away_ringing_says_so_within_seconds_and_raises_nothing():
    job_queue = queue_at(f"redis://127.0.0.1:{free_port()}/0")
    began = time.monotonic()
    assert job_queue.notify("job_1") is False
    assert job_queue.count_pending() is None
    assert time.monotonic() - began < 80


def test_notifications_work_again_when_redis_is_back(tmp_path):
    if redis_program() is None:
        pytest.skip("there is no redis-server here")
    with running_redis(tmp_path) as server:
        job_queue = queue_at(server.url)
        assert job_queue.notify("job_1")
        server.kill()
        assert not job_queue.notify("job_2")
        server.start()
        assert job_queue.notify("job_3")
        assert job_queue.count_pending() == 1


def test_a_notification_is_acknowledged_early_and_answers_nowhere():
    conf = make_celery(read_settings({})).conf
    # With late acknowledgement Redis hands a long job to a second worker while the first still runs it.
    assert not conf.task_acks_late
    assert conf.result_backend is None
    assert conf.accept_content == ["json"]
    assert conf.worker_prefetch_multiplier == 1
    assert not conf.worker_cancel_long_running_tasks_on_connection_loss


def test_without_redis_one_notification_waits_for_each_slot():
    own_queue = OwnQueue(slots=2)
    assert own_queue.notify("job_1", "job_2", "job_3")
    assert own_queue.notify("job_4")
    assert own_queue.count_pending() == 2
    own_queue.end()
    assert [own_queue.receive() for _ in range(4)] == ["job_1", "job_2", None, None]


def test_an_api_without_redis_notifies_nobody():
    own_queue = OwnQueue(slots=0)
    assert own_queue.notify("job_1")
    assert own_queue.count_pending() == 0


def test_there_is_no_celery_without_redis():
    with pytest.raises(ValueError, match="no Redis"):
        make_celery(read_settings({"FITSTOP_REDIS_URL": "none"}))
