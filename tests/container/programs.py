"""Scripts in the worker's container: no root, no capabilities, read-only root, the engine's own seccomp filter."""

import json
from pathlib import Path

from tests.container.support import Composed, Service, Work, holds, run, wait_for

SERVICES = ("redis", "api", "webhooks", "worker")
REPOSITORY = Path(__file__).parents[2]
# Slow enough to be killed during each of its two calls of `fit`.
LONG = b"""
import fitstop, keras, numpy as np  # fitstop lies elsewhere in an image than in a clone
keras.utils.set_random_seed(4)
x = np.random.default_rng(4).normal(size=(6000, 16)).astype("float32")
y = (x[:, :4].sum(axis=1) > 0).astype("int64")
layers = keras.layers
model = keras.Sequential([keras.Input((16,)), layers.Dense(32, "relu"), layers.Dense(2, "softmax")])
for rate in (0.01, 0.001):
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, validation_split=0.25, epochs=150, batch_size=16, verbose=0)
open("weights.txt", "w").write(repr([array.tolist() for array in model.get_weights()]))
"""


def check(_work: Work) -> None:
    compose = Composed("docker-compose.yml", "docker-compose.cpu.yml")
    compose.environment["FITSTOP_ALLOW_CODE"] = "boxed"
    compose.up(*SERVICES)
    service = Service(compose.key)
    wait_for("the service is ready", service.is_ready)
    said = run("podman", "exec", "fitstop-worker-1", "fitstop", "doctor", "-o", "json").stdout
    sandbox = {one["name"]: one for one in json.loads(said)["data"]}["program sandbox"]
    holds(f"the doctor finds the sandbox: {sandbox}", sandbox["status"] == "ok")
    check_hostile(service)
    check_killed(compose, service)
    compose("down", "-v", "-t", "20")


def check_hostile(service: Service) -> None:
    service.ask("PUT", "/datasets/theirs", b"a,label\n" + b"1,0\n2,1\n" * 20, "text/csv")
    other = service.ended(service.post({"dataset": {"id": "theirs", "target": "label"}}))
    holds(f"another job ends: {other['error']}", other["status"] == "succeeded")
    job = post_script(service, "hostile", (REPOSITORY / "proofs/hostile_script/script.py").read_bytes())
    ended = service.ended(job)
    found = json.loads(service.ask("GET", f"/jobs/{job}/files/attacks.json"))
    worked = {name: evidence for name, (what, evidence) in found.items() if what == "DID"}
    holds(f"none of {len(found)} attacks of a script works: {worked}; {ended['status']}", found and not worked)
    again = service.ended(service.post({"dataset": {"id": "theirs", "target": "label"}}))
    holds(f"the next job is clean: {again['error']}", again["status"] == "succeeded")


def check_killed(compose: Composed, service: Service) -> None:
    """Kill the worker's container twice: the script's weights must equal those of a run that was not killed."""
    untouched = post_script(service, "long", LONG)
    holds("an untouched script ends", service.ended(untouched)["status"] == "succeeded")
    job = service.post({"program": {"id": "long"}})
    for epoch in (40, 190):
        wait_for(f"epoch {epoch}", lambda: service.epoch(job) >= epoch)  # noqa: B023
        run("podman", "kill", "-s", "KILL", "fitstop-worker-1")
        compose.up(*SERVICES)
    done = service.ended(job)
    holds(f"a script whose container was killed twice ends in attempt {done['attempt']}",
          (done["status"], done["attempt"]) == ("succeeded", 3))  # fmt: skip
    weights = [service.ask("GET", f"/jobs/{one}/files/weights.txt") for one in (untouched, job)]
    holds("and its weights are those of the untouched one", weights[0] == weights[1])


def post_script(service: Service, name: str, script: bytes) -> str:
    service.ask("PUT", f"/programs/{name}", script, "text/x-python")
    return service.post({"program": {"id": name}})
