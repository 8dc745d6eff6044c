"""Fixtures of the tests of scripts."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def process_as_before() -> Iterator[None]:
    """Restore the process after the test, because a script changes the process that it runs in."""
    folder, arguments, path, environment = Path.cwd(), sys.argv, sys.path[:], dict(os.environ)
    yield
    os.chdir(folder)
    sys.argv, sys.path[:] = arguments, path
    os.environ.clear()
    os.environ.update(environment)
