"""`python -m worker.training <attempt folder>`: train one attempt, by hand or as a worker's child.

Exit status: 0 if `conclusion.json` says how the run ended, else one of `worker.ipc.exit_statuses`. The worker reads the
file first: the status counts only without one.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from shared.job_folder import AttemptFolder
from shared.processes import this_process
from shared.settings import read_settings
from shared.storage import classify_storage_error, is_storage_error
from worker.ipc import pulse
from worker.ipc.exit_statuses import STATUS_OF_STORAGE, SUPERSEDED
from worker.training.errors import Superseded
from worker.training.hashing import do_nothing
from worker.training.heartbeat_watchdog import HeartbeatWatchdog
from worker.training.stop_requests import StopRequests

log = logging.getLogger("worker.training")


def main(arguments: list[str], begin_thread: Callable[[], None] = do_nothing) -> int:
    """Train the attempt in the folder that `arguments` names.

    `begin_thread` starts a thread of the caller. It is called after a program has been confined, because confinement
    does not apply to threads that exist already.
    """
    if len(arguments) != 1 or not arguments[0].rstrip("/").rpartition("/")[2].isdecimal():
        sys.stderr.write("usage: python -m worker.training <volume>/jobs/<aa>/<job id>/attempts/<n>\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    folder = Path(arguments[0]).resolve()
    attempt = AttemptFolder(folder, int(folder.name))
    settings = read_settings()
    try:
        stop_requests = StopRequests(attempt, settings.self_stop_seconds)
        stop_requests.listen()
        if (process := this_process()) is not None:
            attempt.name_process(process)
        # Imported only now, so that a request to stop counts during the seconds in which TensorFlow is imported.
        from worker.training.program.prepared_script import prepare_script
        from worker.training.run import run

        # Nothing of the job has been read yet: a process that fails before this pulse shows a fault of the worker.
        pulse.send(pulse.Pulse(settings.first_batch_seconds, "0:0"))
        script = prepare_script(attempt, settings, stop_requests.check)
        begin_thread()
        with HeartbeatWatchdog(attempt, settings):
            attempt.conclude(run(attempt, stop_requests, settings, script))
    except Superseded as superseded:
        log.warning("the run ends and writes nothing more: %s", superseded)
        return SUPERSEDED
    except OSError as error:
        if not is_storage_error(error):
            raise
        log.exception("the run's conclusion could not be written")
        return STATUS_OF_STORAGE[classify_storage_error(error, attempt.volume_root)]
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
