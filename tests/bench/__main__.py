"""`python -m tests.bench DATA`: see the package's own words."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.epochs import Options, measured, median_of
from tests.bench.figures import Part, draw
from tests.bench.service import ring, row, start, warm_fitstop

# Rows, layers, rows of a batch, epochs measured in each round, rounds.
SIZES: list[tuple[str, int, list[int], int, int, int]] = [
    ("5,170 rows, 64-64-64 (the article's)", 5170, [64, 64, 64], 32, 20, 3),
    ("5,170 rows, 256-256-256", 5170, [256, 256, 256], 32, 10, 2),
    ("5,170 rows, 1024-1024", 5170, [1024, 1024], 32, 4, 1),
    ("100,000 rows, 64-64-64", 100_000, [64, 64, 64], 256, 6, 2),
    ("100,000 rows, 256-256-256", 100_000, [256, 256, 256], 256, 4, 1),
    ("100,000 rows, 1024-1024", 100_000, [1024, 1024], 256, 2, 1),
    ("2,000,000 rows, 64-64-64", 2_000_000, [64, 64, 64], 4096, 3, 1),
    ("2,000,000 rows, 256-256-256", 2_000_000, [256, 256, 256], 4096, 2, 1),
    ("2,000,000 rows, 512-512", 2_000_000, [512, 512], 4096, 1, 1),
]
LARGE = Options("fitstop", 5170, [3500, 3500, 3500], 256, epochs=5, checkpoints=False)
PARTS = ("start", "epoch", "ring", "row", "large")


def main() -> int:
    asked = _parser().parse_args()
    chosen = asked.only.split(",") if asked.only else PARTS
    cores = len(os.sched_getaffinity(0))
    sys.stdout.write(
        f"{platform.processor() or platform.machine()}, {cores} cores, Python {platform.python_version()}\n"
    )
    parts: list[Part] = []

    def done(part: Part) -> None:
        parts.append(part)
        sys.stdout.write(part.table())
        sys.stdout.flush()

    _posted(asked.data, chosen, done)
    if "epoch" in chosen:
        for size in SIZES[: 1 if asked.quick else None]:
            done(epoch(*size))
    if "large" in chosen:
        done(large())
    if asked.json:
        asked.json.write_text(json.dumps([part.document() for part in parts], indent=1) + "\n")
    if asked.svg:
        draw(parts, asked.svg)
    return 0


def _posted(data: Path, chosen: list[str] | tuple[str, ...], done: Callable[[Part], None]) -> None:
    if not {"start", "ring", "row"} & set(chosen):
        return
    with warm_fitstop(data) as client:
        if "start" in chosen:
            done(start(client, data, seeds=5))
        if "ring" in chosen:
            done(ring(client, times=10))
        if "row" in chosen:
            done(row(client, jobs=10))


def epoch(title: str, rows: int, layers: list[int], batch_size: int, epochs: int, rounds: int) -> Part:
    """(b) An epoch in each of the ways, in turn."""
    part = Part(f"(b) an epoch of {title}, batches of {batch_size}")
    found: dict[str, list[dict[str, list[float]]]] = {"stock": [], "execution": [], "fitstop": []}
    for _ in range(rounds):
        for way, measurements in found.items():
            measurements.append(measured(Options(way, rows, layers, batch_size, epochs)))
    stock = part.add("stock fit", median_of(found["stock"], "epochs"))
    execution = part.add("fit with steps_per_execution", median_of(found["execution"], "epochs"))
    ours = part.add("Fitstop inside fit, all callbacks", median_of(found["fitstop"], "epochs"))
    bare = part.add("the bare compiled loop", median_of(found["fitstop"], "bare"))
    part.ratios["times faster than stock fit"] = stock.median / ours.median
    part.ratios["times faster than the best stock setting"] = min(stock.median, execution.median) / ours.median
    part.ratios["times the bare loop"] = ours.median / bare.median
    return part


def large() -> Part:
    """(e) Fitstop's share of a long step: without saves against the bare loop, and what saving each epoch adds."""
    part = Part("(e) 24.6 million parameters, a resume point of 295 MB")
    found = [measured(Options(**{**vars(LARGE), "saves": saves})) for saves in (False, True)]
    bare = part.add("the bare compiled loop", [*found[0]["bare"], *found[1]["bare"]])
    without = part.add("Fitstop, no resume point", found[0]["epochs"])
    saving = part.add("Fitstop, a resume point in each epoch", found[1]["epochs"])
    part.ratios["Fitstop's share without a save (0.02 wanted)"] = without.median / bare.median - 1
    part.ratios["seconds that a save adds"] = saving.median - without.median
    return part


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("data", type=Path, help="winequalityN.csv")
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="(b) of the article's size alone")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
