"""Resolve a spec against the data that it names: fill in every "auto" and check it, for each kind of data and model.

The checks of the API and the training use the same code for the rows (`row_facts`, `shared.rows`).
"""

from shared.resolve.job import Resolved, auto_monitor, problems_without_data, resolve

__all__ = ["Resolved", "auto_monitor", "problems_without_data", "resolve"]
