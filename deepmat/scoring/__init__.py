"""Metrics of alpha, and the protocols and tables that report them."""
