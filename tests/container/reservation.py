"""The GPU reservation reaches the runtime: podman-compose passes it on as a CDI device, here a made-up one.

`docker compose` leaves the reservation to Docker's own engine, so podman-compose starts this stack.
"""

import os
from pathlib import Path

from tests.container.support import IMAGE, Work, holds, run

SPECIFICATION = """
cdiVersion: "0.5.0"
kind: nvidia.com/gpu
devices:
  - name: all
    containerEdits:
      deviceNodes: [{path: /dev/nvidia-made-up, hostPath: /dev/null, type: c, major: 1, minor: 3}]
"""
FOLDER = Path("/etc/cdi")


def check(work: Work) -> None:
    environment = {"FITSTOP_IMAGE": IMAGE, "REDIS_PASSWORD": "x" * 32, "FITSTOP_ADMIN_KEY": "x" * 32}
    command = (os.environ["PODMAN_COMPOSE"], "-f", "docker-compose.yml")
    without = run(*command, "up", "-d", "worker", check=False, **environment)
    holds("without a GPU the runtime refuses the worker", "nvidia.com/gpu=all" in without.stderr + without.stdout)
    run(*command, "down", "-v", **environment)
    # This mount is visible only in this namespace.
    FOLDER.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", str(FOLDER))
    (FOLDER / "nvidia.yaml").write_text(SPECIFICATION)
    run(*command, "up", "-d", **environment)
    has = {
        name: run("podman", "exec", f"fitstop_{name}_1", "test", "-c", "/dev/nvidia-made-up", check=False).returncode
        == 0
        for name in ("redis", "api", "worker")
    }
    holds(f"the device is in the worker alone: {has}", has == {"redis": False, "api": False, "worker": True})
    run(*command, "down", "-v", **environment)
