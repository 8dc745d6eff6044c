"""The imports of the fork server, read from its source: each one costs every start of a worker seconds."""

import ast
from pathlib import Path

PRELOAD = Path(__file__).parents[4] / "worker" / "training" / "preload.py"


def test_skops_is_imported_while_few_modules_are_there() -> None:
    body = ast.parse(PRELOAD.read_text()).body
    names = [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
    assert names.index("skops.io") < min(names.index("keras"), names.index("tensorflow"))
