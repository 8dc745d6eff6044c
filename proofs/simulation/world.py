"""One complete random schedule of a small world: workers, their children, the API and the faults, from one seed.

The workers are the product's own: `Worker`, `Sweeper`, `AttemptRun`, `Heartbeat`, `StopRequests`, `HeartbeatWatchdog`
and everything below them. Redis (`SimulatedQueue`), the training (`Child`: batches are waits) and the machines are
simulated.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import api.jobs.end
from proofs.simulation.eye import Eye, Trainer
from proofs.simulation.job_queue import SimulatedQueue
from proofs.simulation.kernel import Kernel, Killed, Machine, Process
from proofs.simulation.machinery import Disk, World, this_process
from shared.durable import make_folder, replace_file
from shared.events import Event, EventWriter
from shared.job import Conclusion, Ending, JobRecord, Stop
from shared.job_folder import AttemptFolder
from shared.open_job import OpenJob
from shared.points import place_of, point_name, points_of
from shared.project import DEFAULT_PROJECT
from shared.settings import Settings
from shared.volume import Volume
from tests.unit.shared.records import record
from worker.ipc.exit_statuses import SUPERSEDED
from worker.ipc.pulse import Pulse
from worker.supervisor.slots import Worker
from worker.training.errors import Superseded, TrainingStopped
from worker.training.heartbeat_watchdog import HeartbeatWatchdog
from worker.training.stop_requests import StopRequests

# No back-off: the pause before the next attempt would hide a trainer that lives too long.
SETTINGS = Settings(retry_backoff_seconds=0, volume_reserve_bytes=1)
# Faults come in the first FAULT_SECONDS. Every job must have its result within QUIET_SECONDS after them.
FAULT_SECONDS = 30.0
QUIET_SECONDS = 900.0

_RECORD = record()


@dataclass
class Outcome:
    """`broken`: which promise was broken and when; None if all were kept."""

    seed: int
    broken: str | None = None
    counts: Counter[str] = field(default_factory=Counter)


def run_world(
    seed: int,
    root: Path,
    settings: Settings = SETTINGS,
    tell: Callable[[str], None] | None = None,
    kind: "type[Play] | None" = None,
) -> Outcome:
    """Run the world of `seed` below `root`, which is emptied. Only inside `simulated()`.

    `tell` is called with every change to the volume and every fault.
    """
    shutil.rmtree(root, ignore_errors=True)
    play = (kind or Play)(Random(seed), root, settings)
    play.eye.tell = tell
    run_play(play)
    broken = [*play.eye.broken, *play.kernel.troubles]
    return Outcome(seed, broken[0] if broken else None, play.counts)


def run_play(play: "Play") -> None:
    """Run a play from its beginning to its verdict."""
    World.thread, World.is_on = threading.get_ident(), True
    try:
        play.run()
    finally:
        World.is_on = False


class Play:
    """The processes of a world, and what happens to them when."""

    def __init__(self, chance: Random, root: Path, settings: Settings) -> None:
        self.chance = chance
        self.counts: Counter[str] = Counter()
        self.kernel = World.kernel = Kernel(chance)
        self.volume = World.volume = Volume(root)
        self.settings = settings.model_copy(update={"max_losses": chance.choice([1, 2, 3, settings.max_losses])})
        self.eye = World.eye = Eye(str(root), lambda: self.kernel.now)
        World.disk = Disk(chance.choice([0.1, 0.3, 1.0]), chance.choice([0.005, 0.1, 1.0]))
        self.job_queue = SimulatedQueue(self.kernel)
        self.batches, self.batch_seconds = chance.choice([(4, 1.0), (3, 8.0), (12, 8.0), (3, 30.0)])
        self.share_saved, self.share_orphaned = chance.choice([0.0, 0.5, 1.0]), chance.choice([0.0, 0.0, 0.3])
        self._machines = [Machine(f"machine {number}", chance) for number in range(chance.randint(2, 3))]
        self._workers = [Process(f"the worker on {machine.name}", machine) for machine in self._machines]
        self._api = Process("the API", Machine("machine of the API", chance))
        self._is_over = False

    def run(self) -> None:
        """Run the world from its beginning to its verdict."""
        for worker in self._workers:
            self.kernel.begin(worker, self._work, worker)
        self.plan()
        self.kernel.at(2, self._supervise)
        self.kernel.go_on_while(lambda: not (self._is_over or self.eye.broken or self.kernel.troubles))
        for machine in self._machines:
            for process in machine.processes:
                self.kernel.kill(process)
        self.kernel.kill(self._api)
        self.kernel.bury()
        if self._is_over and not self.eye.broken:
            volume = self.verdict_volume()
            self.eye.judges_the_end(volume, self.settings)
            self._count_ends(volume)
        self.counts["simulated seconds"] += round(self.kernel.now)

    def plan(self) -> None:
        """Plan jobs and faults."""
        for number in range(self.chance.randint(1, 3)):
            self._plan_a_job(number)
        for _ in range(self.chance.randint(1, 7)):
            self.kernel.at(self.chance.uniform(0, FAULT_SECONDS), self._fault())

    def settings_of(self, _machine: Machine) -> Settings:
        """The settings of the worker on a machine."""
        return self.settings

    def verdict_volume(self) -> Volume:
        """The volume to judge at the end."""
        return self.volume

    def _count_ends(self, volume: Volume) -> None:
        for job_id in self.eye.posted:
            for attempt in volume.job_folder(job_id).attempts():
                end = attempt.end()
                self.counts[f"attempts {end.outcome if end else 'left open by a cancel'}"] += 1
                self.counts["attempts whose worker was seen to be gone"] += "ended without a report" in str(end)

    def _supervise(self) -> None:
        """Restart what has ended, and check whether all is quiet."""
        self._workers = [self._again(worker, self._work) for worker in self._workers]
        self._api = self._again(self._api, self._keep_api)
        now = self.kernel.now
        if now > FAULT_SECONDS:
            for process in self._everybody():
                process.armed.clear()
            self._is_over = self._all_is_quiet() or now > FAULT_SECONDS + QUIET_SECONDS
        self.kernel.at(now + 2, self._supervise)

    def _again(self, process: Process, work: Callable[[Process], None]) -> Process:
        if process.is_alive or self.chance.random() < 0.5:
            return process
        fresh = Process(process.name, process.machine)
        self.kernel.begin(fresh, work, fresh)
        return fresh

    def _all_is_quiet(self) -> bool:
        jobs = [job for job_id in self.volume.job_ids() if (job := self.volume.job(job_id)) is not None]
        marked = [one for one in self.volume.open_jobs() if self.volume.job(one.job_id) is not None]
        training = [trainer for trainer in self.eye.trainers if trainer.process.is_alive]
        return not marked and not training and all(job.result_file.exists() for job in jobs)

    # The worker

    def _work(self, process: Process) -> None:
        """Run a worker. Without a bucket, `worker.supervisor.main` does nothing before it has a volume."""
        self._run_worker(process, self.volume)

    def nursery(self, process: Process) -> "Nursery":
        return Nursery(self, process)

    def _keep_api(self, process: Process) -> None:
        """Do nothing: without a bucket, the API does nothing beside its requests."""

    def _run_worker(self, process: Process, volume: Volume) -> None:
        """Run a worker as `worker.supervisor.main` and Celery do."""
        settings = self.settings_of(process.machine)
        worker = Worker(settings, volume, self.job_queue, self.nursery(process))  # type: ignore[arg-type]
        process.drain = worker.drain.set
        worker.begin()
        for _ in range(settings.slots - 1):
            self.kernel.begin(process, self._serve, worker)
        self._serve(worker)
        with suppress(OSError):  # its card stays, but decides nothing
            worker.end()
        self.kernel.exit(process, 0)

    def _serve(self, worker: Worker) -> None:
        """Run one of Celery's threads."""
        while not worker.drain.is_set():
            if worker.may_take() and self.job_queue.take():
                worker.run_next()
            else:
                self.kernel.wait(self.job_queue.notified, 1.0)

    # The client, through what the API does

    def _plan_a_job(self, number: int) -> None:
        job_id = f"job_{number + 1:026}"
        begin = self.chance.choice([0.0, self.chance.uniform(0, FAULT_SECONDS)])
        self.kernel.at(begin, lambda: self._in_the_api(self._post, job_id))
        if self.chance.random() < 0.4:
            moment = begin + self.chance.choice([self.chance.uniform(0, 3), self.chance.uniform(0, 60)])
            self.kernel.at(moment, lambda: self._in_the_api(self._cancel, job_id))

    def _in_the_api(self, act: Callable[[str], None], job_id: str) -> None:
        if self._api.is_alive:
            self.kernel.begin(self._api, self._answer, act, job_id)

    def _answer(self, act: Callable[[str], None], job_id: str) -> None:
        try:
            act(job_id)
        except OSError:
            self.counts["requests that the volume refused"] += 1

    def new_record(self, job_id: str) -> JobRecord:
        """A job with that id."""
        spec = _RECORD.spec.model_copy(update={"priority": self.chance.randint(0, 1)})
        project = self.chance.choice([DEFAULT_PROJECT, "other"])
        return _RECORD.model_copy(update={"id": job_id, "spec": spec, "project": project})

    def _post(self, job_id: str) -> None:
        self.volume.store_job(self.new_record(job_id))
        self.eye.posted.append(job_id)
        self.counts["jobs"] += 1
        self.job_queue.notify(job_id)

    def _cancel(self, job_id: str) -> None:
        job = self.volume.job(job_id)
        if job is None or job.result() is not None:
            return
        self.counts["cancels"] += 1
        job.request_cancel()
        state = job.state()
        if state is not None and api.jobs.end.settle_if_decided(job, state):
            self.volume.close_job(OpenJob.of(state.record))

    # The faults

    def _fault(self) -> Callable[[], None]:
        """Draw one fault now, and return the function that causes it."""
        name, fault = self.chance.choice(self.faults())

        def act() -> None:
            self.counts[name] += 1
            self.eye.notes(f"fault: {name}")
            fault()

        return act

    def faults(self) -> list[tuple[str, Callable[[], None]]]:
        """The possible faults, by name."""
        return [
            ("killed", lambda: self._arm(self._someone(), self.kernel.kill)),
            ("frozen", lambda: self._arm(self._someone(), self._freeze)),
            ("worker frozen", lambda: self._arm(self._some_worker(), self._freeze)),
            ("machine frozen", lambda: self._arm(self._some_worker(), self._freeze_with_children)),
            ("volume slow for one operation", lambda: self._arm(self._someone(), self._hold_up)),
            ("volume hangs for a machine", self._hang),
            ("volume fails for a machine", self._fail),
            ("worker drained", lambda: self._some_worker().drain()),
            ("Redis flushed and away", self._flush),
        ]

    def _seconds(self) -> float:
        """Draw a number of seconds: around 20 s and 30 s, the protocol's own times, or short."""
        return self.chance.choice(
            [self.chance.uniform(0, 10), self.chance.uniform(10, 40), self.chance.uniform(30, 70)]
        )

    def _some_worker(self) -> Process:
        """Choose a worker, mostly one that runs a job."""
        busy = [worker for worker in self._workers if _living_children(worker)]
        return self.chance.choice(busy if busy and self.chance.random() < 0.8 else self._workers)

    def _someone(self) -> Process:
        worker = self._some_worker()
        return self.chance.choice([worker, worker, *_living_children(worker), self._api])

    def _everybody(self) -> list[Process]:
        children = [child for worker in self._workers for child in _living_children(worker)]
        return [*self._workers, *children, self._api]

    def _arm(self, process: Process, act: Callable[[Process], None]) -> None:
        operations = self.chance.choice([1, self.chance.randint(1, 20), self.chance.randint(1, 150)])

        def strike() -> None:
            self.eye.notes(f"{act.__name__.strip('_')}: {process.name}")
            act(process)

        process.arm(operations, strike)

    def _freeze(self, process: Process) -> None:
        self.kernel.freeze(process, self._seconds())

    def _freeze_with_children(self, process: Process) -> None:
        seconds = self._seconds()
        for one in (process, *process.children):
            self.kernel.freeze(one, seconds)

    def _hold_up(self, _: Process) -> None:
        self.kernel.pause(self._seconds())

    def _hang(self) -> None:
        self._some_worker().machine.hangs_until = self.kernel.now + self._seconds()

    def _fail(self) -> None:
        machine = self.chance.choice([*self._workers, self._api]).machine
        machine.fails_until = self.kernel.now + self._seconds()

    def _flush(self) -> None:
        self.job_queue.notifications = 0
        self.job_queue.away_until = self.kernel.now + self._seconds()


