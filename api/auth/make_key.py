"""Create a key and print it: `python -m fitstop.service api.make_key NAME [--scope admin] [--days 30]`.

It creates the first key on a machine of the API (FITSTOP_STATE_FOLDER), or a new one after the last was lost. Write
access to that folder allows everything anyway.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import get_args

from pydantic import ValidationError

from api.state.key_store import KeyStore, Scope
from api.state.state_folder import open_state_folder
from shared.project import DEFAULT_PROJECT
from shared.settings import BadEnvironment, read_settings
from shared.times import time_in


def main(arguments: Sequence[str] | None = None) -> int:
    """Print only the key on stdout. Exit status 2 for invalid arguments, 1 for an unusable folder."""
    parser = argparse.ArgumentParser(prog="python -m fitstop.service api.make_key", description="Make an API key.")
    parser.add_argument("name", metavar="NAME", help="purpose of the key")
    parser.add_argument("--scope", choices=get_args(Scope), default="admin", help="default: %(default)s")
    parser.add_argument("--project", default=DEFAULT_PROJECT, help="project of the key; default: %(default)s")
    parser.add_argument(
        "--days",
        type=int,
        choices=range(1, 3651),
        metavar="DAYS",
        help="days until the key expires; default: never",
    )
    asked = parser.parse_args(arguments)
    expires_at = time_in(asked.days * 86_400) if asked.days else None
    try:
        _, key = KeyStore(open_state_folder(read_settings())).create(asked.name, asked.scope, expires_at, asked.project)
    except ValidationError as error:
        problem = error.errors()[0]
        parser.error(f"{problem['loc'][0]}: {problem['msg']}")
    except (BadEnvironment, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1 if isinstance(error, OSError) else 2
    print(key)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
