"""Messages between a worker and its training process. Both import it; it imports neither."""
