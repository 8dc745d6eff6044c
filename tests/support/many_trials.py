"""A sweep with thousands of ended trials, copied from one, because making each would take minutes."""

import shutil
from pathlib import Path
from random import Random

from shared.ids import new_job_id
from shared.sweep.folder import SweepFolder, TrialRecord
from shared.times import utc_now
from shared.volume import Volume
from tests.support.past_sweeps import LAYERS, RATE, bare_sweep, end_trial, propose

_VALUE = 0.712345


def many_trials(
    volume: Volume, count: int, *, has_ended: bool = False, is_first_open: bool = False, seed: int = 1
) -> SweepFolder:
    """A sweep with `count` ended trials; with `is_first_open` the first one waits. The volume has the dataset."""
    folder, chance = bare_sweep(volume, trials=2 * count), Random(seed)
    if is_first_open:
        propose(volume, folder, 1)
    model = 2 if is_first_open else 1
    end_trial(volume, folder, model, _VALUE, "epochs_completed")
    first = folder.trial(model)
    assert first is not None
    for number in range(model + 1, count + 1):
        job = new_job_id()
        parameters = {RATE: 10 ** chance.uniform(-3, -1), LAYERS: chance.choice([[4], [8], [8, 8]])}
        folder.propose(TrialRecord(number=number, parameters=parameters, job=job, proposed_at=utc_now()))
        source = volume.job_folder(first.job).path
        changes = {
            first.job: job,
            str(_VALUE): f"{chance.uniform(0.4, 0.9):.6f}",
            f'"trial":{model}}}': f'"trial":{number}}}',
        }
        _copy(source, volume.job_folder(job).path, changes)
    if has_ended:
        folder.end("completed", f"all {count} trials have ended")
    return folder


def _copy(source: Path, target: Path, changes: dict[str, str]) -> None:
    """Copy a folder, and replace texts in its files (`changes`)."""
    shutil.copytree(source, target, copy_function=lambda one, other: _copy_file(Path(one), Path(other), changes))


def _copy_file(source: Path, target: Path, changes: dict[str, str]) -> None:
    text = source.read_text()
    for before, after in changes.items():
        text = text.replace(before, after)
    target.write_text(text)
