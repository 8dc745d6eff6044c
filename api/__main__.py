"""`python -m api`: the API as a process of its own."""

import sys

from api.serving.server import main

sys.exit(main())
