"""ViTMatte is trained: by depth, with the recipe's losses, stopped and resumed bit for bit."""

import json
import shutil

import pytest
import torch
from fake_hub import TINY, save_vitmatte
from safetensors.torch import load_file

from deepmat import config as configs
from deepmat.models import build_model
from deepmat.training.loop import run_plan
from deepmat.training.optimisers import by_depth
from deepmat.training.plan import prepare
from deepmat.training.run import BEST

pytest.importorskip("transformers")


@pytest.fixture
def tiny(data, tmp_path):
    """tiny("train.iterations=5") -> the config of a run of a tiny ViTMatte by its recipe."""
    shutil.copytree(data, tmp_path / "data")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = [
        f"model.network={json.dumps(TINY)}",
        "data.augment.resize.size=[32, 64]",
        "data.augment.crop.sizes=[64]",
        "data.augment.affine=null",
        "train={workers: 0, batch_size: 2, device: cpu, schedule: {warmup: 0}}",
        f"data.cache={tmp_path / 'cache'}",
        f"data.root={tmp_path / 'data'}",
    ]
    yield lambda *more: configs.load(
        configs.recipe("vitmatte"), overrides=[*settings, f"train.runs={tmp_path / 'runs'}", *more]
    )
    torch.set_num_threads(threads)


def test_depths_are_those_of_the_paper():
    model = build_model(configs.VitMatteConfig(network=TINY))
    shares = {group["share"]: len(group["params"]) for group in by_depth(model, 0.65)}
    assert list(shares) == [0.65**depth for depth in (0, 1, 2, 3, 4)] and shares[0.65**4] == 3
    assert sum(shares.values()) == len(list(model.parameters()))
    residual = [name for name, _ in model.named_parameters() if ".residual." in name]
    assert residual and {model.depth(name) for name in residual} == {0}


def test_it_learns_and_begins_with_weights_of_transformers(tiny, tmp_path):
    save_vitmatte(tmp_path / "m")
    config = tiny(
        "train.iterations=30", "train.print_every=10", "train.test_every=99", f"train.pretrain={tmp_path / 'm'}",
        "train.lr=0.01",
    )  # fmt: skip
    records = list(run_plan(prepare(config)))
    assert any("begins with" in notice for notice in records[0]["notices"])
    totals = [record["loss"]["total"] for record in records if record["event"] == "step"]
    assert totals[-1] < 0.8 * totals[0]
    assert load_file(config.run_folder / BEST)["backbone.embeddings.projection.weight"].shape == (16, 4, 16, 16)


def test_stopped_and_resumed_is_the_same_run_bit_for_bit(tiny):
    whole = tiny("train.iterations=4", "train.name=whole", "train.test_every=99", "train.ema=0.9")
    list(run_plan(prepare(whole)))
    parts = tiny("train.iterations=4", "train.name=parts", "train.test_every=99", "train.ema=0.9")
    counter = iter(range(99))
    list(run_plan(prepare(parts), stop=lambda: next(counter) >= 3))
    list(run_plan(prepare(parts), resume="auto"))
    one, two = (load_file(config.run_folder / BEST) for config in (whole, parts))
    assert all(torch.equal(one[key], two[key]) for key in one)
