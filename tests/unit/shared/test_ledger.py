"""The ledger of simulated jobs: every part is what was spent on it, and the parts add up to the whole time."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.events import Event, EventWriter
from shared.history import JobReader
from shared.job import Ending
from shared.job_folder import AttemptFolder, JobFolder
from shared.ledger import PARTS, Ledger, ledger
from shared.volume import Volume
from tests.unit.shared.histories import (
    at,
    claimed_at,
    ended_at,
    epoch_event,
    event,
    history,
    over_at,
    posted_at,
    stopped,
    told,
)

BATCHES, BATCH_MS, EPOCHS = 10, 20, 12


HOUR_MS = 3_600_000


class WildClocks:
    """The wall clocks of hosts that differ by a day, each stepped by two hours now and then."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.change_host()

    def change_host(self) -> None:
        self.off = self.chance.choice([0, -24, 24]) * HOUR_MS

    def wall(self, milliseconds: int) -> int:
        if self.chance.random() < 0.1:
            self.off += self.chance.choice([-2, 2]) * HOUR_MS
        return milliseconds + self.off


class SimulatedJob:
    """A job of epochs of equal length, interrupted at random; knows what became of every batch."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clocks = WildClocks(seed)
        self.job = posted_at(Volume(folder), wall=self.clocks.wall(0), epochs=EPOCHS, batch_size=32)
        self.best = self.chance.randint(1, EPOCHS)
        self.now = self.waiting = self.held = 0
        self.parts: Counter[str] = Counter()
        # The attempt that trained each batch last, and the time spent on all batches.
        self.trained: dict[tuple[int, int], int] = {}
        self.spent_on_batches = 0
        self.points: list[tuple[int, int, int]] = []  # attempt, epochs, batches
        self.took_up: dict[int, tuple[int, int, int]] = {}
        self.handing_back: dict[tuple[int, int, int], int] = {}
        self.gaps: dict[tuple[int, int, int], int] = {}

    def run(self) -> None:
        for number in range(1, self.chance.randint(1, 5) + 1):
            if self._attempt(number, must_finish=False):
                return
        self._attempt(number + 1, must_finish=True)

    def _attempt(self, number: int, *, must_finish: bool) -> bool:
        self.waiting += self._pass(self.chance.randint(0, 500))
        self.clocks.change_host()
        self.attempt = claimed_at(self.job, number, self.now, wall=self.clocks.wall(self.now))
        self.number, self.claimed = number, self.now
        with EventWriter(self.attempt.events_file) as self.writer:
            return self._train(must_finish)

    def _train(self, must_finish: bool) -> bool:
        start_up = self.chance.randint(0, 900)
        if not must_finish and self.chance.random() < 0.1:
            self.parts["start_up"] += self._pass(start_up)
            return self._end("lost")
        self.parts["start_up"] += self._pass(start_up)
        self._tell("data", training_rows=32 * BATCHES)
        self._tell("model")
        self.gap = 0
        epochs, batches = self._resumed()
        stop_at = None if must_finish else (self.chance.randint(epochs, EPOCHS), self.chance.randint(0, BATCHES - 1))
        for epoch in range(epochs + 1, EPOCHS + 1):
            began = self.now
            for batch in range(batches + 1, BATCHES + 1):
                if stop_at is not None and (epoch - 1, batch - 1) >= stop_at:
                    return self._interrupted(epoch, batch - 1)
                self._pass(BATCH_MS)
                self.spent_on_batches += BATCH_MS
                self.trained[epoch, batch] = self.number
                if self.chance.random() < 0.05:
                    self.points.append((self.number, epoch - 1, batch))
            batches = 0
            best = self.best if epoch >= self.best else None
            self._write(epoch_event(epoch, self.now, (self.now - began) / 1000, best))
            if self.chance.random() < 0.5:
                self.points.append((self.number, epoch, 0))
            if epoch < EPOCHS:
                self.gap = self._pass(self.chance.randint(0, 30))
                self.parts["saving"] += self.gap
        self.parts["saving"] += self._pass(self.chance.randint(0, 300))
        return self._end("finished", stopped("epochs_completed", EPOCHS, self.best, EPOCHS))

    def _resumed(self) -> tuple[int, int]:
        if not self.points:
            return 0, 0
        # A damaged point is skipped for an older one.
        alone = [one for one in self.points if sum(one[:2] == other[:2] for other in self.points) == 1]
        is_damaged = bool(alone) and self.chance.random() < 0.2
        self.took_up[self.number] = alone[0] if is_damaged else self.points[-1]
        earlier, epochs, batches = self.took_up[self.number]
        self._tell("resume", epoch=epochs + 1, batch=batches, from_attempt=earlier)
        return epochs, batches

    def _interrupted(self, epoch: int, batch: int) -> bool:
        if batch and self.chance.random() < 0.5:
            self.points.append((self.number, epoch - 1, batch))
            self.gaps[self.points[-1]] = self.gap
            self.handing_back[self.points[-1]] = self._pass(self.chance.randint(0, 40))
            return self._end("handed_back")
        # No event records when the lost epoch began, so the time since the previous epoch is lost with it.
        self.parts["saving"] -= self.gap
        self.parts["redone"] += self.gap + self._pass(self.chance.randint(0, 3000))
        return self._end("lost")

    def _end(self, outcome: str, ending: Ending | None = None) -> bool:
        held = self.now - self.claimed
        self.held += held
        if outcome == "lost":
            self.waiting += self._pass(self.chance.randint(0, 75_000))
            self.clocks.change_host()
        ended_at(self.attempt, self.now, outcome, ending, wall=self.clocks.wall(self.now), held=held / 1000)
        return ending is not None

    def _tell(self, kind: str, **facts: int) -> None:
        self._write(event(kind, self.now, **facts))

    def _write(self, new: Event) -> None:
        wall = at(self.clocks.wall(self.now))
        self.writer.write([replace(new, time=wall, at=(self.now - self.claimed) / 1000)])

    def _pass(self, milliseconds: int) -> int:
        self.now += milliseconds
        return milliseconds

    def _line(self) -> set[tuple[int, int, int]]:
        """Return the resume points that led to the end; all others were saved for nothing."""
        line, number = set(), self.number
        while number in self.took_up:
            line.add(self.took_up[number])
            number = self.took_up[number][0]
        return line

    def expected(self) -> dict[str, int]:
        kept = Counter("learning" if epoch <= self.best else "patience" for epoch, _ in self.trained)
        parts = {name: self.parts[name] for name in PARTS}
        parts["learning"] = kept["learning"] * BATCH_MS
        parts["patience"] = kept["patience"] * BATCH_MS
        parts["redone"] += self.spent_on_batches - sum(kept.values()) * BATCH_MS
        line = self._line()
        for place, spent in self.handing_back.items():
            parts["saving" if place in line else "redone"] += spent
            if place not in line:
                parts["saving"] -= self.gaps[place]
                parts["redone"] += self.gaps[place]
        return parts


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_whatever_the_wall_clocks_say_every_part_is_what_was_spent_on_it_and_all_are_the_time_of_the_attempts(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    simulated = SimulatedJob(tmp_path_factory.mktemp("volume"), seed)
    simulated.run()
    found = ledger(history(simulated.job))
    assert found.total == simulated.held * 1000
    assert found.waiting == simulated.waiting * 1000
    assert {name: found.part(name) / 1000 for name in PARTS} == simulated.expected()


def one_attempt(volume: Volume, price: float | None = None, devices: int = 1) -> tuple[JobFolder, AttemptFolder]:
    """Claim after 2 s, ready 1 s later; then three epochs of 100 ms with 50 ms between them, the first one the best."""
    job = posted_at(volume, epochs=1000)
    attempt = claimed_at(job, 1, 2000, price, "EUR" if price else None, devices=devices)
    told(attempt, [event("data", 2500, training_rows=100), event("model", 3000)])
    told(attempt, [epoch_event(epoch, 2950 + epoch * 150, 0.1, 1) for epoch in (1, 2, 3)])
    return job, attempt


def parts_of(found: Ledger) -> dict[str, float]:
    return {name: found.part(name) / 1e6 for name in PARTS}


def test_a_job_that_stopped_early_says_what_it_learnt_waited_for_and_avoided(volume: Volume) -> None:
    job, attempt = one_attempt(volume, price=36.0)
    ended_at(attempt, 3500, "finished", stopped("early_stopping", 3, 1, 1000))
    found = ledger(history(job))
    assert found.waiting == 2_000_000
    assert parts_of(found) == {"start_up": 1.0, "learning": 0.1, "patience": 0.2, "redone": 0.0, "saving": 0.2}
    assert (found.avoided_epochs, found.avoided) == (997, 99_700_000)
    cost = found.costs()["EUR"]
    assert cost["patience"] == pytest.approx(0.002)
    assert cost["total"] == pytest.approx(sum(cost[name] for name in PARTS))
    assert cost["avoided"] == pytest.approx(0.997)
    assert found.unpriced == 0


def test_every_second_on_two_gpus_counts_and_costs_twice(volume: Volume) -> None:
    found = []
    for devices in (1, 2):
        job, attempt = one_attempt(volume, 36.0 * devices, devices)
        ended_at(attempt, 3500, "finished", stopped("early_stopping", 3, 1, 1000))
        found.append(ledger(history(job)))
    one, two = found
    assert parts_of(two) == {name: 2 * seconds for name, seconds in parts_of(one).items()}
    assert (two.waiting, two.avoided) == (one.waiting, 2 * one.avoided)
    assert two.costs()["EUR"] == pytest.approx({name: 2 * cost for name, cost in one.costs()["EUR"].items()})


def test_what_comes_after_an_attempts_conclusion_is_told_apart_and_costs_nothing(volume: Volume) -> None:
    found = []
    for uncharged in (0.0, 0.25):
        job, attempt = one_attempt(volume, 36.0, devices=2)
        ended_at(attempt, 3500, "finished", stopped("early_stopping", 3, 1, 1000), held=1.5, uncharged=uncharged)
        found.append(ledger(history(job)))
    without, with_uncharged = found
    assert with_uncharged.held[0].uncharged == 500_000
    assert (parts_of(with_uncharged), with_uncharged.costs()) == (parts_of(without), without.costs())


def test_without_a_price_there_are_no_costs(volume: Volume) -> None:
    job, _ = one_attempt(volume)
    found = ledger(history(job))
    assert found.costs() == {}
    assert found.unpriced == found.total == 1_400_000


def test_a_running_job_is_counted_up_to_its_last_event(volume: Volume) -> None:
    job, attempt = one_attempt(volume)
    found = ledger(history(job))
    assert parts_of(found) == {"start_up": 1.0, "learning": 0.1, "patience": 0.2, "redone": 0.0, "saving": 0.1}
    assert found.avoided == 0
    told(attempt, [replace(event("checkpoint", 0), at=1.46)])
    assert ledger(history(job)).part("patience") == 260_000


@pytest.mark.parametrize(("best", "learning"), [(2, 0.2), (None, 0.1)])
def test_learning_ends_with_the_best_model_and_without_models_with_the_last_improvement(
    volume: Volume, best: int | None, learning: float
) -> None:
    job = posted_at(volume, epochs=1000)
    attempt = claimed_at(job, 1, 2000)
    told(attempt, [event("data", 2500, training_rows=100), event("model", 3000)])
    told(attempt, [epoch_event(epoch, 2950 + epoch * 150, 0.1, best, improved=1) for epoch in (1, 2, 3)])
    found = parts_of(ledger(history(job)))
    assert (found["learning"], found["patience"]) == (learning, pytest.approx(0.3 - learning))


@pytest.mark.parametrize("reason", ["budget", "diverged", "error"])
def test_a_stop_that_the_job_did_not_want_avoided_nothing(volume: Volume, reason: str) -> None:
    job, attempt = one_attempt(volume)
    ended_at(attempt, 3450, "finished", stopped(reason, 3, 1, 1000))
    assert ledger(history(job)).avoided_epochs == 0


def test_a_cancelled_job_avoided_nothing(volume: Volume) -> None:
    job, attempt = one_attempt(volume)
    ended_at(attempt, 3450, "finished", stopped("cancelled", 3, 1, 1000, "cancelled"))
    found = ledger(history(job))
    assert (found.avoided_epochs, found.avoided) == (0, 0)
    assert found.part("patience") == 250_000


def test_a_job_that_never_ran_only_waited(volume: Volume) -> None:
    job = posted_at(volume, 1000)
    assert ledger(history(job)).waiting == 0, "nothing tells of a later moment yet"
    over_at(job, 6000, stopped("cancelled", 0, None, 1000, "cancelled"), None)
    found = ledger(history(job))
    assert (found.waiting, found.total, found.costs()) == (5_000_000, 0, {})


def test_files_without_measured_times_are_read_by_the_wall_clock_and_never_below_zero(volume: Volume) -> None:
    job = posted_at(volume, 5000)
    attempt = claimed_at(job, 1, 2000)
    ended_at(attempt, 1000, "handed_back")
    found = ledger(history(job))
    assert (found.waiting, found.total) == (0, 0)


def test_of_a_lost_attempt_without_measured_times_nothing_after_its_last_event_is_held(volume: Volume) -> None:
    # The worker that found it lost wrote its end and its state, a day later and by another clock.
    job, attempt = one_attempt(volume)
    told(attempt, [event("state", 86_400_000)])
    ended_at(attempt, 86_400_000, "lost")
    claimed_at(job, 2, 86_401_000)
    found = ledger(history(job))
    assert (found.total, found.waiting) == (1_400_000, 2_000_000 + 86_401_000_000 - 3_400_000)


def test_epochs_that_were_told_in_one_piece_lie_before_one_another(volume: Volume) -> None:
    job = posted_at(volume)
    attempt = claimed_at(job, 1, 0)
    told(attempt, [event("model", 1000), *(epoch_event(epoch, 1400, 0.1, 1) for epoch in (1, 2, 3, 4))])
    found = ledger(history(job))
    assert parts_of(found) == {"start_up": 1.0, "learning": 0.1, "patience": 0.3, "redone": 0.0, "saving": 0.0}


def test_a_reader_reads_only_what_is_new_and_nothing_behind_the_end(volume: Volume) -> None:
    job = posted_at(volume)
    attempt = claimed_at(job, 1, 0)
    told(attempt, [epoch_event(1, 1000, 0.1)])
    reader = JobReader(job)
    first = reader.read_on()
    told(attempt, [epoch_event(2, 2000, 0.1)])
    attempt.events_file.write_bytes(b"x" * 10 + attempt.events_file.read_bytes()[10:])
    second = reader.read_on()
    ended_at(attempt, 3000, "lost")
    told(attempt, [epoch_event(3, 4000, 0.1)])
    third = reader.read_on()
    assert [len(one.attempts[0].epochs) for one in (first, second, third) if one] == [1, 2, 2]


def test_claims_of_before_there_were_prices_are_read(volume: Volume) -> None:
    job = posted_at(volume)
    attempt = claimed_at(job, 1, 0)
    text = attempt.claim_file.read_text()
    old = text.replace(',"gpu_price_per_hour":null,"currency":null', "").replace(
        ',\n  "gpu_price_per_hour": null,\n  "currency": null', ""
    )
    attempt.claim_file.write_text(old)
    assert "currency" not in old
    claim = attempt.claim()
    assert claim is not None
    assert (claim.gpu_price_per_hour, claim.claimed_at) == (None, at(0))
