"""`python -m api`: the API as a process."""

import sys

from api.serving.server import main

sys.exit(main())
