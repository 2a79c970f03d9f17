"""Training: prepare a run, take its steps, test, and keep state and log in its folder."""
