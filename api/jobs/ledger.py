"""The `ledger` of a job as a client sees it, and the sum of several."""

from dataclasses import dataclass, field
from typing import Any

from api.shapes import insight as shapes
from shared.ledger import PARTS, Held, Ledger, money


@dataclass
class LedgerSum:
    """The sum of the ledgers of several jobs. Times are in microseconds."""

    jobs: int = 0
    waiting: int = 0
    avoided: int = 0
    avoided_epochs: int = 0
    unpriced: int = 0
    uncharged: int = 0
    parts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    costs: dict[str, dict[str, float]] = field(default_factory=dict)

    def add_job(self, ledger: Ledger) -> None:
        """Add the waiting and the avoided time of a job, at the price of its last attempt."""
        self.jobs += 1
        self.waiting += ledger.waiting
        self.avoided += ledger.avoided
        self.avoided_epochs += ledger.avoided_epochs
        last = ledger.held[-1] if ledger.held else None
        if last is not None and last.price_per_hour is not None and last.currency is not None:
            self._cost(last.currency)["avoided"] += money(ledger.avoided, last.price_per_hour)

    def add_held(self, held: Held) -> None:
        """Add the compute time of an attempt, and its cost if it has a price."""
        for name, time in held.parts.items():
            self.parts[name] += time
        self.uncharged += held.uncharged
        if held.price_per_hour is None or held.currency is None:
            self.unpriced += held.total
            return
        cost = self._cost(held.currency)
        for name, time in held.parts.items():
            cost[name] += money(time, held.price_per_hour)

    def _cost(self, currency: str) -> dict[str, float]:
        return self.costs.setdefault(currency, dict.fromkeys((*PARTS, "avoided"), 0.0))

    def sums(self) -> dict[str, Any]:
        """The fields of `shapes.LedgerSums`."""
        seconds = {name: time / 1e6 for name, time in self.parts.items()}
        return {
            "waiting_seconds": self.waiting / 1e6,
            "gpu_seconds": shapes.GpuSeconds(**seconds, total=sum(self.parts.values()) / 1e6),
            "avoided": shapes.Avoided(epochs=self.avoided_epochs, gpu_seconds=self.avoided / 1e6),
            "costs": [_part_costs(currency, cost) for currency, cost in sorted(self.costs.items())],
            "unpriced_gpu_seconds": self.unpriced / 1e6,
            "uncharged_gpu_seconds": self.uncharged / 1e6,
        }


def ledger_report(ledger: Ledger) -> shapes.Ledger:
    """The `ledger` of a job."""
    total = LedgerSum()
    total.add_job(ledger)
    for held in ledger.held:
        total.add_held(held)
    return shapes.Ledger(**total.sums(), median_epoch_seconds=ledger.median_epoch_seconds)


def _part_costs(currency: str, cost: dict[str, float]) -> shapes.PartCosts:
    parts = {name: round(cost[name], 6) for name in PARTS}
    total = round(sum(parts.values()), 6)
    return shapes.PartCosts(currency=currency, **parts, total=total, avoided=round(cost["avoided"], 6))
