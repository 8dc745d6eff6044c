"""`python -m api.make_key NAME [--scope admin] [--project NAME] [--days 30]`: the short name of `api.auth.make_key`."""

import sys

from api.auth.make_key import main

if __name__ == "__main__":
    sys.exit(main())
