"""`fitstop.fit`: the arguments of `model.fit`, sent as a job."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fitstop.client import Client, Json
from fitstop.errors import FieldProblem, NotFound, Problem, Refused
from fitstop.fitting.arrays import FitData, read_arrays
from fitstop.fitting.callbacks import read_callbacks
from fitstop.fitting.compiled import read_compiled
from fitstop.fitting.model import build_model, input_names, read_model, saved_weights
from fitstop.fitting.problems import Problems
from fitstop.run import Run, open_client

# Keras's other arguments, for which a job has no equivalent, and the values with which they change nothing.
_WITHOUT_EQUIVALENT: dict[str, tuple[Any, ...]] = {
    "initial_epoch": (0,),
    "shuffle": (True,),
    "steps_per_epoch": (None,),
    "validation_steps": (None,),
    "validation_batch_size": (None,),
    "validation_freq": (1,),
}
# The id of a dataset or of weights is its kind and the first digits of its SHA-256; this is their number.
_DIGITS = 40
_NOT_THERE_YET = {"unknown_dataset"}
_CONFLICT = 409


def fit(  # noqa: PLR0913  the arguments of Keras's fit
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int | str = "auto",
    callbacks: Sequence[Any] | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    name: str | None = None,
    budget: Json | None = None,
    seed: int | None = None,
    devices: int = 1,
    client: Client | None = None,
    url: str | None = None,
    wait: bool = True,
    **others: Any,
) -> Run:
    """Train a compiled Keras model as a job, with the arguments of `model.fit`. Wait for it, and return its Run.

    Training starts from the model's own weights. The model itself does not change: `run.best_model()` is the trained
    one. `budget`, `seed` and `devices` are those of a job; `client` or `url` selects the service; `verbose=0` shows
    nothing; with `wait=False` this returns at once.

    Raises CannotSend, which names everything that cannot be sent; Refused, which names everything that the service
    refuses, also if no worker has enough devices; and what `Run.wait` raises.
    """
    data = FitData(x, y, validation_data, validation_split, sample_weight, class_weight)
    asked = {"seed": seed, "devices": None if devices == 1 else devices}
    given = {name: value for name, value in asked.items() if value is not None}
    hyperparameters = {"batch_size": 32 if batch_size is None else batch_size, "epochs": epochs, **given}
    job = _Job(model, data, callbacks, {"name": name, "budget": budget}, hyperparameters, others)
    run = job.send(open_client(client, url))
    return run.wait(verbose=bool(verbose)) if wait else run


class _Job:
    """The job of one call. All arguments are read before anything is sent."""

    def __init__(  # noqa: PLR0913, PLR0917  the parts of a call
        self, model: Any, data: FitData, callbacks: Any, own: Json, hyperparameters: Json, others: Mapping[str, Any]
    ) -> None:
        problems = Problems()
        _check_others(others, problems)
        build_model(model, data.x)
        self._model = model
        config = read_model(model, problems)
        compiled = read_compiled(model, problems)
        arrays = read_arrays(FitData(**{**vars(data), "input_names": input_names(model)}), problems)
        self._spec: Json = {
            **{name: value for name, value in own.items() if value is not None},
            "model": {"kind": "keras", "config": config},
            "hyperparameters": {**compiled.hyperparameters, **hyperparameters},
            "callbacks": read_callbacks(callbacks, compiled.names, problems),
            "metadata": compiled.names.as_metadata(),
        }
        problems.stop()
        # Imported only now: a user with arrays has numpy.
        from fitstop.fitting.npz import ArraysUpload

        self._arrays = ArraysUpload(arrays)

    def send(self, client: Client) -> Run:
        """Upload what the service does not have yet, submit the job, and return its Run."""
        wanted = f"arrays-{self._arrays.sha256[:_DIGITS]}"
        _check(client, {**self._spec, "dataset": {"kind": "arrays", "id": wanted}})
        _check_devices(client, self._spec["hyperparameters"].get("devices", 1))
        dataset_id = _put(client, wanted, client.dataset, lambda one: client.put_dataset(one, self._arrays))
        with saved_weights(self._model) as (path, sha256):
            wanted = f"weights-{sha256[:_DIGITS]}"
            weights_id = _put(client, wanted, client.model, lambda one: client.put_model(one, path))
        model = {**self._spec["model"], "weights": weights_id}
        spec = {**self._spec, "dataset": {"kind": "arrays", "id": dataset_id}, "model": model}
        return Run(client, client.submit(spec)["id"])


def _check_others(others: Mapping[str, Any], problems: Problems) -> None:
    for name, value in others.items():
        if name not in _WITHOUT_EQUIVALENT:
            raise TypeError(f"fit() got an unexpected keyword argument {name!r}")
        if value not in _WITHOUT_EQUIVALENT[name]:
            problems.add(f"{name}={value!r} has no equivalent in a job")


def _check(client: Client, spec: Json) -> None:
    """Raise Refused for problems that do not depend on the data, before the data is uploaded."""
    try:
        client.dry_run(spec)
    except NotFound:
        return
    except Refused as refused:
        errors = tuple(one for one in refused.problem.errors if one.code not in _NOT_THERE_YET)
        if errors:
            raise Refused(replace(refused.problem, errors=errors)) from None


def _check_devices(client: Client, devices: int) -> None:
    """Raise Refused if there are workers and none has enough devices, because the job would wait for another one."""
    alive = [one for one in client.workers()["data"] if one["status"] != "lost"] if devices > 1 else []
    most = max((max(one["slot_devices"], one.get("most_devices", 1)) for one in alive), default=devices)
    if devices > most:
        start = f"start a worker with FITSTOP_SLOT_DEVICES={devices}, or use fewer devices"
        detail = f"received {devices}, expected at most {most}, the most that a worker of this service has; {start}"
        field = FieldProblem("#/hyperparameters/devices", detail, "too_few_devices")
        raise Refused(Problem(_CONFLICT, "Too few devices", f"no worker can train it: {detail}", field.code, (field,)))


def _put(client: Client, wanted: str, find: Callable[[str], Json], put: Callable[[str], Json]) -> str:
    """Upload what the service does not have yet, and return its id. If another project has that id, use another."""
    owner = hashlib.sha256(f"{client.connection.url} {client.connection.api_key}".encode()).hexdigest()
    for name in (wanted, f"{wanted}-{owner[:8]}"):
        if _is_there(find, name):
            return name
        try:
            put(name)
        except Refused as refused:
            if refused.problem.status != _CONFLICT or name != wanted:
                raise
        else:
            return name
    raise AssertionError("the second name is found, put, or refused")


def _is_there(find: Callable[[str], Json], name: str) -> bool:
    try:
        find(name)
    except NotFound:
        return False
    return True
