"""train() and evaluate(): generators that do the work and yield plain records; whoever consumes them shows them."""

from deepmat.engine.step import optimise, to_device
from deepmat.engine.testing import evaluate
from deepmat.engine.training import train

__all__ = ["evaluate", "optimise", "to_device", "train"]
