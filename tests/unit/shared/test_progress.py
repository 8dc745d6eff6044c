"""The best model and the last improvement in stored documents, also under the names of older versions."""

import json

import pytest

from shared.document import parse_document
from shared.job import JobResult, Stop
from shared.progress import Best, EpochProgress, LastImprovement, Patience

BEST = Best(epoch=27, monitor="val_accuracy", value=0.7853)
OLD_PATIENCE = {"monitor": "val_accuracy", "wait": 3, "patience": 10, "stops_at_epoch": 30}


def progress(stopping: Patience | None, best: Best | None = BEST) -> EpochProgress:
    return EpochProgress(
        epoch=29, epochs=1000, metrics={"val_accuracy": 0.78}, learning_rate=0.001, seconds=0.5,
        best=best, early_stopping=stopping, reduce_lr=None,
    )  # fmt: skip


@pytest.mark.parametrize("last", [None, LastImprovement(epoch=20, value=0.785, min_delta=0.001)])
def test_a_stored_epoch_is_read_as_it_was_and_has_the_names_that_older_versions_require(last) -> None:
    told = progress(Patience(**OLD_PATIENCE, last_improvement=last))
    stored = told.event_data()
    assert EpochProgress.of(stored) == told
    old = stored["early_stopping"]["best_epoch"], stored["early_stopping"]["best_value"]
    assert old == ((20, 0.785) if last else (None, None))
    assert progress(None).event_data()["early_stopping"] is None


def test_an_epoch_of_an_older_version_is_read() -> None:
    found = Patience.model_validate({**OLD_PATIENCE, "best_epoch": 20, "best_value": 0.785})
    assert found.last_improvement == LastImprovement(epoch=20, value=0.785, min_delta=None)
    assert Patience.model_validate({**OLD_PATIENCE, "best_epoch": None, "best_value": None}).last_improvement is None


def stop_of(**old: object) -> Stop:
    stop = {"reason": "early_stopping", "monitor": "val_accuracy", "last_epoch": 30, **old}
    ending = {"status": "succeeded", "stop": stop}
    content = json.dumps({"finished_at": "2026-11-23T12:00:00.000Z", "attempt": 1, "ending": ending}).encode()
    read = parse_document(content, JobResult, "result.json").ending.stop
    assert read is not None
    return read


def test_the_best_epoch_of_an_older_result_is_the_last_improvement_where_early_stopping_was_on() -> None:
    stop = stop_of(best_epoch=20, best_value=0.785, wait=10, patience=10)
    assert (stop.monitor, stop.best) == ("val_accuracy", None)
    assert stop.last_improvement == LastImprovement(epoch=20, value=0.785, min_delta=None)
    assert stop.with_best(progress(None)).best == BEST
    assert stop.with_best(None) == stop


def test_the_best_epoch_of_an_older_result_without_early_stopping_is_the_best_model() -> None:
    stop = stop_of(best_epoch=27, best_value=0.7853, wait=None, patience=None)
    assert (stop.monitor, stop.best, stop.last_improvement) == (None, BEST, None)
    other = Best(epoch=1, monitor="loss", value=1.0)
    assert stop.with_best(progress(None, other)).best == BEST
    assert stop_of(best_epoch=None, best_value=None, wait=None, patience=None).best is None
