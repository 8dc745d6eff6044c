"""Print what the image is made of as CycloneDX JSON: every Python distribution and every Debian package."""

import json
import subprocess
from importlib.metadata import distributions
from urllib.parse import quote


def main() -> None:
    """One component for each, in the order of their names."""
    components = sorted([*python_packages(), *debian_packages()], key=lambda one: (one["purl"], one["version"]))
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}
    print(json.dumps(document, indent=1))  # noqa: T201


def python_packages() -> list[dict[str, str]]:
    """What this Python finds."""
    return [component("pypi", one.metadata["Name"].lower().replace("_", "-"), one.version) for one in distributions()]


def debian_packages() -> list[dict[str, str]]:
    """What dpkg has installed."""
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\n"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [component("deb/debian", *line.split(" ", 1)) for line in listed]


def component(kind: str, name: str, version: str) -> dict[str, str]:
    """A package with its package URL."""
    purl = f"pkg:{kind}/{quote(name)}@{quote(version)}"
    return {"type": "library", "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main()
