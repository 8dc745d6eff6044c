"""The start of a worker: settings, volume, a fork server that is warm, and only then the doorbell."""

import logging
import os
import sys

from shared.queue import Doorbell, make_celery
from shared.settings import BadEnvironment, read_settings
from shared.volume import Volume
from worker.celery_worker import serve
from worker.child import NoChildren, Nursery
from worker.device import device_name
from worker.service import Worker

log = logging.getLogger("worker")


def main() -> int:
    """Run a worker until it is asked to end. Exit status 0 after a drain, 2 where it could not start."""
    try:
        settings = read_settings()
    except BadEnvironment as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        volume = Volume(settings.volume.resolve())
        nursery = Nursery(settings)
        log.info("warming up: the fork server imports Keras")
        nursery.warm_up()
        if not device_name().startswith("CPU") and not nursery.can_use_gpu():
            log.warning("this TensorFlow is built for the CPU alone: jobs train on the CPU, and the GPU stays idle")
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    except (OSError, NoChildren) as error:
        log.error("the worker cannot start: %s", error)
        return 2
    app = make_celery(settings)
    serve(app, Worker(settings, volume, Doorbell(app), nursery), settings)
    return 0
