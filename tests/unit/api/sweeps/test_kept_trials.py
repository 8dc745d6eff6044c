"""What was read of a sweep is kept on the host's own disk, but the volume's files always take precedence."""

import os
from pathlib import Path

import pytest

from api import create_app
from api.state.sweeps import SweepStates
from shared.open_job import OpenJob
from shared.sweep.folder import SweepFolder
from shared.volume import Volume
from tests.support.keys import authorized
from tests.support.past_sweeps import end_trial, ended_sweep, running_sweep
from tests.support.reads import counted_reads


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def settings(settings, kept):
    return settings.model_copy(update={"index_folder": kept})


def settle(folder: SweepFolder) -> None:
    """Set the time of the last change to an hour earlier."""
    at = folder.last_change_ns() - 3600 * 10**9
    os.utime(folder.trials, ns=(at, at))


def delete_job(client, folder: SweepFolder, number: int) -> None:
    trial = folder.trial(number)
    assert trial is not None
    assert client.delete(f"/jobs/{trial.job}").status_code == 204


def test_after_a_restart_finished_trials_are_not_read_again(volume: Volume, grades, kept: Path) -> None:
    folder = running_sweep(volume, (0.5, 0.6, 0.7, 0.4))
    before = SweepStates(volume, kept).of(folder.id)
    with counted_reads() as from_file:
        after = SweepStates(volume, kept).of(folder.id)
    with counted_reads() as from_volume:
        SweepStates(volume, kept / "empty").of(folder.id)
    assert after.trials == before.trials
    jobs_read = sum(name == "spec.json" or name.endswith("/spec.json") for name in from_file)
    assert jobs_read == 1, "that of the trial which has not ended"
    assert len(from_volume) > 2 * len(from_file)


def test_a_trial_that_ends_is_read_once_more_and_kept(volume: Volume, grades, kept: Path) -> None:
    folder, states = running_sweep(volume), SweepStates(volume, kept)
    assert len(states.of(folder.id).unfinished) == 1
    end_trial(volume, folder, 4, 0.9, "epochs_completed")
    best = states.of(folder.id).best
    assert best is not None
    assert (best.number, best.best("max"), best.count_epochs()) == (4, 0.9, 3)
    again = SweepStates(volume, kept).of(folder.id)
    assert again.best == best
    assert again.saved_seconds() == states.of(folder.id).saved_seconds()


def test_a_list_reads_nothing_of_sweeps_that_ended(app, client, volume: Volume, grades, settings) -> None:
    folders = [ended_sweep(volume) for _ in range(3)]
    for folder in folders:
        settle(folder)
    first = client.get("/sweeps").json
    restarted = authorized(create_app(settings))
    restarted.get("/sweeps?limit=1")
    with counted_reads() as reads:
        assert restarted.get("/sweeps").json == first
    assert not [name for name in reads if name != "sweep.json" and not name.endswith("/sweep.json")]


def test_a_deleted_job_is_seen_whoever_had_read_it_before(app, client, volume: Volume, grades, kept, settings) -> None:
    folder = ended_sweep(volume)
    settle(folder)
    assert client.get("/sweeps").json["data"][0]["best"]["number"] == 2
    delete_job(client, folder, 2)
    settle(folder)
    for one in (client, authorized(create_app(settings))):
        shown = one.get(f"/sweeps/{folder.id}").json
        assert (shown["best"]["number"], shown["counts"]["deleted"]) == (1, 1)
        assert one.get("/sweeps").json["data"][0]["counts"] == shown["counts"]


def test_a_job_that_was_not_deleted_after_all_stays(client, volume: Volume, grades) -> None:
    folder = ended_sweep(volume)
    folder.forget_job(2)
    assert client.get(f"/sweeps/{folder.id}").json["best"]["number"] == 2


def test_a_job_that_was_deleted_long_ago_is_not_proposed_again(volume: Volume, grades, kept: Path) -> None:
    folder = ended_sweep(volume)
    trial = folder.trial(1)
    assert trial is not None
    volume.remove_job(OpenJob(5, trial.job))
    (volume.deleted / trial.job).unlink()
    assert SweepStates(volume, kept).of(folder.id).trials[0].status == "deleted"


def test_a_damaged_file_is_made_again(client, volume: Volume, grades, kept: Path, settings) -> None:
    folder = ended_sweep(volume)
    settle(folder)
    first = client.get("/sweeps").json
    (file,) = kept.glob("sweeps-*.sqlite")
    file.write_bytes(b"no database")
    assert authorized(create_app(settings)).get("/sweeps").json == first
