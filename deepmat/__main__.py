"""`python -m deepmat`, the same as `deepmat`."""

from deepmat.cli import main

main()
