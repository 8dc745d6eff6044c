"""`python -m api.webhooks`: the sender as its own process."""

import sys

from api.webhooks.sender import main

sys.exit(main())
