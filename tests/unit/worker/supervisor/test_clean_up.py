"""Leftovers of dead attempts are removed; what a reader or the next attempt needs stays."""

from pathlib import Path

from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder, JobFolder
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.supervisor.clean_up import sweep_out


def attempt_with(job: JobFolder, number: int, *, points: int, ended: bool = True) -> AttemptFolder:
    attempt = claim(job, number)
    (attempt.checkpoints / ".partial").mkdir(parents=True)
    (attempt.checkpoints / ".partial" / "m.keras").write_text("half")
    (attempt.checkpoints / "m.keras").write_text("whole")
    (attempt.path / ".heartbeat.json.ab12.tmp").write_text("half")
    attempt.resume.mkdir()
    for point in range(points):
        (attempt.resume / f"point-{point:07d}-000000000.bin").write_text("x")
    if ended:
        attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    return attempt


def files(attempt: AttemptFolder) -> set[str]:
    known = {"claim.json", "end.json"}
    return {str(path.relative_to(attempt.path)) for path in attempt.path.rglob("*") if path.is_file()} - known


def test_halves_go_and_the_newest_points_stay_also_where_an_earlier_attempt_wrote_them(volume: Volume) -> None:
    put_dataset(volume, learnable_frame(40))
    job = put_job(volume, small_spec())
    first = attempt_with(job, 1, points=2)
    second = attempt_with(job, 2, points=2)
    third = attempt_with(job, 3, points=0)
    sweep_out(job)
    assert files(first) == {str(Path("checkpoints/m.keras"))}
    assert len(files(second)) == 3
    assert files(third) == {str(Path("checkpoints/m.keras"))}


def test_an_attempt_that_goes_on_is_left_alone(volume: Volume) -> None:
    put_dataset(volume, learnable_frame(40))
    job = put_job(volume, small_spec())
    attempt_with(job, 1, points=1)
    running = attempt_with(job, 2, points=1, ended=False)
    before = files(running)
    sweep_out(job)
    assert files(running) == before
