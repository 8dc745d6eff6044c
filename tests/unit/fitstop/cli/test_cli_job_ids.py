from typing import Any, cast

import pytest

from fitstop.cli.job_ids import matches
from fitstop.cli.sweep_ids import find_job_or_sweep
from fitstop.client import Client
from fitstop.errors import NotFound

IDS = ["job_01K8AAAAAAAAAAAAAAAAAAAABC", "job_01K8AAAAAAAAAAAAAAAAAAAXYZ", "job_01K9BBBBBBBBBBBBBBBBBBBXYZ"]


@pytest.mark.parametrize("part", ["ABC", "abc", "aaabc", "job_01K8AAAAAAAAAAAAAAAAAAAAB", "01k8aaaaaaaaaaaaaaaaaaaab"])
def test_a_beginning_or_an_end_is_enough_whatever_its_case(part):
    assert matches(part, IDS) == [IDS[0]]


def test_a_part_of_several_ids_gives_them_all():
    assert matches("xyz", IDS) == IDS[1:]
    assert matches("job_", IDS) == IDS


def test_an_id_whose_middle_a_terminal_cut_out_is_found_by_its_ends():
    assert matches("job_01K8…XYZ", IDS) == IDS[1:2]
    assert matches("job_01K8…", IDS) == IDS[:2]


def test_a_whole_id_is_the_only_one_even_where_it_begins_another():
    assert matches("job_1", ["job_1", "job_12"]) == ["job_1"]


@pytest.mark.parametrize("part", ["", "nothing", "K8A"])
def test_what_no_id_begins_or_ends_with_gives_none(part):
    assert matches(part, IDS) == []


class Service:
    """A service with the jobs `IDS`, named `job` plus their number, and the sweep `search`."""

    def jobs(self, **_: Any) -> dict[str, Any]:
        return {"data": [{"id": one, "name": f"job{number}"} for number, one in enumerate(IDS)]}

    def sweeps(self, **_: Any) -> dict[str, Any]:
        return {"data": [{"id": "sweep_01K8AAAAAAAAAAAAAAAAAAAQQQ", "name": "search"}]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("job1", IDS[1]),
        ("ABC", IDS[0]),
        ("search", "sweep_01K8AAAAAAAAAAAAAAAAAAAQQQ"),
        ("qqq", "sweep_01K8AAAAAAAAAAAAAAAAAAAQQQ"),
    ],
)
def test_a_sweep_is_found_by_its_name_as_a_job_is(text, found):
    assert find_job_or_sweep(cast("Client", Service()), text) == found


def test_what_is_neither_a_job_nor_a_sweep_is_not_found():
    with pytest.raises(NotFound, match='no job has the name "nothing"'):
        find_job_or_sweep(cast("Client", Service()), "nothing")
