"""`python -m api.webhooks`: the sender as a process of its own."""

import sys

from api.webhooks.sender import main

sys.exit(main())
