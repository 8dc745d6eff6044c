"""The environment, read once, loudly: a typo stops the start and names the variable and its value.

Every setting is an environment variable `FITSTOP_<NAME>`; its unit is in its name. `fitstop config` lists them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.problems import FitstopError, nearest

PREFIX = "FITSTOP_"
# Read by the command `fitstop` alone.
CLIENT_VARIABLES = ("FITSTOP_URL", "FITSTOP_API_KEY", "FITSTOP_WINE_URL")


class BadEnvironment(FitstopError):
    """A variable that is set and cannot be used, or that nobody reads."""

    code = "bad_environment"


class Settings(BaseModel):
    """All settings of the API and of the worker, with their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    volume: Path = Field(default=Path("fitstop-data/volume"), description="the shared volume's folder")
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"), description="the Redis that carries the doorbell"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level logged")

    # The API
    host: str = Field(default="127.0.0.1", description="the address that the API listens on")
    port: int = Field(default=8000, ge=0, le=65_535, description="the port that the API listens on")
    api_processes: int = Field(default=1, ge=1, le=64, description="gunicorn's worker processes")
    api_threads: int = Field(default=256, ge=2, le=1024, description="threads in each of them")
    max_streams: int = Field(default=192, ge=1, le=1000, description="event streams open at once in one process")
    max_job_bytes: int = Field(default=256 * 1024, ge=1024, description="body of POST /jobs, at most")
    max_json_depth: int = Field(default=32, ge=4, le=200, description="nesting of a JSON body, at most")
    max_dataset_bytes: int = Field(default=1024**3, ge=1024, description="body of PUT /datasets/{id}, at most")
    max_dataset_columns: int = Field(default=4096, ge=2, description="columns of a dataset, at most")
    max_dataset_cells: int = Field(default=50_000_000, ge=4, description="rows times columns of a dataset, at most")
    ingest_timeout_seconds: float = Field(default=300, gt=0, description="time to parse an upload, at most")
    ingest_memory_bytes: int = Field(default=8 * 1024**3, ge=256 * 1024**2, description="memory to parse it, at most")

    # The worker
    slots: int = Field(default=1, ge=1, le=64, description="jobs at once on this worker")
    gpu_price_per_hour: float | None = Field(
        default=None, ge=0, le=1_000_000, description="what an hour of one slot's GPU costs, for the ledger"
    )
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="the currency of that price")
    child_start: Literal["forkserver", "spawn"] = Field(default="forkserver", description="how a training child starts")
    heartbeat_seconds: float = Field(default=3, gt=0, description="between two heartbeats of an attempt")
    self_stop_seconds: float = Field(default=20, gt=0, description="without a heartbeat until a worker stops its child")
    take_over_seconds: float = Field(default=30, gt=0, description="of a silent heartbeat until others take over")
    sweep_seconds: float = Field(default=5, gt=0, description="between two looks through the open jobs")
    hang_seconds: float = Field(default=60, gt=0, description="without a batch until a child hangs, at least")
    first_batch_seconds: float = Field(default=900, gt=0, description="for a child to do its first batch, at most")
    resume_seconds: float = Field(
        default=60, gt=0, description="inside an epoch, between two saves of the run, at least"
    )
    stop_grace_seconds: float = Field(default=10, gt=0, description="for a child to stop by itself before it is killed")
    retry_backoff_seconds: float = Field(default=1, ge=0, description="before the second attempt; doubles each time")
    max_failures: int = Field(default=3, ge=1, le=100, description="failed attempts until the job has failed")


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process. Raises BadEnvironment with every variable that is wrong."""
    given = {field: environment[variable(field)] for field in Settings.model_fields if variable(field) in environment}
    wrong = _unread(environment)
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        wrong += [_sentence(one["loc"], one["msg"], environment) for one in error.errors()]
    if wrong:
        raise BadEnvironment("\n".join(wrong))
    if settings.heartbeat_seconds >= settings.self_stop_seconds:
        raise BadEnvironment(
            f"FITSTOP_HEARTBEAT_SECONDS={settings.heartbeat_seconds:g} must be below "
            f"FITSTOP_SELF_STOP_SECONDS={settings.self_stop_seconds:g}: else every attempt is given up before it beats"
        )
    if settings.self_stop_seconds >= settings.take_over_seconds:
        raise BadEnvironment(
            f"FITSTOP_SELF_STOP_SECONDS={settings.self_stop_seconds:g} must be below "
            f"FITSTOP_TAKE_OVER_SECONDS={settings.take_over_seconds:g}: else a job has two trainers for a while"
        )
    return settings


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def known_variables() -> list[str]:
    """Every variable that somebody reads."""
    return [*(variable(field) for field in Settings.model_fields), *CLIENT_VARIABLES]


def shown(settings: Settings) -> dict[str, str]:
    """Every setting by its variable, secrets masked, for people to read."""
    return {variable(field): str(value) for field, value in settings}


def _unread(environment: Mapping[str, str]) -> list[str]:
    known = known_variables()
    return [
        f"{name}={environment[name]}: nobody reads this variable.{nearest(name, known)}"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]


def _sentence(location: tuple[int | str, ...], message: str, environment: Mapping[str, str]) -> str:
    name = variable(str(location[0]))
    value = "(hidden)" if name == "FITSTOP_REDIS_URL" else environment.get(name, "")
    return f"{name}={value}: {message}"
