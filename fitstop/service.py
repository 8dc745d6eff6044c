"""The service's own code (`api`, `shared`, `worker`), and how its processes are started.

In a wheel this code is in `fitstop/_service`, because its common names must not be top-level packages of a user's
Python. In the repository it is in the root. Only the service's own processes have the folder on their path.

`python -m fitstop.service MODULE [ARGUMENT …]` becomes one of them, such as `api`, `worker` or `api.make_key`.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = Path(__file__).parent
_IN_A_WHEEL = _PACKAGE / "_service"


def code_folder() -> Path:
    """The folder that contains the service's packages."""
    return _IN_A_WHEEL if _IN_A_WHEEL.is_dir() else _PACKAGE.parent


def service_command(module: str, *arguments: str) -> list[str]:
    """The command of a process of the service. It needs `service_environment`."""
    # Without -P `python -m api` would import a folder called `api` in the user's working directory.
    return [sys.executable, "-P", "-m", module, *arguments]


def service_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environment` with the service's code on the path, before other packages with the same names."""
    folders = [str(code_folder()), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(folders), "PYTHONSAFEPATH": "1"}


def run_service(
    module: str, *arguments: str, environment: Mapping[str, str] = os.environ, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a process of the service to its end. Raises subprocess.TimeoutExpired after `seconds`."""
    return subprocess.run(
        service_command(module, *arguments),
        env=service_environment(environment),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m fitstop.service MODULE [ARGUMENT …], such as: python -m fitstop.service api")
    command = service_command(*sys.argv[1:])
    os.execve(command[0], command, service_environment())  # noqa: S606  no shell is the point
