"""Shows a job in a notebook, as HTML in one output that is updated: without widgets, scripts or downloads."""
