"""A profile stays short whatever the columns hold: the longest lists of values are left out first."""

from api.datasets.ingest.table import leave_out_lists
from shared.dataset import MOST_PROFILE_BYTES
from tests.unit.shared.records import listed


def size(columns):
    return sum(len(column.model_dump_json()) for column in columns)


def test_the_longest_lists_are_left_out_of_a_profile_that_would_be_too_long():
    wide = [
        listed(f"c{number}", {f"{value:03d}" + "x" * 200: 1 for value in range(100)}, kind="text")
        for number in range(300)
    ]
    target = listed("target", {"no": 60, "yes": 40}, kind="text")
    shown = leave_out_lists([*wide, target])
    assert size([*wide, target]) > 5 * MOST_PROFILE_BYTES
    assert size(shown) <= MOST_PROFILE_BYTES
    assert [one.name for one in shown] == [one.name for one in [*wide, target]]
    assert shown[-1].values == target.values
    assert 20 < sum(one.values is not None for one in shown) < 100


def test_a_short_profile_keeps_all_its_lists():
    columns = [listed("a", {1: 2, 2: 3}), listed("b", {"x": 5}, kind="text")]
    assert leave_out_lists(columns) == columns
