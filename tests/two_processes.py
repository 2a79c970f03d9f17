"""A job of two processes, for tests/training/test_two_processes.py: python two_processes.py FOLDER DATA WEIGHTS

Each process writes its results into the folder as RANK.json.
"""

import json
import sys
from pathlib import Path

from conftest import TinyModel

from deepmat import config as configs
from deepmat.errors import DeepmatError
from deepmat.inference.evaluation import evaluate
from deepmat.runtime import distributed
from deepmat.training import start
from deepmat.training.train import train

SETTINGS = (
    "data.augment.resize.size=[32, 64]",
    "data.augment.crop.sizes=[64]",
    "train.workers=0",
    "train.lr=0.01",
    "train.optimizer.eps=1e-3",  # Adam divides the smallest gradients, rounding and all, by their own size
    "train.device=cpu",
    "train.precision=fp32",
    "train.print_every=1",
    "train.iterations=4",
    "train.test_every=2",
    "train.batch_size=1",
    "train.accumulate=2",
)


def tiny(folder, data, name, *overrides):
    """The config of a run FOLDER/NAME."""
    places = [f"data.root={data}", f"train.runs={folder}", f"train.name={name}", f"data.cache={folder / 'cache'}"]
    return configs.load(overrides=[*SETTINGS, *places, *overrides])


def message_of(work):
    try:
        work.run()
    except DeepmatError as error:
        return str(error)
    return ""


def main(folder, data, weights):
    rank = distributed.rank()
    distributed.meet()
    found = {
        "gathered": distributed.gather([rank, list(distributed.share(range(7)))]),
        "sums": distributed.total([1.5, rank]),
    }
    start.build_model = lambda config: TinyModel(dropout=0)
    train(config=tiny(folder, data, "trained")).run()
    taken = iter(range(99))
    stopped = train(config=tiny(folder, data, "stopped"), stop=lambda: rank == 1 and next(taken) >= 4).run()
    found["stopped"] = stopped[-1]
    found["other"] = message_of(train(config=tiny(folder, data, "other", f"train.lr={1 + rank}")))
    found["bad"] = message_of(train(config=tiny(folder, folder / "bad", "unusable", "data.cache=null")))
    evaluate(weights, data=data, out=folder / "scores", sheet=folder / "sheet.png", settings=["test.mode=whole"]).run()
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
