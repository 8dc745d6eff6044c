import pytest

from fitstop.cli.job_ids import matches

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
