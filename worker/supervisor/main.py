"""Starts a worker: reads the settings, waits for the volume, warms up the fork server, and serves the queue."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from shared.child_environment import leave_for_training
from shared.durable import check_links
from shared.mirror.opening import Looking, bring_marker
from shared.processes import hide_memory
from shared.queue import JobQueue, OwnQueue, RedisQueue, make_celery
from shared.settings import BadEnvironment, Settings, read_settings
from shared.store.interface import StoreError
from shared.volume import Volume
from shared.volume_identity import is_volume
from worker.machine.cards import visible_cards
from worker.machine.device import DeviceUnusable, device_name
from worker.machine.trial import try_training
from worker.supervisor.bucket import open_bucket_folder
from worker.supervisor.celery_worker import serve
from worker.supervisor.idle import run_hook
from worker.supervisor.nursery import NoChildren, Nursery
from worker.supervisor.own_loop import serve_alone
from worker.supervisor.programs import explain_no_programs
from worker.supervisor.slots import Leaving, Worker

_LOOK_SECONDS = 0.5

log = logging.getLogger("worker")


def main() -> int:
    """Run a worker until it is asked to end.

    Exit status 0 after a drain, on request or because the worker was idle; 1 if it must be restarted, because its
    device has disappeared, no training process can be started, or the hook did not stop the machine; 2 if it could not
    start. A worker whose GPU fails to train keeps running, takes no job, and reports the problem on its card.
    """
    try:
        settings = read_settings()
    except BadEnvironment as error:
        sys.stderr.write(f"{error}\n")
        return 2
    hide_memory()
    os.umask(int(settings.umask, 8))
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # A complete copy for the hook: a command that stops a rented machine needs the token of its provider.
    environment = dict(os.environ)
    leave_for_training(os.environ)
    nursery = Nursery(settings)
    try:
        return _work(settings, nursery, environment)
    finally:
        nursery.end()


def _work(settings: Settings, nursery: Nursery, environment: Mapping[str, str]) -> int:
    # Until the queue installs its own handler, because waiting for the volume and warming up can take long.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        looking, root = open_bucket_folder(settings, environment)
        _wait_for_volume(root, settings.bucket, looking)
        volume = Volume(root)
        check_links(volume.root)
        job_queue, serve_jobs = _choose_queue(settings)
        if looking is not None:
            looking.begin(lambda job_ids: job_queue.notify(*job_ids))
        worker = Worker(settings, volume, job_queue, nursery)
        _prepare(worker, nursery, settings)
    except (OSError, NoChildren, DeviceUnusable) as error:
        log.error("the worker cannot start: %s", error)
        return 2
    nursery.begin()
    serve_jobs(worker)
    if looking is not None:
        looking.end()
    return _status_after(worker.leaving, settings, environment)


def _choose_queue(settings: Settings) -> tuple[JobQueue, Callable[[Worker], None]]:
    """The queue, and a function that runs a worker's jobs from it until the process is asked to end."""
    if settings.redis_address is None:
        own_queue = OwnQueue(settings.slots)
        return own_queue, lambda worker: serve_alone(own_queue, worker, settings.slots)
    app = make_celery(settings)
    return RedisQueue(app), lambda worker: serve(app, worker, settings)


def _wait_for_volume(root: Path, bucket: str, looking: Looking | None) -> None:
    """Wait until a volume is mounted, or the API has created one. A worker could create one in an empty mount point."""
    if not is_volume(root):
        place, how = (bucket, "") if bucket else (root, "it is mounted, or until ")
        log.warning("there is no Fitstop volume at %s; waiting until %sthe API has made it", place, how)
    while not is_volume(root):
        time.sleep(_LOOK_SECONDS)
        if looking is not None:
            with suppress(StoreError):
                bring_marker(looking.mirror)


def _prepare(worker: Worker, nursery: Nursery, settings: Settings) -> None:
    """Warm up, and check whether the device can train. Meanwhile the card shows the worker as starting."""
    try:
        worker.appear()
        log.info("warming up: the fork server imports Keras")
        with ThreadPoolExecutor(1) as beside:
            no_programs = beside.submit(explain_no_programs, settings.allow_code)
            nursery.warm_up()
        worker.no_programs = no_programs.result()
        worker.unfit = _why_unfit(worker, nursery)
        worker.device, worker.slots.cards = device_name(), visible_cards()
        worker.unfit = worker.unfit or _why_too_narrow(worker.slots.cards, settings.slot_devices)
    except BaseException:
        worker.end()
        raise


def _why_unfit(worker: Worker, nursery: Nursery) -> str:
    """Why no job can train on this machine's GPU; empty if jobs can, or if they train on the CPU."""
    gpu = device_name()
    if gpu.startswith("CPU"):
        return ""
    log.info("trying the GPU; the first time on a new kind can take minutes")
    try:
        if not nursery.can_use_gpu():
            log.error("this is the CPU build of TensorFlow: jobs train on the CPU, and the %s is idle", gpu)
            worker.idle_gpu = gpu
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
            return ""
    except NoChildren as error:
        return str(error)
    failure = try_training("GPU").failure
    return f"its GPU failed to train two small models ({failure}); `fitstop doctor` there says more" if failure else ""


def _why_too_narrow(cards: Sequence[str], slot_devices: int) -> str:
    """Why a slot cannot have `slot_devices` devices; empty if it can. A CPU is divided into any number of devices."""
    if not cards or slot_devices <= len(cards):
        return ""
    return f"FITSTOP_SLOT_DEVICES={slot_devices} is more than the {len(cards)} GPUs that this worker sees"


def _status_after(leaving: Leaving | None, settings: Settings, environment: Mapping[str, str]) -> int:
    if leaving in {Leaving.DEVICE_GONE, Leaving.SICK}:
        return 1
    if leaving is Leaving.IDLE and settings.idle_hook:
        return 0 if run_hook(settings.idle_hook, environment) else 1
    return 0
