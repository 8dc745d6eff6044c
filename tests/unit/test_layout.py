"""Layout rules that import-linter's contracts cannot express: no import cycle, and nothing too long to read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "fitstop", "shared", "worker")
MOST_LINES, MOST_FUNCTION_LINES = 400, 40
# The table of all routes.
LONG_FUNCTIONS = {"api/__init__.py create_app"}


def test_no_modules_import_each_other_not_even_for_types_or_inside_functions() -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    below = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while leaves := [module for module, imported in below.items() if not imported & below.keys()]:
        for module in leaves:
            del below[module]
    assert below == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_and_no_function_is_too_long(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert [str(file) for file in files if len(file.read_text().splitlines()) > MOST_LINES] == []
    long = {f"{file.relative_to(ROOT)} {name}" for file in files for name in long_functions(file)}
    assert long - LONG_FUNCTIONS == set()


def long_functions(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno >= MOST_FUNCTION_LINES:
                yield node.name
