"""Train the tiny network as the command line would: python tiny_run.py DROPOUT OVERRIDE ... (tests of processes)."""

import sys

from conftest import TinyModel

from deepmat.cli import app
from deepmat.training import start

if __name__ == "__main__":
    start.build_model = lambda config: TinyModel(dropout=float(sys.argv[1]))
    app(["train", "--config", sys.argv[2], *sys.argv[3:]])
