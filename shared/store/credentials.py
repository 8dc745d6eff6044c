"""Endpoint, region and credentials, from the environment variables and files of the AWS command.

obstore reads the variables, and without them asks the machine's own identity service, but reads no files. botocore
does, and is larger than all of obstore. Profiles that need a log-in or another program are not supported:
`aws configure export-credentials --format env` prints variables for them.
"""

import configparser
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from shared.store.interface import AccessDenied

# Names in a file, and names for obstore.
_KEYS = {"aws_access_key_id": "access_key_id", "aws_secret_access_key": "secret_access_key"}
_OPTIONAL = {"aws_session_token": "session_token"}
# The identity of a container or a pod of Amazon's. obstore uses the same names without `AWS_`.
_IDENTITY = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
)
_DEFAULT_REGION = "us-east-1"


def find_access(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings for obstore: region, endpoint, and keys, or the identity of a container if there are none.

    Raises AccessDenied if the requested profile does not exist, or a file cannot be read.
    """
    profile = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or "default"
    secrets = _read(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials").get(profile, {})
    config = _read(environment, "AWS_CONFIG_FILE", "config")
    settings = config.get(profile if profile == "default" else f"profile {profile}", {})
    if profile != "default" and not (secrets or settings):
        raise AccessDenied(f"the profile AWS_PROFILE={profile} is in none of the files of the AWS command")
    found = {"region": _region(environment, settings)}
    if endpoint := _endpoint(environment, settings):
        found["endpoint"] = endpoint
    # Passed to obstore, since a worker removes the variables from its own environment before it opens the bucket.
    given = {name: value for name in _KEYS | _OPTIONAL if (value := environment.get(name.upper()))}
    if environment.get("AWS_ACCESS_KEY_ID"):
        return found | _keys(given)
    identity = {name.removeprefix("AWS_").lower(): value for name in _IDENTITY if (value := environment.get(name))}
    of_files = _keys({**settings, **secrets})
    # The AWS command uses a web identity before the files, and a container's after them.
    return found | (identity if "web_identity_token_file" in identity or not of_files else of_files)


def find_proxy(environment: Mapping[str, str], address: str) -> dict[str, str]:
    """Settings of obstore for the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names for an address; empty if none.

    Passed to obstore, since a worker removes the variables from its own environment. Lower-case names take precedence.
    """
    proxy = _in_any_case(environment, f"{urlsplit(address).scheme}_proxy") or _in_any_case(environment, "all_proxy")
    excluded = _in_any_case(environment, "no_proxy")
    return {} if not proxy else {"proxy_url": proxy} | ({"proxy_excludes": excluded} if excluded else {})


def _in_any_case(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _region(environment: Mapping[str, str], settings: Mapping[str, str]) -> str:
    asked = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return asked or settings.get("region") or _DEFAULT_REGION


def _endpoint(environment: Mapping[str, str], settings: Mapping[str, str]) -> str | None:
    asked = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return asked or settings.get("endpoint_url")


def _keys(section: Mapping[str, str]) -> dict[str, str]:
    if not section.keys() >= _KEYS.keys():
        return {}
    return {ours: section[theirs] for theirs, ours in (_KEYS | _OPTIONAL).items() if theirs in section}


def _read(environment: Mapping[str, str], variable: str, name: str) -> dict[str, dict[str, str]]:
    path = Path(environment.get(variable) or Path(environment.get("HOME") or "~").expanduser() / ".aws" / name)
    # A secret may contain a `%`.
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        # configparser's own message contains the line.
        raise AccessDenied(f"{path} can't be read: {type(error).__name__}") from None
    return {section: dict(parser[section]) for section in parser.sections()}
