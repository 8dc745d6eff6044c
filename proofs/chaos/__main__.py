"""`python -m proofs.chaos`: see the package's docstring. Exit status 0 only if every promise was kept."""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from proofs.chaos import work
from proofs.chaos.bells import Outage, run_bells
from proofs.chaos.judge import Verdict
from proofs.chaos.run import Options, run_chaos


def main() -> int:
    asked = _parser().parse_args()
    # SIGTERM must end the service too, and only an exception passes through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    _tell(f"seed {asked.seed}, in {folder}")
    began = time.monotonic()
    verdict = _run(asked, folder)
    verdict.numbers["seconds"] = round(time.monotonic() - began)
    sys.stdout.write(verdict.table())
    if asked.report:
        asked.report.write_text(json.dumps(verdict.document(), indent=1) + "\n")
    if verdict.is_kept and not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _tell(f"the logs and the volume are in {folder}")
    return 0 if verdict.is_kept else 1


def _run(asked: argparse.Namespace, folder: Path) -> Verdict:
    if asked.what == "bells":
        return run_bells(folder, Outage(asked.seed, asked.away_seconds, asked.queued), _tell)
    options = Options(
        asked.seed,
        asked.jobs,
        asked.faults,
        asked.workers,
        asked.mean_seconds,
        asked.quiet_seconds,
        work.SHORT if asked.short else work.LONG,
    )
    return run_chaos(folder, options, _tell)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proofs.chaos", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["monkey", "bells"], default="monkey")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mean-seconds", type=float, default=5, help="between two faults")
    parser.add_argument("--short", action="store_true", help="jobs of a few seconds in place of 20 and more")
    parser.add_argument("--quiet-seconds", type=float, default=900, help="for all jobs to end after the last fault")
    parser.add_argument("--away-seconds", type=float, default=60, help="bells: how long Redis is away")
    parser.add_argument("--queued", type=int, default=50, help="bells: jobs that wait meanwhile")
    parser.add_argument("--report", type=Path, help="write the verdict there as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder, also after a good end")
    return parser


def _tell(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")


if __name__ == "__main__":
    raise SystemExit(main())
