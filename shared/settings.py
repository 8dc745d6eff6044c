"""Settings from the environment. A wrong value or a misspelt variable stops the start and is named in the error.

An unknown variable that resembles no setting causes only a warning: a compose file may be of another version.

Every setting is an environment variable `FITSTOP_<NAME>`; its unit is in its name. `fitstop config` lists them: it runs
`python -m shared.settings`, which prints them as JSON. pydantic-settings is not used: it ignores a misspelt variable.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.default_folders import DATA_VARIABLE, cache_folder, folder_for, state_folder, volume_folder
from shared.networks import parse_networks
from shared.problems import FitstopError
from shared.project import ProjectQuotas, ProjectWeights
from shared.spec.base import MOST_DEVICES
from shared.store.address import parse_address

PREFIX = "FITSTOP_"
# Minimum similarity, from 0 to 1, at which a name counts as a misspelling of another.
_MISSPELT = 0.9
NO_REDIS = "none"
# EX_CONFIG of sysexits.h.
BAD_ENVIRONMENT_STATUS = 78
# Read only by the command `fitstop`.
CLIENT_VARIABLES = ("FITSTOP_URL", "FITSTOP_API_KEY", "FITSTOP_MLFLOW_URI", "FITSTOP_WINE_URL", DATA_VARIABLE)

AllowCode = Literal["no", "boxed", "unboxed"]

log = logging.getLogger(__name__)


class BadEnvironment(FitstopError):
    """A variable has a value that cannot be used, or its name looks like a misspelling of another."""

    code = "bad_environment"


def _hard_to_guess(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not 32 <= len(text) <= 512 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(
            f"has {len(text)} characters, expected 32 to 512 of plain ASCII, such as `openssl rand -hex 32`"
        )
    return key


def _check_networks(text: str) -> str:
    try:
        parse_networks(text)
    except ValueError as error:
        raise ValueError(f"{error}; expected networks such as 10.0.0.0/8, separated by commas") from None
    return text


def _check_bucket(address: str) -> str:
    if address:
        parse_address(address)
    return address


class Settings(BaseModel):
    """All settings of the API and of the worker, with their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    volume: Path = Field(
        default_factory=volume_folder,
        description="folder of the shared volume, or s3://BUCKET/PREFIX for a volume in a bucket",
    )
    bucket: Annotated[str, AfterValidator(_check_bucket)] = Field(
        default="",
        description="bucket that holds the volume, if FITSTOP_VOLUME does not name it; with both, FITSTOP_VOLUME is "
        "its local copy, which may be lost",
    )
    bucket_seconds: float = Field(default=3, gt=0, le=60, description="time between two checks of a bucket")
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis for notifications; none: no Redis, and workers check the volume every FITSTOP_SWEEP_SECONDS",
    )
    umask: str = Field(
        default="077",
        pattern="^[0-7]{3}$",
        description="umask of new files; 007 or 022 if parts of the service run as several users",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="minimum level of log messages"
    )
    project_weights: ProjectWeights = Field(
        default_factory=dict, description='JSON: turns of each project in the queue, such as {"vision": 2}; default: 1'
    )
    project_quotas: ProjectQuotas = Field(
        default_factory=dict, description='JSON: what each project may use, such as {"vision": {"bytes": 1000000000}}'
    )

    # The API
    state_folder: Path = Field(
        default_factory=state_folder,
        description="folder of keys, sessions and webhooks, which workers do not mount; default: next to the volume",
    )
    host: str = Field(default="127.0.0.1", description="address that the API listens on")
    admin_key: Annotated[SecretStr, AfterValidator(_hard_to_guess)] | None = Field(
        default=None, description="API key of scope admin, in addition to those of the state folder"
    )
    port: int = Field(default=8000, ge=0, le=65_535, description="port that the API listens on")
    trusted_proxies: Annotated[str, AfterValidator(_check_networks)] = Field(
        default="",
        description="addresses and networks of proxies whose X-Forwarded headers count, separated by commas",
    )
    api_processes: int = Field(default=1, ge=1, le=64, description="number of API processes")
    api_threads: int = Field(default=384, ge=2, le=1024, description="threads for requests in each process")
    max_streams: int = Field(default=256, ge=1, le=1000, description="maximum event streams of one API process")
    cache: Path = Field(
        default_factory=cache_folder,
        description="folder on the worker's own disk for decoded images and compiled programs; may be deleted",
    )
    cache_bytes: int = Field(default=50 * 1024**3, ge=0, description="maximum bytes of decoded images in the cache")
    index_folder: Path = Field(
        default_factory=cache_folder, description="folder on this host's own disk for the index; may be deleted"
    )
    requests_per_minute: int = Field(default=6000, ge=1, description="maximum requests of one API key per minute")
    max_unfinished_jobs: int = Field(default=10_000, ge=1, description="maximum unfinished jobs of one API key")
    max_uploads: int = Field(default=8, ge=1, description="maximum concurrent uploads of one API key")
    upload_bytes_per_day: int = Field(
        default=256 * 1024**3, ge=1024, description="maximum bytes that one API key uploads per day"
    )
    streams_per_key: int = Field(
        default=64, ge=1, le=1000, description="event streams and waiting requests of one API key in one process"
    )
    costly_reads_per_key: int = Field(
        default=8, ge=1, le=1000, description="concurrent requests of one API key for usage, replays and forecasts"
    )
    webhook_networks: Annotated[str, AfterValidator(_check_networks)] = Field(
        default="",
        description="networks that webhooks may reach besides public ones, separated by commas; also allows http",
    )
    max_job_bytes: int = Field(default=2 * 1024**2, ge=1024, description="maximum bytes of a POST /jobs body")
    max_table_bytes: int = Field(
        default=16 * 1024**3,
        ge=1024,
        description="maximum memory of a job's training rows: rows times features times 4 bytes",
    )
    max_batch_bytes: int = Field(
        default=512 * 1024**2,
        ge=1024,
        description="maximum memory of one layer's outputs: batch size times width times 4 bytes",
    )
    max_json_depth: int = Field(default=32, ge=4, le=200, description="maximum nesting of a JSON body")
    max_dataset_bytes: int = Field(default=1024**3, ge=1024, description="maximum bytes of a table")
    max_dataset_columns: int = Field(default=4096, ge=2, description="maximum columns of a dataset")
    max_dataset_cells: int = Field(default=50_000_000, ge=4, description="maximum rows times columns of a dataset")
    max_image_dataset_bytes: int = Field(
        default=50 * 1024**3, ge=1024, description="maximum bytes of a dataset of images, packed and unpacked"
    )
    max_array_dataset_bytes: int = Field(
        default=50 * 1024**3, ge=1024, description="maximum bytes of a dataset of arrays, packed and unpacked"
    )
    max_model_bytes: int = Field(default=2 * 1024**3, ge=1024, description="maximum bytes of a file of weights")
    max_program_bytes: int = Field(
        default=64 * 1024**2, ge=1024, description="maximum bytes of a program, packed and unpacked"
    )
    max_program_files: int = Field(default=2000, ge=1, description="maximum files of a program")
    max_dataset_images: int = Field(
        default=2_000_000,
        ge=2,
        description="maximum images of a dataset; its archive may have twice as many entries",
    )
    max_image_bytes: int = Field(default=64 * 1024**2, ge=1024, description="maximum bytes of one image file")
    max_image_pixels: int = Field(default=100_000_000, ge=1, description="maximum width times height of one image")
    ingest_timeout_seconds: float = Field(
        default=300, gt=0, description="maximum time to parse an upload, per started GiB"
    )
    ingest_memory_bytes: int = Field(default=8 * 1024**3, ge=256 * 1024**2, description="maximum memory to parse it")

    # The worker
    slots: int = Field(default=1, ge=1, le=64, description="number of jobs that this worker runs at the same time")
    slot_devices: int = Field(
        default=1,
        ge=1,
        le=MOST_DEVICES,
        description="number of devices of each slot, for jobs with hyperparameters.devices; virtual on a CPU",
    )
    gpu_price_per_hour: float | None = Field(
        default=None, ge=0, le=1_000_000, description="price per hour of one GPU, for the ledger"
    )
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="currency of that price")
    allow_code: AllowCode = Field(
        default="no",
        description="whether this worker runs programs: no; boxed: confined by the kernel; unboxed: with all rights of "
        "the worker",
    )
    requirements_bytes: int = Field(
        default=10 * 1024**3,
        ge=1024**2,
        description="maximum bytes of programs' packages in the cache, and of the packages of one program",
    )
    requirements_seconds: float = Field(default=600, gt=0, description="maximum time to install a program's packages")
    program_files_bytes: int = Field(
        default=50 * 1024**3,
        ge=1024**2,
        description="maximum bytes that one attempt of a program keeps on the volume; above it the attempt is ended",
    )
    max_training_bytes: int = Field(
        default=0,
        ge=0,
        description="maximum memory of one training process; 0: nine tenths of the machine's or the container's",
    )
    child_start: Literal["forkserver", "spawn"] = Field(default="forkserver", description="start method of training")
    child_start_seconds: float = Field(
        default=20, gt=0, description="maximum time for a training process to start; after it the worker is unfit"
    )
    heartbeat_seconds: float = Field(default=3, gt=0, description="time between two heartbeats of an attempt")
    self_stop_seconds: float = Field(
        default=20, gt=0, description="heartbeat age at which a worker stops its own training process"
    )
    take_over_seconds: float = Field(default=30, gt=0, description="heartbeat age at which others take over")
    sweep_seconds: float = Field(default=5, gt=0, description="time between two patrols of the unfinished jobs")
    hang_seconds: float = Field(default=60, gt=0, description="minimum time without a batch that is a hang")
    first_batch_seconds: float = Field(default=900, gt=0, description="maximum time up to the first batch")
    resume_seconds: float = Field(
        default=60, gt=0, description="minimum time between two resume points inside an epoch"
    )
    stop_grace_seconds: float = Field(default=10, gt=0, description="time for training to stop before it is killed")
    device_data_bytes: int = Field(
        default=0, ge=0, description="maximum data held on the device; 0: a quarter of its free memory"
    )
    retry_backoff_seconds: float = Field(
        default=1, ge=0, description="wait after a failed attempt; doubled after each further one without progress"
    )
    idle_exit_seconds: float = Field(
        default=0, ge=0, description="time without a job after which a worker exits with status 0; 0: never"
    )
    idle_hook: str = Field(default="", description="shell command to run when a worker exits because it is idle")
    volume_reserve_bytes: int = Field(
        default=64 * 1024**2,
        ge=0,
        description="free space that uploads, checkpoints and resume points do not use; below it no job is claimed",
    )
    max_failures: int = Field(
        default=3, ge=1, le=100, description="failed attempts in a row without progress after which the job fails"
    )
    max_losses: int = Field(
        default=10, ge=1, le=1000, description="lost attempts in a row without progress after which the job fails"
    )

    @property
    def redis_address(self) -> str | None:
        """The URL of Redis with its password; None if the service has no Redis."""
        url = self.redis_url.get_secret_value()
        return None if url == NO_REDIS else url


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of this process. Raises BadEnvironment with every wrong variable."""
    given = {field: environment[variable(field)] for field in Settings.model_fields if variable(field) in environment}
    wrong = _misspelt(environment)
    if "://" in given.get("volume", ""):
        given["bucket"] = _bucket_in(given.pop("volume"))
    if given.get("bucket") and "volume" not in given:
        given["volume"] = str(folder_for(given["bucket"]))
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        wrong += [_sentence(one["loc"], one["msg"], environment) for one in error.errors()]
    if wrong:
        raise BadEnvironment("\n".join(wrong))
    if settings.heartbeat_seconds >= settings.self_stop_seconds:
        raise BadEnvironment(
            f"FITSTOP_HEARTBEAT_SECONDS={settings.heartbeat_seconds:g} must be below "
            f"FITSTOP_SELF_STOP_SECONDS={settings.self_stop_seconds:g}"
        )
    if settings.self_stop_seconds >= settings.take_over_seconds:
        raise BadEnvironment(
            f"FITSTOP_SELF_STOP_SECONDS={settings.self_stop_seconds:g} must be below "
            f"FITSTOP_TAKE_OVER_SECONDS={settings.take_over_seconds:g}, or two workers could train one job"
        )
    _check_folders(settings.volume, settings.state_folder)
    if settings.redis_address is not None:
        _check_redis(settings.redis_address)
    return settings


def _bucket_in(address: str) -> str:
    try:
        return _check_bucket(address)
    except ValueError as error:
        # The message does not show the address, which may hold a password.
        raise BadEnvironment(f"FITSTOP_VOLUME {error}, or a folder") from None


def _check_folders(volume: Path, state_folder: Path) -> None:
    # The first part of a Path that was made from an address.
    if volume.parts and volume.parts[0].endswith(":"):
        raise BadEnvironment(f"FITSTOP_VOLUME={volume} is neither a folder nor a bucket such as s3://BUCKET/PREFIX")
    if state_folder.absolute().is_relative_to(volume.absolute()):
        raise BadEnvironment(
            f"FITSTOP_STATE_FOLDER={state_folder} must not be in FITSTOP_VOLUME={volume}: otherwise everyone who can "
            "write to the volume can create keys"
        )


def _check_redis(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadEnvironment(f"FITSTOP_REDIS_URL=(hidden): {error}") from None
    if not parts.scheme:
        raise BadEnvironment(
            "FITSTOP_REDIS_URL=(hidden): expected an address such as redis://:PASSWORD@HOST:PORT/0, or none for a "
            "service without Redis"
        )
    if parts.hostname and not parts.password and not is_loopback(parts.hostname):
        raise BadEnvironment(
            "FITSTOP_REDIS_URL=(hidden): names a Redis on another machine without a password, which everybody who "
            "reaches it can use; give it one (requirepass) and write redis://:PASSWORD@HOST:PORT/0"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, a name or an address without brackets."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def known_variables() -> list[str]:
    """All variables that Fitstop reads."""
    return [*(variable(field) for field in Settings.model_fields), *CLIENT_VARIABLES]


def show_settings(settings: Settings) -> dict[str, dict[str, str]]:
    """The value and the description of every setting by its variable, for people. Secrets are masked."""
    descriptions = {name: field.description or "" for name, field in Settings.model_fields.items()}
    return {variable(name): {"value": str(value), "description": descriptions[name]} for name, value in settings}


def _misspelt(environment: Mapping[str, str]) -> list[str]:
    """An error for each variable that looks like a misspelling; warns of each other unknown variable."""
    known, wrong = known_variables(), []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=_MISSPELT)
        if near:
            wrong.append(f'{name}={_show_value(name, environment)}: unknown variable. Did you mean "{near[0]}"?')
        else:
            _warn_unread(name)
    return wrong


@cache
def _warn_unread(name: str) -> None:
    """Warn once in each process, since several parts of it read the environment."""
    log.warning("%s is not a variable of this version of Fitstop and is ignored; `fitstop config` lists them", name)


def _sentence(location: tuple[int | str, ...], message: str, environment: Mapping[str, str]) -> str:
    if location[0] == "bucket":
        # The message holds the address without the part that may be a key.
        return f"{variable('volume')}: {message.removeprefix('Value error, ')}"
    name = variable(str(location[0]))
    return f"{name}={_show_value(name, environment)}: {message}"


def _show_value(name: str, environment: Mapping[str, str]) -> str:
    """The value of a variable for an error message. A secret is hidden, even under a misspelt name."""
    is_secret = any(word in name for word in ("KEY", "PASSWORD", "REDIS", "SECRET", "TOKEN"))
    return "(hidden)" if is_secret else environment.get(name, "")


def _print_settings() -> int:
    try:
        print(json.dumps(show_settings(read_settings())))  # noqa: T201
    except BadEnvironment as error:
        print(error, file=sys.stderr)  # noqa: T201
        return BAD_ENVIRONMENT_STATUS
    return 0


if __name__ == "__main__":
    sys.exit(_print_settings())
