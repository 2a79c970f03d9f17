import numpy as np
import pytest
import torch
from conftest import rule_state

from deepmat import config as configs
from deepmat.config import DIMConfig, LiteConfig
from deepmat.errors import CheckpointError, ConfigError, DataError, DeviceError
from deepmat.imaging.foreground import estimate_foreground
from deepmat.models import MODELS, build_model, fill_from, freeze, load_model
from deepmat.models.checkpoint import save_weights

TINY = DIMConfig(width=1 / 16)


@pytest.mark.parametrize("size", ["64x96", "160x128"])
@pytest.mark.parametrize(("conv6", "skip"), [(1, False), (3, False), (3, True)])
def test_forward_equals_the_reference(golden, size, conv6, skip):
    arrays = golden("forward")
    model = build_model(DIMConfig(conv6=conv6, skip=skip, refine=True))
    model.load_state_dict(rule_state(model, skip))
    image = torch.from_numpy(arrays[f"{size}/image_bgr"][..., ::-1].copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        outputs = model(image, torch.from_numpy(arrays[f"{size}/trimap"])[None, None])
    variant = f"{size}/conv6_{conv6}_{'skip' if skip else 'noskip'}"
    for ours, theirs in (("coarse", "coarse"), ("alpha", "refined")):
        np.testing.assert_allclose(outputs[ours][0, 0].numpy(), arrays[f"{variant}/{theirs}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_contract_of_every_model(name):
    if name == "vitmatte":
        pytest.importorskip("transformers")
    config = configs.load(overrides=[f"model.arch={name}"]).model
    assert type(config) is configs.MODEL_CONFIGS[name]  # every entry can be asked for in a config
    assert configs.model_options.validate_python(config.model_dump()) == config
    model = build_model(config).eval()
    with torch.no_grad():
        alpha = model(torch.zeros(2, 3, 32, 64, dtype=torch.uint8), torch.zeros(2, 1, 32, 64, dtype=torch.uint8))[
            "alpha"
        ]
    assert alpha.shape == (2, 1, 32, 64) and alpha.dtype == torch.float32
    assert alpha.min() >= 0 and alpha.max() <= 1
    assert isinstance(model.FIRST_WEIGHTS, str) if model.PARTS else not model.state_dict()
    assert isinstance(model.LASTING, tuple) and set(model.LASTING) <= set(type(config).model_fields)
    others = [
        build_model(each(**({"width": 1 / 16} if "width" in each.model_fields else {}))).state_dict()
        for other, each in configs.MODEL_CONFIGS.items()
        if other != name
    ]
    assert model.recognise(model.state_dict()) == {"dim": config}.get(name)  # other tools have DIM alone
    assert not any(model.recognise(state) for state in [{"x": torch.zeros(1)}, *others])
    named = [key for prefixes in model.PARTS.values() for key in model.state_dict() if key.startswith(prefixes)]
    assert sorted(named) == sorted(model.state_dict())  # every weight belongs to just one part


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "", None, "meta", torch.device("meta")])
def test_an_absent_device_is_named(device):
    with pytest.raises(DeviceError, match=f"^device '?{device}'?"):
        load_model("lite", device=device)
    if device:
        with pytest.raises(DeviceError, match=f"^device '?{device}'?"):
            estimate_foreground(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), device)


def test_wrong_arguments_are_named():
    with pytest.raises(DataError, match="^path: 3 is no path; give a str or a pathlib.Path$"):
        load_model(3)
    with pytest.raises(ConfigError, match=r"^config: 'lite' is none; deepmat.load_config\(path\) reads one$"):
        build_model("lite")
    assert type(build_model(configs.load(overrides=["model={arch: dim, width: 0.0625}"]))) is MODELS["dim"]


def test_fresh_weights_are_xavier_normal():
    torch.manual_seed(0)
    layer = build_model(DIMConfig()).conv5_1
    expected = (2 / (9 * 512 + 9 * 512)) ** 0.5
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.01) and not layer.bias.any()


