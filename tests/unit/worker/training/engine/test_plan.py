"""The rule that chooses how a job is computed."""

import json
from typing import Any

import numpy as np
import pytest

from shared.job import EnginePlan, JobRecord
from shared.resolve import resolve
from shared.spec import JobSpec
from shared.validation import validate
from tests.unit.shared.records import GRADES, dataset, record, spec
from worker.training.data.rows import Data, Part
from worker.training.engine import plan as rule
from worker.training.engine.plan import decide_plan, likely_epochs
from worker.training.order import validation_batch


def a_record(**parts: Any) -> JobRecord:
    document = spec()
    for name, part in parts.items():
        document[name] = {**document.get(name, {}), **part}
    resolved = resolve(validate(JobSpec, document), dataset(GRADES, rows=10_000))
    return record().model_copy(update={"spec": resolved.spec, "task": resolved.task})


def plan(rows: int = 5170, **parts: Any) -> EnginePlan:
    train, validation = (Part({"rows": np.zeros((count, 12))}, np.zeros((count, 1))) for count in (rows, 1293))
    return decide_plan(a_record(**parts), Data(train, validation))


def test_the_articles_job_is_fused_with_xla_on_one_thread() -> None:
    chosen = plan()
    assert (chosen.engine, chosen.xla, chosen.threads, chosen.steps_per_epoch) == ("fused", True, 1, 162)
    assert chosen.reason == "all data is in arrays; with XLA: about 4860 steps repay its compilation"


def test_few_steps_do_not_pay_for_xla() -> None:
    assert not plan(hyperparameters={"epochs": 10}).xla
    assert not plan(rows=500).xla
    assert not plan(callbacks={"early_stopping": {"patience": 5}}).xla
    assert plan(callbacks={"early_stopping": None}).xla


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize("engine", ["fused", "stock"])
def test_what_is_asked_for_is_done_and_the_reason_says_so(engine: str, xla: bool) -> None:
    chosen = plan(hyperparameters={"engine": engine, "xla": xla})
    assert (chosen.engine, chosen.xla) == (engine, xla)
    assert chosen.reason == f"as requested; {'with' if xla else 'without'} XLA: as requested"


def test_a_large_step_gets_every_core() -> None:
    import os

    assert plan(model={"layers": [4096, 4096]}).threads == len(os.sched_getaffinity(0))


def test_the_graph_of_a_small_step_on_a_cpu_is_not_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not plan().rewrites_graphs
    assert plan(model={"layers": [4096, 4096]}).rewrites_graphs
    monkeypatch.setattr(rule, "device", lambda: "GPU")
    assert plan().rewrites_graphs


def test_a_job_that_was_begun_before_there_was_a_choice_keeps_its_bits() -> None:
    stored = plan().model_dump(mode="json", exclude={"rewrites_graphs"})
    assert EnginePlan.model_validate_json(json.dumps(stored)).rewrites_graphs


def test_the_likely_end_follows_the_patience() -> None:
    assert likely_epochs(a_record(callbacks={"early_stopping": {"patience": 7, "start_from_epoch": 5}})) == 26
    assert likely_epochs(a_record(hyperparameters={"epochs": 12})) == 12
    assert likely_epochs(a_record(hyperparameters={"epochs": 12}, callbacks={"early_stopping": None})) == 12


def test_a_validation_batch_fits_the_widest_layer_and_is_never_below_the_training_batch() -> None:
    assert validation_batch(rows=1293, batch_size=32, widest_layer=64) == 1293
    assert validation_batch(rows=100_000, batch_size=32, widest_layer=64) == 8192
    assert validation_batch(rows=100_000, batch_size=32, widest_layer=65_536) == 244
    assert validation_batch(rows=100_000, batch_size=512, widest_layer=65_536) == 512
    assert validation_batch(rows=10, batch_size=512, widest_layer=64) == 10


def test_several_devices_train_on_the_stock_engine_without_xla() -> None:
    chosen = plan(hyperparameters={"devices": 2})
    assert (chosen.engine, chosen.xla, chosen.devices) == ("stock", False, 2)
    assert chosen.reason.startswith("it trains on several devices; without XLA")
