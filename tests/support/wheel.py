"""The wheel of the repository, installed in an environment with only Python and the wheel's requirements."""

import os
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def build_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


class Installed:
    """Our wheel in a new environment, with the libraries that its metadata names for some extras."""

    def __init__(self, folder: Path, wheel: Path, *extras: str) -> None:
        self.bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        [self.site_packages] = folder.glob("lib/python3*/site-packages")
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
        self.own_names = {entry.name for entry in self.site_packages.iterdir()}
        [ours] = Distribution.discover(name="fitstop", path=[str(self.site_packages)])
        for library in required(ours, *extras).values():
            self._link(library)

    def _link(self, library: Distribution) -> None:
        """Link a library from the environment of the tests. A copy would be large: TensorFlow alone is a gigabyte."""
        for name in {file.parts[0] for file in library.files or [] if file.parts[0] not in {"..", "__pycache__"}}:
            link = self.site_packages / name
            if not link.exists():  # a namespace that several libraries share
                link.symlink_to(Path(str(library.locate_file(name))))

    def start(self, *command: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
        """Start a program of the environment in a folder, without the variables of the tests."""
        program = str(self.bin / command[0])
        environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "COLUMNS": "200", **variables}
        return subprocess.Popen(
            [program, *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env=environment,
        )

    def run(self, *command: str, cwd: Path, **variables: str) -> tuple[int, str]:
        """Run a program, and return its exit status and its output."""
        with self.start(*command, cwd=cwd, **variables) as process:
            said, _ = process.communicate(timeout=200)
        return process.returncode, said


def required(root: Distribution, *extras: str) -> dict[str, Distribution]:
    """Every library that `root` needs, directly or indirectly, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(root, frozenset(extras))]
    seen = set()
    while waiting:
        asking, asked = waiting.pop()
        for text in asking.requires or []:
            requirement = Requirement(text)
            marker, key = requirement.marker, (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if key in seen or not (marker is None or any(marker.evaluate({"extra": one}) for one in asked | {""})):
                continue
            seen.add(key)
            try:
                found[key[0]] = distribution(requirement.name)
            except PackageNotFoundError as error:
                raise AssertionError(f"{asking.metadata['Name']} needs {text}, not installed in the tests") from error
            waiting.append((found[key[0]], key[1]))
    return found
