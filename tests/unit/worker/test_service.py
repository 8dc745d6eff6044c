"""A worker's own process, without Celery."""

import shutil

from shared.settings import Settings
from tests.unit.shared.records import posted
from worker.service import Worker


class Bell:
    def __init__(self):
        self.rung = []

    def ring(self, job_id):
        self.rung.append(job_id)
        return True

    def unheard(self):
        return None


class EmptyNursery:
    def start(self, _attempt, _environment):
        raise OSError("no process can be started")


def test_a_card_that_cannot_be_written_keeps_no_attempt_from_its_beginning_and_its_end(volume):
    job = posted(volume)
    bell = Bell()
    worker = Worker(Settings(retry_backoff_seconds=0), volume, bell, EmptyNursery())
    shutil.rmtree(volume.workers)
    worker.begin()
    worker.run_next()
    worker._gone.set()
    (attempt,) = job.attempts()
    assert attempt.end().error.code == "no_child"
    assert job.id in bell.rung
