"""`python3 -m tests.container FOLDER [DATA] [PART ...]`: run all parts, or those that are named. See `run`."""

import sys
from pathlib import Path

from tests.container import image, joining, one_container, programs, reservation, stack, tls
from tests.container.support import Work, made_up_wine, run

PARTS = {
    "image": image.check,
    "stack": stack.check,
    "programs": programs.check,
    "tls": tls.check,
    "one-container": one_container.check,
    "joining": joining.check,
    "reservation": reservation.check,
}


def main() -> None:
    folder, data, *parts = *sys.argv[1:], *[""] * (3 - len(sys.argv))
    work = Work(Path(folder), (Path(data) if data else made_up_wine(Path(folder, "wine.csv"))).read_bytes())
    for part in parts or PARTS:
        print(f"-- {part}", flush=True)
        try:
            PARTS[part](work)
        except SystemExit:
            show_containers()
            raise
    print("container-test: all of it holds")


def show_containers() -> None:
    """Print the state and the last log lines of each container, after a failed check."""
    print(run("podman", "ps", "-a", "--format", "{{.Names}}  {{.Status}}").stdout)
    for name in run("podman", "ps", "-a", "--format", "{{.Names}}").stdout.split():
        print(f"-- {name}", *run("podman", "logs", "--tail", "8", name).stderr.splitlines(), sep="\n")


if __name__ == "__main__":
    main()
