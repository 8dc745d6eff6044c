"""The rows of both parts: the same split as scikit-learn's, and the same rows at the post and in training."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from shared.rows import (
    CannotSplit,
    Columns,
    class_codes,
    complete_rows,
    first_beyond_float32,
    part_sizes,
    split_parts,
    split_rows,
)
from shared.spec import Positive

FRACTIONS = st.floats(0, 1, exclude_min=True, exclude_max=True) | st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9])
SEEDS = st.integers(0, 2**32 - 1)


def sklearns(rows, fraction, seed, strata=None):
    return train_test_split(np.arange(rows), test_size=fraction, random_state=seed, stratify=strata)


def compare(rows, fraction, seed, strata=None):
    """Check that both split alike, or that both refuse."""
    column = None if strata is None else strata.reshape(-1, 1)
    try:
        expected = sklearns(rows, fraction, seed, column)
    except ValueError:
        with pytest.raises(CannotSplit, match=r"left to train|only one row|smaller part"):
            split_rows(rows, fraction, seed, strata)
        return
    for ours, theirs in zip(split_rows(rows, fraction, seed, strata), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(st.integers(2, 3000), FRACTIONS, SEEDS)
@settings(max_examples=300, deadline=None)
def test_rows_are_split_as_scikit_learn_splits_them(rows, fraction, seed):
    compare(rows, fraction, seed)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=14), FRACTIONS, SEEDS, st.sampled_from([np.int32, np.float32]))
@settings(max_examples=300, deadline=None)
def test_classes_are_kept_in_proportion_as_scikit_learn_keeps_them(sizes, fraction, seed, dtype):
    numbers = np.repeat(np.arange(len(sizes)), sizes).astype(dtype)
    np.random.default_rng(seed).shuffle(numbers)
    compare(len(numbers), fraction, seed, numbers)


@pytest.mark.parametrize("rows", [60, 6463, 100_000])
def test_parts_of_known_sizes_are_the_same(rows):
    compare(rows, 0.2, 42)
    compare(rows, 0.2, 42, (np.arange(rows) * 7919 % 12).astype(np.int32))


@pytest.mark.parametrize("strata", [None, np.arange(300) * 7919 % 4])
def test_a_test_part_is_split_off_before_the_others_as_scikit_learn_would(strata):
    rest, test = sklearns(300, 0.15, 7, None if strata is None else strata[:, None])
    left = None if strata is None else strata[rest][:, None]
    train, validation = train_test_split(rest, test_size=0.2, random_state=7, stratify=left)
    parts = split_parts(300, 0.2, 0.15, 7, strata)
    for ours, theirs in zip(parts, (train, validation, test), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    assert part_sizes(300, 0.2, 0.15) == tuple(len(part) for part in parts)


def test_without_a_test_fraction_the_split_is_as_it_was():
    for ours, before in zip(split_parts(10, 0.3, None, 42), (*split_rows(10, 0.3, 42), []), strict=True):
        np.testing.assert_array_equal(ours, before)


def test_the_split_of_a_stored_job_never_changes():
    """Pinned values: a new numpy or scikit-learn with another split would break the resume of stored jobs."""
    train, validation = split_rows(10, 0.3, 42)
    assert (train.tolist(), validation.tolist()) == ([0, 7, 2, 9, 4, 3, 6], [8, 1, 5])
    train, validation = split_rows(12, 0.25, 42, np.array([0, 1, 2] * 4))
    assert (train.tolist(), validation.tolist()) == ([3, 9, 5, 1, 4, 10, 2, 0, 11], [8, 7, 6])


def columns_of(tmp_path, **columns):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return Columns(path)


def test_rows_that_are_left_have_a_value_in_every_column(tmp_path):
    columns = columns_of(
        tmp_path,
        **{
            "a": pa.array([1.0, None, 3.0, 4.0]),
            "a.b": pa.array(["x", "y", None, "z"]),
            "t": pa.array([1, 2, 3, None]),
        },
    )
    assert complete_rows(columns, ["a", "a.b", "t"], 4).tolist() == [0]
    assert complete_rows(columns, ["a.b"], 4).tolist() == [0, 1, 3]
    assert complete_rows(columns, [], 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("cells", "values", "numbers"),
    [
        (["b", "a", None, "é", "b"], ("a", "b", "é"), [1, 0, -1, 2, 1]),
        ([3, 1, None, 2, 3], (1, 2, 3), [2, 0, -1, 1, 2]),
        ([0.0, -0.0, 1.5, None, 0.0], (0.0, 1.5), [0, 0, 1, -1, 0]),
        ([True, None, False, True, True], (False, True), [1, -1, 0, 1, 1]),
    ],
)
def test_values_are_numbered_in_their_order(tmp_path, cells, values, numbers):
    codes = columns_of(tmp_path, x=pa.array(cells)).codes("x")
    assert (codes.values, codes.numbers.tolist()) == (values, numbers)


def test_a_class_without_a_row_left_has_no_number(tmp_path):
    columns = columns_of(tmp_path, t=pa.array(["c", "b", "a", "c"]))
    codes = class_codes(columns, "t", None, np.array([0, 2, 3]))
    assert (codes.values, codes.numbers.tolist()) == (("a", "c"), [1, -1, 0, 1])


def test_with_positive_values_there_are_two_classes(tmp_path):
    columns = columns_of(tmp_path, t=pa.array([3, None, 6, 8]))
    codes = class_codes(columns, "t", Positive(at_least=6), np.array([0, 2, 3]))
    assert codes.numbers.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("numbers", "first"),
    [([1.0, 3.4e38, -3.4e38], None), ([1, 2**62], None), ([0.0, -1e39, 1e300], -1e39), ([float("inf")], float("inf"))],
)
def test_numbers_beyond_float32_are_found(numbers, first):
    assert first_beyond_float32(np.array(numbers)) == first
