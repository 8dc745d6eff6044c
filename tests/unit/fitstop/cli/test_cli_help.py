"""What `--help` prints in a terminal of 80 columns."""

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from fitstop.cli.exit_codes import ExitCode
from fitstop.cli.main import main


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


def help_of(*path: str) -> str:
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="fitstop", terminal_width=80)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_it_is_laid_out(path):
    lines = help_of(*path).splitlines()
    assert lines[0].startswith(" ".join(["Usage: fitstop", *path]))
    assert [line for line in lines if len(line) > 80 or "\b" in line or r"\b" in line] == []
    assert [line for line in lines if re.search(r"\w-$", line)] == [], "a name is broken at its hyphen"
    if any("Examples:" in line for line in lines):
        examples = lines[lines.index("  Examples:") + 1 :]
        assert all(line.startswith(f"    fitstop {' '.join(path)} ") for line in examples)
        assert lines[lines.index("  Examples:") - 1] == ""


def test_each_exit_status_has_a_line_of_its_own():
    shown = re.findall(r"^ +(\d+)  \S", help_of().partition("Exit status:\n")[2], re.MULTILINE)
    assert [int(status) for status in shown] == sorted(ExitCode)
