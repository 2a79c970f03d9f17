import numpy as np
import pytest
import torch
from conftest import rule_state

from deepmat import config as configs
from deepmat.dataset import collate
from deepmat.engine import optimise, to_device
from deepmat.errors import ConfigError
from deepmat.losses import LOSSES, weighted_sum
from deepmat.models import build_model, freeze


def plane(pixels):
    return torch.from_numpy(pixels.astype(np.float32))[None, None]


@pytest.fixture
def collated(golden):
    """The golden sample on the way that training takes."""
    arrays = golden("losses")
    colours = {kind: arrays[f"{kind}_bgr"][..., ::-1].copy() for kind in ("image", "fg", "bg")}
    sample = {**colours, "composite": colours["image"], **{kind: arrays[kind] for kind in ("alpha", "trimap")}}
    return collate([{"name": "golden", **sample}])


@pytest.fixture
def batch(collated):
    return to_device(collated, torch.device("cpu"))


def test_terms_equal_the_reference(golden, batch):
    arrays = golden("losses")
    outputs = {"alpha": plane(arrays["refined"]), "coarse": plane(arrays["coarse"])}
    expected = {"alpha": "alpha_loss", "composition": "comp_loss", "refined": "refined_alpha_loss"}
    for name, theirs in expected.items():
        assert LOSSES[name](outputs, batch).item() == pytest.approx(float(arrays[theirs]), abs=1e-6), name


def test_the_reference_adds_a_constant_in_stage_0(golden, batch):
    """It takes the root after masking, so each known pixel adds sqrt(1e-12): 1e-6 without a gradient."""
    arrays = golden("losses")
    unknown = batch["unknown"].sum().item()
    constant = 1e-6 * (batch["unknown"].numel() - unknown) / (unknown + 1)
    ours = LOSSES["alpha"]({"alpha": plane(arrays["coarse"])}, batch).item()
    assert ours + constant == pytest.approx(float(arrays["simple_alpha_loss"]), abs=1e-7)


@pytest.fixture
def two_threads():
    """Sums of another order let a tie of the pooling fall the other way: one thread is 4e-4 off in stage 0's step 4."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("stage", range(4))
def test_five_adam_steps_equal_the_reference(golden, collated, stage, two_threads):
    # In the order that training takes, channels last, ties of the pooling fall elsewhere than in the reference.
    batch = {key: value.contiguous() if key != "name" else value for key, value in collated.items()}
    config = configs.load(configs.recipe(f"stage{stage}"))
    model = build_model(config.model)
    model.load_state_dict(rule_state(model, skip=True))
    freeze(model, config.train.freeze)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4, fused=True)
    losses = [optimise(model, optimizer, [batch], config.loss)["total"].item() for _ in range(5)]
    np.testing.assert_allclose(losses, golden("losses")[f"adam_lr1e-4_stage{stage}"], rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_contract_of_every_term(name):
    """Zero for a perfect prediction, blind to known pixels, 0 for nothing unknown, and the right gradient."""
    rng = torch.Generator().manual_seed(0)
    alpha = torch.rand(2, 1, 4, 5, generator=rng, dtype=torch.float64)
    fg, bg = (255 * torch.rand(2, 3, 4, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    unknown = (torch.rand(2, 1, 4, 5, generator=rng) < 0.5).double()
    batch = {"alpha": alpha, "fg": fg, "bg": bg, "composite": alpha * fg + (1 - alpha) * bg, "unknown": unknown}
    prediction = torch.rand(2, 1, 4, 5, generator=rng, dtype=torch.float64, requires_grad=True)

    def loss(predicted, batch=batch):
        return LOSSES[name]({"alpha": predicted, "coarse": predicted}, batch)

    assert loss(alpha).item() < 1e-5
    assert loss(prediction).item() > 0.01
    assert torch.equal(
        loss(torch.where(unknown.bool(), prediction, 0.3)), loss(torch.where(unknown.bool(), prediction, 0.9))
    )
    assert loss(prediction, {**batch, "unknown": torch.zeros_like(unknown)}).item() == 0
    assert torch.autograd.gradcheck(loss, (prediction,))


def test_terms_by_hand():
    one = torch.ones(1, 1, 1, 1)
    batch = {"alpha": 0.25 * one, "unknown": one, "fg": 200 * one, "bg": 100 * one, "composite": 125 * one}
    outputs = {"alpha": 0.75 * one, "coarse": 0.5 * one}
    total, terms = weighted_sum(outputs, batch, {"alpha": 1.0, "composition": 2.0, "refined": 3.0})
    # One unknown pixel: every mean is divided by 1 + 1.
    assert terms["alpha"].item() == pytest.approx(0.25 / 2)
    assert terms["composition"].item() == pytest.approx(25 / 255 / 2)
    assert terms["refined"].item() == pytest.approx(0.5 / 2)
    assert total.item() == pytest.approx(0.125 + 2 * 25 / 510 + 3 * 0.25)
    with pytest.raises(ConfigError, match="did you mean composition"):
        weighted_sum(outputs, batch, {"compositon": 1.0})
