"""Any worker can advance a sweep: nothing is lost, doubled or proposed twice, wherever a worker dies."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from shared.document import read_document
from shared.job import Claim, Ending, JobError
from shared.job_folder import JobFolder
from shared.job_share import read_share, shares_folder
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.spec import Budget
from shared.sweep.folder import Extension, Share, Shares, SweepFolder
from shared.sweep.proposal import propose
from shared.sweep.spec import SweepSpec
from shared.sweep.state import SweepState, read_state
from shared.times import time_in, utc_now
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.epochs import epoch, tell
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.sweeps import DeafQueue, put_sweep, train
from tests.unit.shared.crash import dying_at
from worker.supervisor.sweeps import SweepRunner

RATE = "/hyperparameters/learning_rate"


@pytest.fixture
def volume(machines: Machines) -> Volume:
    volume = machines.volume
    put_dataset(volume, learnable_frame())
    machines.upload(volume.dataset_folder("grades"))
    return volume


def runner(volume: Volume, **settings: Any) -> SweepRunner:
    return SweepRunner(volume, DeafQueue(), Settings(**settings))  # type: ignore[arg-type]


def state_of(volume: Volume, folder: SweepFolder) -> SweepState:
    state = read_state(volume, folder.id)
    assert state is not None
    return state


def accuracy(parameters: dict[str, Any]) -> float:
    """Return an accuracy with its maximum at a rate of 0.01."""
    return 0.9 - abs(math.log10(parameters[RATE]) + 2) / 5


def finish(machines: Machines, state: SweepState, chance: random.Random) -> None:
    """End one of the trials that have a queued job, at random."""
    waiting = [trial for trial in state.trials if trial.status == "queued"]
    if waiting:
        trial = chance.choice(waiting)
        attempt = train(machines.volume.job_folder(trial.job), 0.3, accuracy(trial.parameters))
        machines.upload(attempt.path)


def run_to_end(machines: Machines, folder: SweepFolder, *, seed: int = 0, dies: bool = False) -> SweepState:
    """Let workers look and trials end in turn; if `dies`, half of the looks may die at a change to the disk."""
    chance, volumes = random.Random(seed), [machines.add(), machines.add()]
    runners = [runner(one) for one in volumes]
    for _ in range(500):
        which = chance.randrange(2)
        machines.look(volumes[which])
        change = chance.randint(1, 40) if dies and chance.random() < 0.5 else None
        with dying_at(change):
            runners[which].look()
        if change is not None:
            volumes[which] = machines.die(volumes[which])
            runners[which] = runner(volumes[which])
        machines.look(machines.volume, at_everything=dies)
        state = state_of(machines.volume, folder)
        if state.end is not None:
            return state
        finish(machines, state, chance)
    raise AssertionError("the sweep did not end")


def check_proposals(state: SweepState) -> None:
    """Check that each trial follows from the results that were known when it was proposed."""
    spec = state.record.spec
    assert [trial.number for trial in state.trials] == list(range(1, spec.trials + 1))
    for trial in state.trials:
        earlier = [
            other if other.number not in trial.unfinished else _unfinished(other)
            for other in state.trials[: trial.number - 1]
        ]
        assert propose(spec, earlier, trial.number) == trial.parameters, f"trial {trial.number}"
        assert len(trial.unfinished) < spec.parallel


def _unfinished(trial: Any) -> Any:
    return replace(trial, status="running")


def test_a_sweep_runs_its_trials_and_ends(volume: Volume, machines: Machines) -> None:
    folder = put_sweep(volume, trials=12, parallel=3)
    state = run_to_end(machines, folder)
    assert (state.status, len(state.trials), state.unfinished) == ("completed", 12, [])
    check_proposals(state)
    assert state.best is not None
    assert state.best.best("max") == max(accuracy(trial.parameters) for trial in state.trials)
    record = volume.job_folder(state.best.job).record()
    assert record is not None
    assert record.sweep is not None
    assert (record.sweep.id, record.sweep.trial, record.spec.name) == (
        folder.id,
        state.best.number,
        f"grades {state.best.number}",
    )
    assert record.data_spec.hyperparameters.learning_rate == state.best.parameters[RATE]


def test_the_next_trial_waits_while_the_quota_of_its_project_is_full(volume: Volume) -> None:
    folder, other = put_sweep(volume, trials=3, parallel=3), put_job(volume, small_spec())
    put_job(volume, small_spec(), "another")
    worker = runner(volume, project_quotas={"default": {"unfinished_jobs": 2}})

    def statuses() -> list[str]:
        worker.look()
        return [trial.status for trial in state_of(volume, folder).trials]

    assert statuses() == ["queued"]
    train(other, 0.5)
    volume.close_job(OpenJob(5, other.id))
    assert statuses() == ["queued", "queued"]
    for number in (1, 2, 3):
        trial = folder.trial(number)
        assert trial is not None
        train(volume.job_folder(trial.job), 0.5)
        volume.close_job(OpenJob(5, trial.job))
        worker.look()
    state = state_of(volume, folder)
    assert (state.status, [trial.status for trial in state.trials]) == ("completed", ["succeeded"] * 3)


@pytest.mark.both_stores
@pytest.mark.parametrize("seed", range(2))
def test_workers_that_die_anywhere_lose_double_and_repropose_nothing(
    volume: Volume, machines: Machines, seed: int
) -> None:
    folder = put_sweep(volume, trials=12, parallel=3)
    state = run_to_end(machines, folder, seed=seed, dies=True)
    check_proposals(state)
    assert all(trial.status == "succeeded" for trial in state.trials)
    jobs = sorted(trial.job for trial in state.trials)
    assert sorted(volume.job_ids()) == jobs, "each trial has one job, and there are no others"
    assert len(set(jobs)) == 12


def test_one_after_the_other_the_trials_are_those_of_an_untouched_sweep(volume: Volume, machines: Machines) -> None:
    states = []
    for dies in (False, True):
        folder = put_sweep(volume, trials=12, parallel=1, seed=5)
        states.append(run_to_end(machines, folder, seed=dies, dies=dies))
    assert [trial.parameters for trial in states[0].trials] == [trial.parameters for trial in states[1].trials]


def test_a_cancelled_sweep_cancels_what_has_not_ended_and_proposes_nothing(volume: Volume) -> None:
    folder = put_sweep(volume, parallel=2)
    worker = runner(volume)
    worker.look()
    running = volume.job_folder(state_of(volume, folder).trials[0].job)
    train(running, 0.5, ends=False)
    folder.request_cancel()
    worker.look()
    state = state_of(volume, folder)
    assert [trial.status for trial in state.trials] == ["running", "cancelled"]
    assert running.cancel_file.exists()
    assert state.end is None
    train(running)
    worker.look()
    assert state_of(volume, folder).status == "cancelled"


def test_a_dataset_that_was_deleted_ends_the_sweep(volume: Volume) -> None:
    folder = put_sweep(volume)
    volume.remove_dataset("grades")
    runner(volume).look()
    state = state_of(volume, folder)
    assert (state.status, state.trials[0].status) == ("data_changed", "refused")
    assert state.end is not None
    assert "deleted" in state.end.message


def test_a_trial_whose_values_do_not_go_together_counts_as_failed_and_the_others_run(volume: Volume) -> None:
    schedules = [{"min_lr": 0.001}, {"min_lr": 0.05}]
    space = {"/callbacks/learning_rate_schedule": {"choice": schedules}, RATE: {"choice": [0.06, 0.01]}}
    folder = put_sweep(volume, space=space, sampler="grid", trials=9, parallel=9)
    runner(volume).look()
    state = state_of(volume, folder)
    assert [trial.status for trial in state.trials] == ["queued", "queued", "queued", "refused"]
    assert "above learning_rate" in (state.trials[3].message or "")
    assert state.failed == 1


def test_a_trial_that_cannot_win_is_asked_to_stop_with_the_evidence(volume: Volume) -> None:
    folder = put_sweep(volume, trials=8, parallel=1, rule={"name": "median", "min_epochs": 2, "min_trials": 3})
    worker = runner(volume)
    for value in (0.8, 0.7, 0.6):
        worker.look()
        train(job_of_newest(volume, folder), 0.3, value, value)
    worker.look()
    job = job_of_newest(volume, folder)
    attempt = train(job, 0.2, ends=False)
    worker.look()
    assert job.stop_request() is None, "it has not run for as many epochs as the rule wants"
    tell(attempt, epoch(2, 0.25))
    worker.look()
    request = job.stop_request()
    assert request is not None
    assert request.outclassed is not None
    found = request.outclassed
    assert (found.rule, found.monitor, found.epoch, found.value, found.to_beat) == (
        "median",
        "val_accuracy",
        2,
        0.25,
        0.7,
    )
    assert worker_does_nothing_more(worker, folder, volume)


def worker_does_nothing_more(worker: SweepRunner, folder: SweepFolder, volume: Volume) -> bool:
    before = sorted(folder.trials.iterdir()), volume.job_ids()
    worker.look()
    return before == (sorted(folder.trials.iterdir()), volume.job_ids())


def job_of_newest(volume: Volume, folder: SweepFolder) -> JobFolder:
    return volume.job_folder(state_of(volume, folder).trials[-1].job)


def share_of(job: JobFolder) -> Budget:
    share = read_share(job)
    assert share is not None
    return share.budget


def test_a_sweep_stops_within_its_budget(volume: Volume) -> None:
    folder = put_sweep(volume, trials=9, parallel=2, budget={"max_gpu_seconds": 100, "max_cost": 0.5})
    worker = runner(volume)
    worker.look()
    first, second = (volume.job_folder(trial.job) for trial in state_of(volume, folder).trials)
    assert share_of(first) == Budget(max_gpu_seconds=20, max_cost=0.125), "20 s, and a quarter: no price is known yet"
    train(first, 0.5, held=20)
    worker.look()
    third = job_of_newest(volume, folder)
    assert share_of(third).max_gpu_seconds == 20
    assert share_of(third).max_cost == pytest.approx(0.02)
    assert read_share(third).sweep == folder.id  # type: ignore[union-attr]
    train(third, 0.5, held=45)
    worker.look()
    assert len(state_of(volume, folder).trials) == 3, "what is left is less than the median trial takes"
    train(second, 0.5, held=30)
    worker.look()
    state = state_of(volume, folder)
    assert state.status == "budget"
    assert state.end is not None
    assert "95 of 100 seconds" in state.end.message


@pytest.mark.both_stores
@pytest.mark.parametrize("seed", range(3))
def test_no_trial_is_without_its_share_wherever_a_worker_dies(volume: Volume, machines: Machines, seed: int) -> None:
    folder = put_sweep(volume, trials=6, parallel=2, budget={"max_gpu_seconds": 60}, sampler="random")
    state = run_to_end(machines, folder, seed=seed, dies=True)
    assert [trial.status for trial in state.trials] == ["succeeded"] * 6
    newest = folder.shares(None)
    assert newest is not None
    for trial in state.trials:
        assert share_of(volume.job_folder(trial.job)).max_gpu_seconds is not None
    for number in range(1, newest.number + 1):
        shares = read_document(folder.path / "shares" / f"{number:06d}.json", Shares)
        assert shares is not None
        assert sum(share.budget.max_gpu_seconds or 0.0 for share in shares.trials.values()) <= 60


def claim_since(job: JobFolder, seconds: float, devices: int = 1) -> None:
    claim = Claim(
        attempt=1,
        owner="tests",
        host="here",
        pid=1,
        slot=0,
        device="CPU",
        claimed_at=time_in(-seconds),
        devices=devices,
    )
    assert job.take(claim) is not None


def test_a_running_trial_has_more_of_the_budget_when_half_of_its_share_is_used(volume: Volume) -> None:
    folder = put_sweep(volume, trials=9, parallel=2, budget={"max_gpu_seconds": 1000})
    worker = runner(volume)
    worker.look()
    first, second = (volume.job_folder(trial.job) for trial in state_of(volume, folder).trials)
    claim_since(first, 5)
    claim_since(second, 15)
    worker.look()
    assert share_of(first) == Budget(max_gpu_seconds=20)
    assert share_of(second).max_gpu_seconds == pytest.approx(35, abs=2)
    assert sorted(path.name for path in shares_folder(second).iterdir()) == ["000001.json", "000002.json"]


def test_a_share_reaches_as_far_ahead_on_several_devices(volume: Volume) -> None:
    folder = put_sweep(volume, trials=9, parallel=1, budget={"max_gpu_seconds": 1000})
    worker = runner(volume)
    worker.look()
    job = job_of_newest(volume, folder)
    claim_since(job, 3, devices=4)
    worker.look()
    assert share_of(job).max_gpu_seconds == pytest.approx(4 * (3 + 20), abs=8)


def test_a_share_that_a_killed_worker_had_decided_reaches_the_trial(volume: Volume) -> None:
    folder = put_sweep(volume, trials=9, parallel=1, budget={"max_gpu_seconds": 1000})
    runner(volume).look()
    job = job_of_newest(volume, folder)
    known = folder.shares(None)
    assert known is not None
    raised = Share(number=2, budget=Budget(max_gpu_seconds=90))
    assert folder.divide(Shares(number=known.number + 1, trials={1: raised}))
    runner(volume).look()
    assert share_of(job) == raised.budget


def test_waiting_trials_of_a_used_up_budget_are_cancelled_and_running_ones_stop_by_themselves(volume: Volume) -> None:
    folder = put_sweep(volume, trials=9, parallel=3, budget={"max_gpu_seconds": 50})
    worker = runner(volume)
    worker.look()
    first, second, third = (volume.job_folder(trial.job) for trial in state_of(volume, folder).trials)
    train(second, 0.5, ends=False)
    train(first, 0.5, held=49)
    worker.look()
    assert second.stop_request() is None
    assert third.result() is not None
    train(second)
    worker.look()
    assert state_of(volume, folder).status == "budget"


def test_a_sweep_that_was_seen_before_its_record_was_stored_is_run(volume: Volume) -> None:
    folder = put_sweep(volume, trials=2)
    record = folder.record_file.rename(volume.root / "record")
    worker = runner(volume)
    worker.look()
    record.rename(folder.record_file)
    worker.look()
    assert state_of(volume, folder).trials


def extend(folder: SweepFolder, number: int, **changes: Any) -> None:
    record = folder.record()
    assert record is not None
    given = {"trials": record.spec.trials, "budget": record.spec.budget, **changes}
    assert folder.extend(number, Extension(extended_at=utc_now(), **given))


def test_an_extended_sweep_runs_again_to_its_new_end(volume: Volume) -> None:
    folder = put_sweep(volume, trials=2, parallel=1)
    worker = runner(volume)
    for _ in range(2):
        worker.look()
        train(job_of_newest(volume, folder), 0.5)
    worker.look()
    assert state_of(volume, folder).status == "completed"
    extend(folder, 1, trials=3)
    worker.look()
    state = state_of(volume, folder)
    assert (state.status, len(state.trials), state.extensions) == ("running", 3, 1)
    train(job_of_newest(volume, folder), 0.7)
    worker.look()
    assert state_of(volume, folder).status == "completed"


def test_an_end_that_was_decided_before_an_extension_does_not_end_the_sweep(volume: Volume) -> None:
    folder = put_sweep(volume, trials=2, parallel=1)
    extend(folder, 1, trials=5)
    folder.end("completed", "all 2 trials have ended")
    assert state_of(volume, folder).status == "running"


def test_more_budget_reaches_the_trials_that_run(volume: Volume) -> None:
    folder = put_sweep(volume, trials=2, parallel=2, budget={"max_gpu_seconds": 30, "deadline": time_in(600)})
    worker = runner(volume)
    worker.look()
    job = job_of_newest(volume, folder)
    later = time_in(1200)
    extend(folder, 1, budget=Budget(max_gpu_seconds=90, deadline=later))
    worker.look()
    assert share_of(job) == Budget(max_gpu_seconds=15, deadline=later)
    extend(folder, 2, budget=None)
    worker.look()
    assert share_of(job) == Budget(), "without a limit"


def test_a_limit_that_is_added_reaches_the_trials_that_run_also_where_nothing_is_left(volume: Volume) -> None:
    folder = put_sweep(volume, trials=9, parallel=2)
    worker = runner(volume)
    worker.look()
    first, second = (volume.job_folder(trial.job) for trial in state_of(volume, folder).trials)
    claim_since(first, 20)
    claim_since(second, 40)
    assert read_share(first) is None
    extend(folder, 1, budget=Budget(max_gpu_seconds=100))
    worker.look()
    shares = [share_of(job).max_gpu_seconds for job in (first, second)]
    assert shares == pytest.approx([40, 60], abs=2)
    extend(folder, 2, budget=None)
    worker.look()
    extend(folder, 3, budget=Budget(max_gpu_seconds=50))
    worker.look()
    shares = [share_of(job).max_gpu_seconds for job in (first, second)]
    assert shares == pytest.approx([20, 40], abs=2), "they have used it, and stop"


def test_a_trial_that_finds_no_place_for_a_parameter_is_refused_and_the_others_continue(
    volume: Volume, machines: Machines
) -> None:
    optimizer, layers = "/hyperparameters/optimizer", "/model/layers"
    space = {
        layers: {"choice": [[8, 8], [4]]},
        optimizer: {"choice": ["adam", "sgd"]},
        f"{layers}/1": {"int": [2, 3], "when": {optimizer: "sgd"}},
        RATE: {"choice": [0.01]},
    }
    state = run_to_end(machines, put_sweep(volume, space=space, sampler="grid", trials=10))
    refused = [trial for trial in state.trials if trial.status == "refused"]
    assert [trial.parameters[layers] for trial in refused] == [[4], [4]]
    assert [trial.parameters[optimizer] for trial in refused] == ["sgd", "sgd"]
    assert sum(trial.status == "succeeded" for trial in state.trials) == 4


def test_trials_without_the_objective_end_the_sweep(volume: Volume, machines: Machines) -> None:
    # The epochs of these trials have the accuracy, but no AUC.
    job = small_spec(hyperparameters={"metrics": ["auc"]})
    folder = put_sweep(volume, job=job, trials=50, parallel=1, max_failed_trials=3, objective={"monitor": "val_auc"})
    for _ in range(3):
        runner(volume).look()
        finish(machines, state_of(volume, folder), random.Random(0))
    runner(volume).look()
    state = state_of(volume, folder)
    assert (state.status, len(state.trials)) == ("failed_trials", 3)
    assert state.end is not None
    assert state.end.message == "3 trials failed or have no value of val_auc, the maximum"


def test_a_sweep_of_which_no_trial_has_a_result_has_failed(volume: Volume) -> None:
    folder = put_sweep(volume, trials=2, parallel=2)
    runner(volume).look()
    runner(volume).look()
    for trial in state_of(volume, folder).trials:
        volume.job_folder(trial.job).settle(Ending(status="failed", error=JobError(code="diverged", message="inf")), 1)
    runner(volume).look()
    state = state_of(volume, folder)
    assert state.end is not None
    assert (state.status, state.end.message) == ("failed_trials", "all 2 trials failed")


def test_a_sweep_that_cannot_be_taken_forward_blocks_no_other(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, well = put_sweep(volume, seed=1), put_sweep(volume, seed=2)

    def fail(spec: SweepSpec, *rest: Any) -> dict[str, Any]:
        if spec.seed == 1:
            raise OverflowError("Range exceeds valid bounds")
        return propose(spec, *rest)

    monkeypatch.setattr("worker.supervisor.sweeps.propose", fail)
    runner(volume).look()
    assert state_of(volume, well).trials
    assert not state_of(volume, broken).trials
