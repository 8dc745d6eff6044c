"""Checks whether the shared libraries of NVIDIA's wheels and of TensorFlow find the libraries that they need."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

# These come with the machine's driver. NVIDIA's toolkit brings them into a container.
DRIVERS_OWN = ("libcuda.so", "libnvidia-")


@dataclass(frozen=True)
class Libraries:
    """`count`: number of libraries. `missing`: each library that was not found, with a file that needs it."""

    count: int = 0
    size_bytes: int = 0
    missing: dict[str, str] = field(default_factory=dict)


def check_libraries() -> Libraries:
    """Check the libraries of this Python; none without NVIDIA's wheels. Takes a second or two for some gigabytes."""
    folders = [folder for name in ("nvidia", "tensorflow") for folder in _folders(name)]
    files = sorted(file for folder in folders for file in folder.rglob("*.so*") if file.is_file())
    if not any("nvidia" in file.parts for file in files):
        return Libraries()
    return Libraries(len(files), sum(file.stat().st_size for file in files), missing_from(files))


def missing_from(files: Iterable[Path]) -> dict[str, str]:
    """The libraries that `ldd` does not find, each with a file that needs it. Executes none of the files."""
    missing: dict[str, str] = {}
    for file in files:
        said = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        for line in said.splitlines():
            if line.endswith("=> not found"):
                missing.setdefault(line.split()[0], file.name)
    return missing


def _folders(package: str) -> list[Path]:
    """The folders of a package, without importing it."""
    spec = find_spec(package)
    return [Path(one) for one in (spec.submodule_search_locations or [])] if spec else []
