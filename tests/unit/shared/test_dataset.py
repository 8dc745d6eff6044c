"""The record of a dataset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.dataset import DatasetInfo, ValueCount
from shared.durable import encode
from tests.unit.shared.records import GRADES, dataset

VALUES = st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.text()


def test_a_column_is_found_by_its_name_and_no_other():
    data = dataset(GRADES)
    assert data.column("grade") == GRADES
    assert data.column("Grade") is None
    assert data.column_names == ["a", "b", "colour", "grade"]


def test_what_is_known_of_a_dataset_comes_back_from_its_file():
    data = dataset(GRADES)
    assert DatasetInfo.model_validate_json(encode(data.model_dump(mode="json"))) == data


@given(VALUES)
def test_a_value_comes_back_with_its_own_type(value):
    one = ValueCount(value=value, rows=1)
    back = ValueCount.model_validate_json(encode(one.model_dump(mode="json")))
    assert back.value == value
    assert type(back.value) is type(value)


@pytest.mark.parametrize("change", [{"id": "../x"}, {"rows": "5"}, {"format": 0}])
def test_a_damaged_record_is_an_error(change):
    with pytest.raises(ValidationError):
        DatasetInfo.model_validate({**dataset().model_dump(), **change})
