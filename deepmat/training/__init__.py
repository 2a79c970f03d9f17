"""Training: losses, optimisers, one step, the loop over steps, validation, and the run's folder on disk."""
