import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fitstop.terminal.output import JobId, console, cut_middle, duration, literal, number, one_line, plain, size, table


def rendered(renderable, width=80):
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    screen.print(renderable)
    return screen.file.getvalue()


@given(st.text())
def test_nothing_that_moves_a_terminal_gets_through(text):
    assert not [one for one in plain(text) if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[red]x", "[red]x"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\u202eb", r"a\u202eb"),
        (":smile:", ":smile:"),
        ("Wein für Ärzte", "Wein für Ärzte"),
        ("no\u00a0break", "no break"),
    ],
)
def test_a_name_is_shown_literally(name, shown):
    grid = table("NAME")
    grid.add_row(literal(name))
    assert shown in rendered(grid)
    assert "\x1b" not in rendered(grid)


def test_a_pipe_is_wide_and_has_no_colours(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width > 200
    assert not console().is_terminal


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.78421, "0.7842"), (None, "-"), (0, "0"), (0.0, "0.0000"), (1e-7, "1e-07"), (123456.0, "1.23e+05"), (7, "7")],
)
def test_numbers_are_short(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (141_690, "141.7 kB"), (5e9, "5.0 GB"), (None, "-")])
def test_sizes_are_for_people(count, shown):
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0214, "0.021 s"), (12.34, "12.3 s"), (245, "4 min 05 s"), (7801, "2 h 10 min")]
)
def test_durations_are_for_people(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("width", "shown"), [(30, "job_01K8ABCDEFGHJKMNPQRSTVWXYZ"), (16, "job_01K8…STVWXYZ"), (1, "…")]
)
def test_an_id_without_room_loses_its_middle(width, shown):
    assert cut_middle("job_01K8ABCDEFGHJKMNPQRSTVWXYZ", width) == shown


def test_a_narrow_table_cuts_ids_in_the_middle_and_names_at_the_end_and_nothing_else():
    grid = table("ID", "NAME", "STATUS", narrow=("ID", "NAME"))
    grid.add_row(JobId("job_01K8ABCDEFGHJKMNPQRSTVWXYZ"), one_line("a name of several words"), "succeeded")
    screen = Console(width=45, file=io.StringIO())
    screen.print(grid)
    assert screen.file.getvalue().splitlines()[1].split("  ") == ["job_01K8…STVWXYZ", "a name of sever…", "succeeded"]
