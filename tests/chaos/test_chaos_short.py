"""A short seeded part of `make chaos`; a seed that failed there is added here."""

from pathlib import Path

import pytest

from proofs.chaos.bells import Outage, run_bells
from proofs.chaos.run import Options, run_chaos


@pytest.mark.parametrize("seed", [1])
def test_whatever_the_monkey_does_every_job_ends_as_its_untouched_twin(tmp_path: Path, seed: int) -> None:
    verdict = run_chaos(tmp_path / "chaos", Options(seed, jobs=6, faults=14, mean_seconds=1.2), print)
    assert verdict.is_kept, verdict.table()
    assert verdict.numbers["faults"] == 14


def test_redis_flushed_away_and_back_empty_costs_no_job_and_disturbs_none(tmp_path: Path) -> None:
    verdict = run_bells(tmp_path / "bells", Outage(seed=1, away_seconds=10, queued=8), print)
    assert verdict.is_kept, verdict.table()
