"""A table or batch that fits no machine of the service is refused when posted, with the product and the fix."""

import pytest

from shared.problems import Refused
from shared.resolve import resolve
from shared.resolve.memory import MemoryLimits
from shared.settings import Settings
from shared.spec import JobSpec
from shared.validation import validate
from tests.unit.shared.records import GRADES, dataset, numbers, spec

LIMITS = MemoryLimits(Settings().max_table_bytes, Settings().max_batch_bytes)


def problems(document, data, limits=LIMITS):
    try:
        resolve(validate(JobSpec, document), data, memory=limits)
    except Refused as refused:
        return {one.pointer: one.detail for one in refused.problems if one.code == "too_much_memory"}
    return {}


def wide_text(rows, distinct):
    return numbers("t", 2).model_copy(
        update={"kind": "text", "distinct": distinct, "values": None, "minimum": None, "maximum": None, "mean": None}
    )


def test_one_hot_columns_that_fill_the_memory_are_refused_with_the_product():
    texts = [wide_text(50_000, 1000).model_copy(update={"name": f"t{number}"}) for number in range(200)]
    found = problems(spec(), dataset(GRADES, *texts, rows=50_000))
    assert "40000 training rows x 200003 features x 4 bytes = 32000480000 bytes" in found["#/dataset"]
    assert "hashing" in found["#/dataset"]


def test_a_batch_of_a_wide_layer_is_refused_with_the_product():
    document = {**spec("model/layers", [65_536]), "hyperparameters": {"batch_size": 4096}}
    found = problems(document, dataset(GRADES, rows=50_000))
    assert "4096 x a width of 65536 x 4 bytes = 1073741824 bytes" in found["#/hyperparameters/batch_size"]


def test_an_ordinary_job_is_taken_and_the_limits_are_settings():
    assert problems(spec(), dataset(GRADES)) == {}
    found = problems(spec(), dataset(GRADES), MemoryLimits(900, 900))
    assert sorted(found) == ["#/dataset", "#/hyperparameters/batch_size"]


@pytest.mark.parametrize("table_bytes", [959, 960])
def test_the_limit_itself_is_allowed(table_bytes):
    # 80 training rows of a, b and colour.
    found = problems(spec(), dataset(GRADES), MemoryLimits(table_bytes, 10**9))
    assert bool(found) == (table_bytes < 80 * 3 * 4)
