"""A job in a notebook: HTML of its own in one output that is updated. No widget library, no script, nothing fetched."""
