"""ViTMatte is trained: by depth, with the recipe's losses, stopped and resumed bit for bit."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from fake_hub import TINY, save_vitmatte
from safetensors.torch import load_file

from deepmat import config as configs
from deepmat import imaging
from deepmat.errors import CheckpointError
from deepmat.imaging.trimap import by_distance
from deepmat.models import build_model, fill_from, find_weights, load_model
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


def save_vit(folder, kind, **options):
    """A vision transformer of transformers with random weights, as wide and deep as TINY's. Returns it."""
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, **options}
    torch.manual_seed(1)
    if kind == "dinov2":
        model = transformers.Dinov2Model(transformers.Dinov2Config(image_size=42, patch_size=14, **sizes))
    elif kind == "vit_mae":  # with its decoder, as published
        decoder = {"decoder_hidden_size": 8, "decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 1}
        config = transformers.ViTMAEConfig(image_size=48, intermediate_size=64, **decoder, **sizes)
        model = transformers.ViTMAEForPreTraining(config)
    else:
        model = transformers.ViTModel(transformers.ViTConfig(image_size=48, intermediate_size=64, **sizes))
    for name, values in model.named_parameters():
        values.data.normal_(1 if "norm" in name or "lambda" in name else 0, 0.1)
    model.eval().save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", ["vit", "vit_mae", "dinov2"])
def test_the_backbone_begins_with_a_vision_transformer(kind, tmp_path):
    theirs = save_vit(tmp_path / "m", kind)
    # Without what a vision transformer lacks, and at its own size: then both are the same network.
    side = 3
    network = {
        **TINY,
        "backbone_config": {
            **TINY["backbone_config"],
            "patch_size": 14 if kind == "dinov2" else 48 // side,
            "pretrain_image_size": 42 if kind == "dinov2" else 48,
            "use_relative_position_embeddings": False,
            "window_block_indices": [],
            "residual_block_indices": [],
            "out_features": ["stage3"],
            "layer_norm_eps": theirs.config.layer_norm_eps,
        },
    }
    model = build_model(configs.VitMatteConfig(network=network)).eval()
    fresh = fill_from(model, find_weights(tmp_path / "m"))
    assert fresh and all(name.startswith("decoder.") for name in fresh)
    size = theirs.config.image_size
    seen = torch.randn(1, 4, size, size)
    with torch.no_grad():
        ours = model.backbone(seen).feature_maps[-1]
        # The class token, which ViTMatte has none of, takes part in their attention: leave it out there too.
        if kind == "vit_mae":
            theirs = theirs.vit
            theirs.config.mask_ratio = 0.0
            noise = torch.arange(side**2)[None]  # the order of patches, which are not shuffled so
            tokens = theirs.embeddings(seen[:, :3], noise)[0][:, 1:]
        else:
            tokens = theirs.embeddings(seen[:, :3])[:, 1:]
        for layer in theirs.layers if hasattr(theirs, "layers") else theirs.encoder.layer:
            tokens = layer(tokens)
    torch.testing.assert_close(ours.flatten(2).transpose(1, 2), tokens, atol=1e-5, rtol=1e-5)


def test_positions_and_patches_are_fitted_and_the_rest_is_fresh(tiny, tmp_path):
    save_vit(tmp_path / "m", "dinov2")  # 3 x 3 patches of 14 pixels; TINY has 2 x 2 of 16
    model = build_model(configs.VitMatteConfig(network=TINY))
    fresh = fill_from(model, find_weights(tmp_path / "m"))
    assert {name.split(".")[0] for name in fresh} == {"backbone", "decoder"}
    assert all(".rel_pos_" in name or ".residual." in name for name in fresh if name.startswith("backbone."))
    assert not model.backbone.embeddings.projection.weight[:, 3].any()
    config = tiny("train.iterations=1", f"train.pretrain={tmp_path / 'm'}")
    records = list(run_plan(prepare(config)))
    assert any("begins with" in notice and "; random: backbone." in notice for notice in records[0]["notices"])


def test_a_vision_transformer_of_another_kind_is_refused(tmp_path):
    ours = build_model(configs.VitMatteConfig(network=TINY))
    save_vit(tmp_path / "deep", "vit", num_hidden_layers=2)
    save_vit(tmp_path / "wide", "vit", hidden_size=32)
    save_vit(tmp_path / "swiglu", "dinov2", use_swiglu_ffn=True)
    save_vit(tmp_path / "m", "vit")
    for name, message in {
        "deep": r"of width 16 and 2 layers, this run's has 16 and 3; model.size small",
        "wide": r"of width 32 and 3 layers, this run's has 16 and 3; model.size small",
        "swiglu": r"has no backbone.encoder.layer.0.mlp.fc1.weight; .* of another kind",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            fill_from(ours, find_weights(tmp_path / name))
    with pytest.raises(CheckpointError, match="a vision transformer; `deepmat train --config vitmatte` begins with it"):
        fill_from(build_model(configs.LiteConfig(width=1 / 8)), find_weights(tmp_path / "m"))
    with pytest.raises(CheckpointError, match="encoder only; `deepmat train --config vitmatte --pretrain"):
        load_model(tmp_path / "m")


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


@pytest.mark.slow  # 150 steps, half a minute
def test_it_overfits_four_pictures(tiny, tmp_path):
    save_vitmatte(tmp_path / "m")
    shutil.rmtree(tmp_path / "data/test")
    shutil.copytree(tmp_path / "data/train", tmp_path / "data/test")
    for path in (tmp_path / "data/train/alpha").iterdir():
        trimap = by_distance(imaging.read_grey(path), 3, 3)
        imaging.write_image(tmp_path / "data/test/trimap" / path.name, trimap)
    config = tiny(
        "train={iterations: 150, print_every: 10, test_every: 150, test_first: true, batch_size: 4, lr: 0.01}",
        "train.schedule={name: cosine, warmup: 10}", "train.optimizer.layer_decay=1",
        "data.augment.combine=null", "data.augment.jitter=null", f"train.pretrain={tmp_path / 'm'}",
    )  # fmt: skip
    records = list(run_plan(prepare(config)))
    totals = [record["loss"]["total"] for record in records if record["event"] == "step"]
    first, last = (record["sad"] for record in records if record["event"] in ("began", "test"))
    assert len(prepare(config).tests) == 4
    assert totals[-1] < 0.5 * totals[0] and last < 0.5 * first, (totals, first, last)


def test_stopped_and_resumed_is_the_same_run_bit_for_bit(tiny):
    whole = tiny("train.iterations=4", "train.name=whole", "train.test_every=99", "train.ema=0.9")
    list(run_plan(prepare(whole)))
    parts = tiny("train.iterations=4", "train.name=parts", "train.test_every=99", "train.ema=0.9")
    counter = iter(range(99))
    list(run_plan(prepare(parts), stop=lambda: next(counter) >= 3))
    list(run_plan(prepare(parts), resume="auto"))
    one, two = (load_file(config.run_folder / BEST) for config in (whole, parts))
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.slow  # two runs with processes of their own, which import transformers
def test_two_processes_train_as_one(tiny, tmp_path):
    def run(name, accumulate, *launcher):
        # Adam divides the smallest gradients, rounding and all, by their own size: eps.
        config = tiny(
            f"train={{name: {name}, iterations: 4, print_every: 1, test_every: 99, batch_size: 1}}",
            f"train.accumulate={accumulate}", "train.optimizer.eps=1e-3", "train.precision=fp32",
        )  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.write_text(configs.dump(config), encoding="utf-8")
        command = [sys.executable, *launcher, "-m", "deepmat", "train", "--config", path]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        log = [json.loads(line) for line in (config.run_folder / "log.jsonl").read_text().splitlines()]
        return log, load_file(config.run_folder / BEST)

    alone, whole = run("alone", 4)
    both, saved = run("both", 2, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert (alone[0]["processes"], both[0]["processes"]) == (1, 2) and alone[0]["batch"] == both[0]["batch"] == 4
    losses = [[each["loss"] for each in log if each["event"] == "step"] for log in (alone, both)]
    assert len(losses[0]) == 4
    for one, two in zip(*losses, strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    statistics = (".running_mean", ".running_var", ".num_batches_tracked")  # of the batches that the first process sees
    for key, value in whole.items():
        if not key.endswith(statistics):
            torch.testing.assert_close(saved[key], value, rtol=0, atol=1e-5)
