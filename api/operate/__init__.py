"""What an operator looks at: health, metrics, workers, the queue, limits."""