def _living_children(worker: Process) -> list[Process]:
    return [child for child in worker.children if child.is_alive]


class Nursery:
    """Simulates `worker.supervisor.nursery.Nursery`."""

    child_start = "forkserver"
    sickness = ""
    is_beyond_help = False

    def __init__(self, play: Play, worker: Process) -> None:
        self._play = play
        self._worker = worker

    def take(self, _drain: object) -> "Child":
        return Child(self._play, self._worker)

    def put_back(self, _child: "Child") -> None:
        """Do nothing, because the child has no process yet."""

    def distrust(self, _reason: str) -> None:
        """Do nothing, because every child is equally good."""

    def forget_programs(self) -> None:
        """Do nothing, because nothing is compiled here."""


class Child:
    """Simulates `worker.supervisor.child.Child` and its training program: the product's own checks, sham batches."""

    def __init__(self, play: Play, worker: Process) -> None:
        self._play = play
        self._kernel = play.kernel
        self._worker = worker
        self._pulse: Pulse | None = None
        self._requests: StopRequests | None = None

    def begin(self, attempt: AttemptFolder, _environment: object) -> None:
        self._attempt = attempt
        self._process = Process(f"the child for {attempt.job.id}, attempt {attempt.number}", self._worker.machine)
        self._process.is_orphan = self._play.chance.random() < self._play.share_orphaned
        self._worker.children.append(self._process)
        self._play.counts["attempts"] += 1
        self._kernel.begin(self._process, self._live)

    # The worker's side

    pid = 1

    def newest_pulse(self) -> Pulse | None:
        return self._pulse

    def has_ended(self, within_seconds: float) -> bool:
        if self._process.is_alive:
            self._kernel.wait(self._process.ended, self._kernel.true_seconds(within_seconds))
        return not self._process.is_alive

    def ask_to_stop(self) -> None:
        if self._requests is not None:
            self._requests._on_terminate(15, None)

    def kill(self) -> None:
        self._kernel.kill(self._process)

    kill_and_keep_stacks = kill

    def exit_code(self) -> int | None:
        return self._process.exit_code

    def close(self) -> None:
        return

    # The training program

    def _live(self) -> None:
        try:
            self._attempt.name_process(this_process())
            with HeartbeatWatchdog(self._attempt, self._play.settings, self._give_way):
                self._train()
            code = 0
        except Superseded:
            self._play.counts["trainers that stopped by themselves"] += 1
            code = SUPERSEDED
        except OSError:
            code = 4
        self._kernel.exit(self._process, code)

    def _give_way(self) -> None:
        self._play.counts["trainers that were ended inside a batch"] += 1
        self._kernel.exit(self._process, SUPERSEDED)
        raise Killed

    def _train(self) -> None:
        trainer = Trainer(self._attempt.job.id, self._attempt.number, self._process)
        self._play.eye.starts(trainer, str(self._attempt.path))
        self._requests = StopRequests(self._attempt, self._play.settings.self_stop_seconds)
        self._pulse = Pulse(60.0, "0:0")
        try:
            with EventWriter(self._attempt.events_file) as events:
                for epoch in range(self._resume(events) + 1, self._play.batches + 1):
                    self._look(trainer)
                    self._batch(trainer, epoch)
                    events.write([Event("epoch", "", {"epoch": epoch})])
                    self._save(epoch)
            self._look(trainer)
        except TrainingStopped as stopped:
            cancelled = Ending(status="cancelled", stop=Stop(reason="cancelled"))
            ending = cancelled if stopped.reason == "cancelled" else None
        else:
            trainer.has_trained_to_the_end = True
            ending = Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=self._play.batches))
        self._attempt.conclude(Conclusion(ending=ending, may_retry=ending is None))

    def _resume(self, events: EventWriter) -> int:
        """Return the number of whole epochs after which the run resumes."""
        earlier = [one for one in self._attempt.job.attempts() if one.number < self._attempt.number]
        found = next((one for one in reversed(earlier) if points_of(one)), None)
        if found is None:
            return 0
        start = place_of(points_of(found)[0]).epochs
        events.write([Event("resume", "", {"epoch": start + 1, "batch": 0, "from_attempt": found.number})])
        return start

    def _save(self, epoch: int) -> None:
        if self._kernel.chance.random() < self._play.share_saved:
            make_folder(self._attempt.resume)
            replace_file(self._attempt.resume / point_name(epoch, 0), b"")
            self._play.counts["resume points"] += 1

    def _look(self, trainer: Trainer) -> None:
        trainer.looks()
        assert self._requests is not None
        self._requests.check()

    def _batch(self, trainer: Trainer, number: int) -> None:
        self._play.eye.begins_a_batch(trainer)
        self._play.counts["batches"] += 1
        self._kernel.sleep(self._kernel.chance.uniform(0.3, 1.0) * self._play.batch_seconds)
        trainer.looks()
        self._pulse = Pulse(60.0, f"0:{number}")
