"""`python -m shared.preflight KEY_FILE`: checks whether the local stack can start.

Checks the settings and the volume's filesystem or bucket, and prints the stack's API key of scope admin:
FITSTOP_ADMIN_KEY if it is set, else the key in KEY_FILE, which the first start creates.
"""

import os
import sys
from pathlib import Path

from shared.api_key import is_api_key, new_api_key
from shared.durable import check_links
from shared.mirror.opening import BucketAway, BucketUnusable, open_usable
from shared.settings import BadEnvironment, read_settings
from shared.volume_identity import check_copied


class NoKey(Exception):
    """The key file can't be read, or does not hold a key."""


def main(key_file: Path) -> int:
    """Print the key and return exit status 0, or 1 with the reason on stderr if something can't be used.

    Returns 75 (EX_TEMPFAIL) if the bucket does not answer now.
    """
    try:
        settings = read_settings()
        check_volume(settings.volume)
        if settings.bucket:
            open_usable(settings.bucket)
        print(settings.admin_key.get_secret_value() if settings.admin_key else stack_key(key_file))  # noqa: T201
    except (BadEnvironment, NoKey) as error:
        print(error, file=sys.stderr)  # noqa: T201
    except BucketUnusable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return os.EX_TEMPFAIL if isinstance(error, BucketAway) else 1
    except OSError as error:
        print(f"{settings.volume} can't be used as the volume: {error}", file=sys.stderr)  # noqa: T201
    else:
        return 0
    return 1


def check_volume(volume: Path) -> None:
    """Create the volume's folder. Raises OSError if that fails, or it has no hard links or is an unfinished copy."""
    volume.mkdir(parents=True, exist_ok=True)
    check_copied(volume)
    check_links(volume)


def stack_key(path: Path) -> str:
    """Return the key in the file. A new file is readable only by this user. Raises NoKey if the file holds no key."""
    try:
        if not path.exists():
            _create(path)
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoKey(f"{path} can't be read: {error}") from error
    if not is_api_key(key):
        raise NoKey(f"{path} does not hold an API key; remove the file, and the next start creates a new key")
    return key


def _create(path: Path) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600, exist_ok=False)
    beside.write_text(new_api_key() + "\n")
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
