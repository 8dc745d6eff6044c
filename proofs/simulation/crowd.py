"""A queue of narrow and wide jobs that is never empty: does a job on several devices ever wait longer than its turn?

There are no faults, and one project and priority. Jobs arrive faster than the workers train them. A quarter of them
need two devices, which one of the workers has, in one slot or in two together.
"""

import shutil
from functools import partial
from pathlib import Path
from random import Random

from proofs.simulation.kernel import Machine
from proofs.simulation.machinery import Disk, World
from proofs.simulation.world import SETTINGS, Play, run_play
from shared.job import JobRecord
from shared.project import DEFAULT_PROJECT
from shared.settings import Settings

_JOBS = 24
_SECONDS_BETWEEN_JOBS = 1.5


class Crowd(Play):
    """The queue and its workers: the second machine has one slot of two devices, or two slots of one."""

    def __init__(self, chance: Random, root: Path) -> None:
        super().__init__(chance, root, SETTINGS)
        World.disk = Disk(0.1, 0.005)
        self.batches, self.batch_seconds, self.share_saved = 3, 2.0, 0.0
        self._devices: dict[str, int] = {}
        self._has_two_slots = chance.random() < 0.5

    def settings_of(self, machine: Machine) -> Settings:
        field = "slots" if self._has_two_slots else "slot_devices"
        return SETTINGS.model_copy(update={field: self._devices_of(machine)})

    def plan(self) -> None:
        for number in range(_JOBS):
            job_id = f"job_{number + 1:026}"
            self._devices[job_id] = 2 if number and self.chance.random() < 0.25 else 1
            self.kernel.at(number * _SECONDS_BETWEEN_JOBS, partial(self._in_the_api, self._post, job_id))

    def new_record(self, job_id: str) -> JobRecord:
        record = super().new_record(job_id)
        hyperparameters = record.data_spec.hyperparameters.model_copy(update={"devices": self._devices[job_id]})
        spec = record.data_spec.model_copy(update={"priority": 5, "hyperparameters": hyperparameters})
        return record.model_copy(update={"spec": spec, "project": DEFAULT_PROJECT})

    def overtaken(self) -> list[str]:
        """Each wide job that its machine passed over for jobs that were posted later, and how many they were."""
        trained = [(trainer.job, self._devices_of(trainer.process.machine)) for trainer in self.eye.trainers]
        order = [job for job, _ in trained]
        found = []
        for wide in (job for job, devices in self._devices.items() if devices > 1):
            before = trained[: order.index(wide)] if wide in order else trained
            later = [job for job, devices in before if devices > 1 and job > wide]
            if later or wide not in order:
                found.append(f"{wide} was overtaken by {len(later)}")
        return found

    def _devices_of(self, machine: Machine) -> int:
        return 1 + int(machine.name[-1]) % 2


def run_crowd(seed: int, root: Path) -> list[str]:
    """Return what went wrong in the crowd of `seed`, below `root`, which is emptied. Only inside `simulated()`."""
    shutil.rmtree(root, ignore_errors=True)
    crowd = Crowd(Random(seed), root)
    run_play(crowd)
    return [*crowd.eye.broken, *crowd.kernel.troubles, *crowd.overtaken()]
