"""The shared libraries of NVIDIA's wheels and of TensorFlow, and whether each finds those that it needs."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

# These come with the driver of the machine, and into a container with NVIDIA's toolkit.
DRIVERS_OWN = ("libcuda.so", "libnvidia-")


@dataclass(frozen=True)
class Libraries:
    """How many there are, and each name that one of them needs and nothing has, with the file that needs it."""

    count: int = 0
    size_bytes: int = 0
    missing: dict[str, str] = field(default_factory=dict)


def look_at_libraries() -> Libraries:
    """Those of this Python; none where it has no wheels of NVIDIA's. Takes a second or two for some gigabytes."""
    folders = [folder for name in ("nvidia", "tensorflow") for folder in _folders(name)]
    files = sorted(file for folder in folders for file in folder.rglob("*.so*") if file.is_file())
    if not any("nvidia" in file.parts for file in files):
        return Libraries()
    return Libraries(len(files), sum(file.stat().st_size for file in files), missing_from(files))


def missing_from(files: Iterable[Path]) -> dict[str, str]:
    """What the system's own `ldd` does not find for them, without running any of their code."""
    missing: dict[str, str] = {}
    for file in files:
        said = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        for line in said.splitlines():
            if line.endswith("=> not found"):
                missing.setdefault(line.split()[0], file.name)
    return missing


def _folders(package: str) -> list[Path]:
    """Where a package lies; it is not imported."""
    spec = find_spec(package)
    return [Path(one) for one in (spec.submodule_search_locations or [])] if spec else []