def test_freeze_stops_the_named_parts_only():
    model = build_model(DIMConfig(refine=True, width=1 / 16))
    freeze(model, ["encoder", "decoder"])
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name in model.state_dict() if name.startswith("refine_")}
    with pytest.raises(ConfigError, match="did you mean encoder"):
        freeze(model, ["encodr"])
    with pytest.raises(ConfigError, match="nothing is left to train"):
        freeze(build_model(TINY), ["encoder", "decoder"])
    with pytest.raises(ConfigError, match="no such part"):
        freeze(build_model(TINY), ["refinement"])


def test_stage_2_begins_with_the_weights_of_stage_1(tmp_path):
    before, after = build_model(TINY), build_model(DIMConfig(refine=True, width=1 / 16))
    save_weights(tmp_path / "one.safetensors", before.state_dict(), TINY.model_dump())
    fresh = fill_from(after, tmp_path / "one.safetensors")
    assert {key.split(".")[0] for key in fresh} == {"refine_conv1", "refine_conv2", "refine_conv3", "refine_pred"}
    assert torch.equal(before.state_dict()["deconv1.weight"], after.state_dict()["deconv1.weight"])
    back = fill_from(build_model(TINY), tmp_path / "one.safetensors")
    assert back == []
    with pytest.raises(CheckpointError, match="--set model.skip=True"):
        fill_from(build_model(DIMConfig(skip=False, width=1 / 16)), tmp_path / "one.safetensors")
    with pytest.raises(CheckpointError, match="--set model.width=0.0625"):
        fill_from(build_model(DIMConfig(width=1 / 8)), tmp_path / "one.safetensors")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    state = build_model(TINY).state_dict()
    save_weights(path, {**state, "deconv1.weight": torch.zeros(1, 4, 3, 3)}, TINY.model_dump())
    with pytest.raises(CheckpointError, match=r"deconv1.weight is \[1, 4, 3, 3\], this model's is \[1, 4, 5, 5\]"):
        load_model(path)
    save_weights(path, {key: value for key, value in state.items() if key != "conv5_3.bias"}, TINY.model_dump())
    with pytest.raises(CheckpointError, match="has no conv5_3.bias"):
        load_model(path)
    save_weights(path, {**state, "attention.weight": torch.zeros(1)}, TINY.model_dump())
    with pytest.raises(CheckpointError, match="has attention.weight"):
        load_model(path)


@pytest.mark.parametrize("stage", range(4))
def test_the_stages_are_those_of_the_paper(stage):
    config = configs.load(configs.recipe(f"stage{stage}"))
    assert (
        config.loss
        == [
            {"alpha": 1.0},
            {"alpha": 0.5, "composition": 0.5},
            {"refined": 1.0},
            {"alpha": 0.5, "composition": 0.5, "refined": 1.0},
        ][stage]
    )
    assert config.model.refine == (stage >= 2)
    assert config.train.freeze == (["encoder", "decoder"] if stage == 2 else [])


@pytest.mark.parametrize(
    ("config", "share"), [(TINY, 0.6), (DIMConfig(refine=True, width=1 / 16), 0.6), (LiteConfig(width=1 / 2), 0.75)]
)
def test_recompute_gives_the_same_gradients_for_less_memory(config, share):
    torch.manual_seed(0)
    model = build_model(config)
    image, trimap = 255 * torch.rand(1, 3, 64, 96), torch.full((1, 1, 64, 96), 128.0)

    def run(recompute):
        model.recompute = recompute
        kept = 0

        def count(tensor):
            nonlocal kept
            kept += tensor.numel() * tensor.element_size()
            return tensor

        model.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            outputs = model(image, trimap)
        sum(alpha.sum() for alpha in outputs.values()).backward()
        return kept, [parameter.grad.clone() for parameter in model.parameters()]

    (kept, plain), (less, again) = run(False), run(True)
    assert less < share * kept
    assert all(map(torch.equal, plain, again))
