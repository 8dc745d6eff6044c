"""The image by itself: its files, its labels, and how it refuses what it cannot use."""

import json
import tomllib
from pathlib import Path

from tests.container.support import IMAGE, Work, holds, run

OURS = ("api", "fitstop", "shared", "worker")


def check(_work: Work) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    facts = json.loads(run("podman", "image", "inspect", IMAGE).stdout)[0]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in facts["Labels"].items()}
    said = (labels["title"], labels["version"], labels["licenses"])
    holds(f"its labels are the project's: {labels}", said == (project["name"], project["version"], project["license"]))
    holds("only the API's port is exposed", list(facts["Config"]["ExposedPorts"]) == ["8000/tcp"])
    check_files()
    check_sbom()
    check_refusals()


def check_files() -> None:
    """Check that all files of the packages are in the image, also templates and pictures."""
    there = set(inside("find", "/app", "-type", "f").stdout.split("\n"))
    ours = [name for name in run("git", "ls-files", *OURS).stdout.split("\n") if name]
    left_out = [name for name in ours if place_of(name) not in there]
    holds(f"all {len(ours)} files of {', '.join(OURS)} are in it; left out: {left_out}", not left_out)


def place_of(name: str) -> str:
    """The path in the image of a file of the repository."""
    return f"/app/{name}" if name.startswith("fitstop/") else f"/app/fitstop/_service/{name}"


def check_sbom() -> None:
    sbom = json.loads(inside("cat", "/usr/local/share/fitstop/sbom.cdx.json").stdout)
    names = {one["name"] for one in sbom["components"]}
    holds(f"the SBOM lists {len(names)} components", {"fitstop", "keras", "flask", "redis-server", "tini"} <= names)


def check_refusals() -> None:
    none = ("--cap-drop", "ALL")
    read_only = ("--read-only", "--tmpfs", "/tmp", "--user", "10001:10001", *none)
    for what, options, command, says in (
        ("a data folder that cannot be written", [*read_only, "-e", "FITSTOP_DATA=/opt"], "api", "cannot be written"),
        ("root without the right to stop being root", [*none], "api", "CHOWN, SETUID and SETGID"),
        ("a short Redis password", ["-e", "REDIS_PASSWORD=short"], "redis", "expected 16 or more"),
    ):
        refused = run("podman", "run", "--rm", *options, IMAGE, command, check=False)
        holds(f"{what} is refused with status 78: {refused.stderr.strip().splitlines()[-1]}",
              refused.returncode == 78 and says in refused.stderr)  # fmt: skip
    holds("any other command runs as user 10001", inside("id", "-u").stdout.strip() == "10001")


def inside(*command: str):
    return run("podman", "run", "--rm", IMAGE, *command)
