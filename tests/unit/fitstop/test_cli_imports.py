"""The modules that every `fitstop` command imports at its start."""

import subprocess
import sys


def test_the_command_starts_without_the_libraries_that_validate_and_train():
    code = "import sys, fitstop.cli.main; print(sorted({'pydantic', 'numpy', 'pyarrow', 'redis'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
