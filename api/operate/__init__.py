"""The routes for operators: health, metrics, workers, the queue, limits."""
