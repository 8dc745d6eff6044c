"""`python -m shared.mirror ADDRESS`: whether a bucket can hold a volume in use.

Exit status 1 with the reason on stderr if it cannot, and 75 (EX_TEMPFAIL) if it does not answer now. For a process that
forks later: the threads of obstore do not survive a fork, so the process must not open the bucket itself.
"""

import os
import sys

from shared.mirror.opening import BucketAway, BucketUnusable, open_usable


def main(address: str) -> int:
    """Test the bucket and return the exit status."""
    try:
        open_usable(address)
    except BucketUnusable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return os.EX_TEMPFAIL if isinstance(error, BucketAway) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
