from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import rule_state

from deepmat import config as configs
from deepmat.config import OptimizerConfig
from deepmat.errors import ConfigError
from deepmat.models import build_model, freeze
from deepmat.training.batches import collate
from deepmat.training.losses import LOSSES, weighted_sum
from deepmat.training.optimisers import build_optimizer
from deepmat.training.step import optimise, to_device


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


SLOW = pytest.mark.slow
"""Stages 0 to 2 in the slow tier: stage 3 trains all parts by all terms, each step in seconds at full width."""


@pytest.mark.parametrize(
    ("stage", "steps"),
    [pytest.param(0, 3, marks=SLOW), pytest.param(1, 5, marks=SLOW), pytest.param(2, 5, marks=SLOW), (3, 5)],
)
def test_adam_steps_equal_the_reference(golden, collated, stage, steps):
    """The network in double precision, which no machine's order of sums moves.

    In stage 0's fourth step a tie of the pooling falls the other way than in the reference's single precision: from
    there on the two go apart.
    """
    # In the order that training takes, channels last, ties of the pooling fall elsewhere than in the reference.
    batch = {key: value.contiguous() if key != "name" else value for key, value in collated.items()}
    config = configs.load(configs.recipe(f"stage{stage}"))
    model = build_model(config.model)
    model.load_state_dict(rule_state(model, skip=True))
    freeze(model.double(), config.train.freeze)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4, fused=True)
    losses = [optimise(model, optimizer, [batch], config.loss)["total"].item() for _ in range(steps)]
    np.testing.assert_allclose(losses, golden("losses")[f"adam_lr1e-4_stage{stage}"][:steps], rtol=5e-5)


def random_batch(count, *size):
    """Alphas, colours and masks of float64, and a prediction that has nothing to do with them."""
    rng = np.random.default_rng(0)

    def draw(channels):
        return torch.from_numpy(rng.random((count, channels, *size)))

    alpha, fg, bg, unknown = draw(1), 255 * draw(3), 255 * draw(3), (draw(1) < 0.5).double()
    composite = alpha * fg + (1 - alpha) * bg
    batch = {"alpha": alpha, "fg": fg, "bg": bg, "composite": composite, "unknown": unknown}
    return {**batch, "count": unknown.sum() + 1, "known": (1 - unknown).sum() + 1}, draw(1)


def term(name, prediction, batch):
    return LOSSES[name]({"alpha": prediction, "coarse": prediction}, batch)


SEE_ALL = ("pyramid", "sobel", "steepness")


@pytest.mark.parametrize("name", LOSSES)
def test_contract_of_every_term(name):
    """Zero for a perfect prediction, blind to known pixels, 0 for nothing unknown, and the right gradient.

    The term of known pixels is blind to unknown ones; those of SEE_ALL are blind to none.
    """
    batch, prediction = random_batch(2, 4, 5)
    unknown = batch["unknown"]
    seen = 1 - unknown if name == "known_l1" else unknown
    prediction.requires_grad_()
    perfect = torch.full_like(batch["alpha"], 0.4) if name == "steepness" else batch["alpha"].clone()

    def loss(predicted, batch=batch):
        return term(name, predicted, batch)

    if name == "steepness":  # of a border of zeros too, which is left out here
        unknown[..., [0, -1], :] = unknown[..., [0, -1]] = 0
    perfect.requires_grad_()
    assert loss(perfect).item() < 1e-5
    loss(perfect).backward()
    assert not perfect.grad.any()
    assert loss(prediction).item() > 0.01
    blind = torch.equal(
        loss(torch.where(seen.bool(), prediction, 0.3)), loss(torch.where(seen.bool(), prediction, 0.9))
    )
    assert blind == (name not in SEE_ALL)
    nothing = {**batch, "unknown": torch.zeros_like(unknown) + (name == "known_l1")}
    assert (loss(prediction, nothing).item() == 0) == (name != "pyramid")
    assert torch.autograd.gradcheck(loss, (prediction,))


@pytest.mark.parametrize("name", LOSSES)
def test_parts_of_a_step_add_up_to_the_whole(name):
    batch, prediction = random_batch(5, 7, 6)
    batch["unknown"][3] = 0
    counts = {"count": batch["unknown"].sum() + 1, "known": (1 - batch["unknown"]).sum() + 1}
    prediction.requires_grad_()
    whole = term(name, prediction, {**batch, **counts})
    (expected,) = torch.autograd.grad(whole, prediction)
    for bounds in ([0, 2, 5], [0, 1, 4, 5], range(6)):
        slices = [slice(*ends) for ends in pairwise(bounds)]
        parts = [{key: value[part] for key, value in batch.items() if key not in counts} for part in slices]
        numbers = {key: float(each) for key, each in counts.items()}
        total = sum(term(name, prediction[at], {**part, **numbers}) for at, part in zip(slices, parts, strict=True))
        torch.testing.assert_close(total, whole, rtol=1e-12, atol=0)
        torch.testing.assert_close(torch.autograd.grad(total, prediction)[0], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_terms_are_of_single_precision_under_autocast(name):
    batch, prediction = random_batch(2, 9, 8)
    batch = {key: value.float() for key, value in batch.items()}
    half = prediction.bfloat16()
    expected = term(name, half.float(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        loss = term(name, half, batch)
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)


def test_only_refined_looks_at_the_refined_alpha():
    batch, prediction = random_batch(1, 4, 5)
    for name, loss in LOSSES.items():
        looked_at = "alpha" if name == "refined" else "coarse"
        best = torch.zeros_like(prediction) if name == "steepness" else batch["alpha"]
        poor = {"alpha": prediction, "coarse": prediction, looked_at: best}
        good = dict.fromkeys(poor, best) | {looked_at: prediction}
        assert loss(good, batch) > 1e-3 > loss(poor, batch), name


def merged(batch, prediction):
    """True alpha and the prediction, set to it where known: numpy [N, H, W]."""
    alpha = batch["alpha"].numpy()[:, 0]
    return alpha, np.where(batch["unknown"].numpy()[:, 0] == 1, prediction.numpy()[:, 0], alpha)


def halved(row):
    """REDUCE of Burt and Adelson (1983), equation 1, in one dimension; borders repeat their pixel."""
    inside = range(len(row))
    at = [[min(max(2 * i + m, inside[0]), inside[-1]) for m in range(-2, 3)] for i in range((len(row) + 1) // 2)]
    return np.array([sum(w / 16 * row[j] for w, j in zip((1, 4, 6, 4, 1), each, strict=True)) for each in at])


def doubled(row, length):
    """EXPAND (equation 2): only whole (i - m) / 2 count."""
    values = np.zeros(length)
    for i in range(length):
        for w, m in zip((1, 4, 6, 4, 1), range(-2, 3), strict=True):
            if (i - m) % 2 == 0:
                values[i] += 2 * w / 16 * row[min(max((i - m) // 2, 0), len(row) - 1)]
    return values


def pyramid(plane):
    for _ in range(5):
        below = np.apply_along_axis(halved, 1, np.apply_along_axis(halved, 0, plane))
        tall = np.apply_along_axis(doubled, 0, below, plane.shape[0])
        yield plane - np.apply_along_axis(doubled, 1, tall, plane.shape[1])
        plane = below


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 2), (7, 10), (33, 48)], ids=str)
def test_new_terms_equal_a_slow_recomputation(size):
    batch, prediction = random_batch(2, *size)
    alphas, predictions = merged(batch, prediction)
    expected = dict.fromkeys(("l1", "laplacian", "gradient"), 0.0)
    for true, predicted in zip(alphas, predictions, strict=True):
        expected["l1"] += np.abs(predicted - true).sum()
        for s, (one, other) in enumerate(zip(pyramid(predicted), pyramid(true), strict=True), start=1):
            expected["laplacian"] += 2 ** (s - 1) * np.abs(one - other).sum()
        for y, x in np.ndindex(size):
            for below, right in ((y + 1, x), (y, x + 1)):
                if below < size[0] and right < size[1]:
                    expected["gradient"] += abs(
                        (predicted[below, right] - predicted[y, x]) - (true[below, right] - true[y, x])
                    )
    for name, value in expected.items():
        value /= batch["unknown"].sum().item() + 1
        assert term(name, prediction, batch).item() == pytest.approx(value, rel=1e-12, abs=1e-14), name


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (32, 48)], ids=str)
def test_terms_of_vitmatte_equal_a_slow_recomputation(size):
    """The whole prediction counts. Levels of the pyramid are means; that is exact where sides halve evenly."""
    batch, prediction = random_batch(2, *size)
    alphas, predictions, unknown = (each.numpy()[:, 0] for each in (batch["alpha"], prediction, batch["unknown"]))
    sobel_x = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    expected = {"sobel": 0.0, "steepness": 0.0}
    for true, predicted, asked in zip(alphas, predictions, unknown, strict=True):
        for name, plane in {"sobel": np.pad(predicted - true, 1), "steepness": np.pad(predicted, 1)}.items():
            for y, x in zip(*np.nonzero(asked), strict=True):
                around = plane[y : y + 3, x : x + 3]
                expected[name] += abs((sobel_x * around).sum()) + abs((sobel_x.T * around).sum())
    for name, value in expected.items():
        value /= unknown.sum() + 1
        assert term(name, prediction, batch).item() == pytest.approx(value, rel=1e-12, abs=1e-14), name
    if size == (32, 48):
        pairs = zip(
            pyramid(predictions[0]), pyramid(predictions[1]), pyramid(alphas[0]), pyramid(alphas[1]), strict=True
        )
        means = [np.mean([np.abs(a - c), np.abs(b - d)]) for a, b, c, d in pairs]
        # Of all pixels; both counts have one more.
        value = sum(2**s * mean for s, mean in enumerate(means)) / 5 * alphas.size / (alphas.size + 2)
        assert term("pyramid", prediction, batch).item() == pytest.approx(value, rel=1e-12)


def test_sobels_filters_by_hand():
    ramp = torch.arange(5.0).expand(1, 1, 3, 5)
    batch = {"alpha": torch.zeros(1, 1, 3, 5), "unknown": torch.zeros(1, 1, 3, 5), "count": 1.0}
    batch["unknown"][..., 1, 2] = 1
    assert term("sobel", ramp, batch) == term("steepness", ramp, batch) == 8  # (1 + 2 + 1) (3 - 1)
    assert term("sobel", ramp, {**batch, "alpha": ramp}) == 0 and term("steepness", ramp, {**batch, "alpha": ramp}) == 8
    batch["unknown"][..., 1, 2], batch["unknown"][..., 0, 0] = 0, 1
    assert term("sobel", ramp + 1, batch) == 2 * 2 + 2 + 2 * 1 + 2  # at the corner, beside zeros


def test_a_constant_error_has_no_details_and_no_gradient():
    batch, _ = random_batch(1, 31, 18)
    batch["unknown"] = torch.ones_like(batch["unknown"])
    for name in ("laplacian", "gradient"):
        assert term(name, batch["alpha"] + 0.25, batch).item() < 1e-14, name


def test_terms_by_hand():
    one = torch.ones(1, 1, 1, 1)
    batch = {"alpha": 0.25 * one, "unknown": one, "fg": 200 * one, "bg": 100 * one, "composite": 125 * one}
    batch["count"] = one.sum() + 1
    outputs = {"alpha": 0.75 * one, "coarse": 0.5 * one}
    total, terms = weighted_sum(outputs, batch, {"alpha": 1.0, "composition": 2.0, "refined": 3.0})
    # One unknown pixel: every mean is divided by 1 + 1.
    assert terms["alpha"].item() == pytest.approx(0.25 / 2)
    assert terms["composition"].item() == pytest.approx(25 / 255 / 2)
    assert terms["refined"].item() == pytest.approx(0.5 / 2)
    assert total.item() == pytest.approx(0.125 + 2 * 25 / 510 + 3 * 0.25)
    with pytest.raises(ConfigError, match="did you mean composition"):
        weighted_sum(outputs, batch, {"compositon": 1.0})


NARROW = "model.width=0.125"


def step_of_dim(collated, precision="fp32", steps=2, times=1, **options):
    """Loss terms, gradient and weights of steps of stage 3 on the golden sample."""
    config = configs.load(configs.recipe("stage3"), overrides=[NARROW])
    model = build_model(config.model)
    model.load_state_dict(rule_state(model, skip=True))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, eps=1e-3, fused=True)
    loss = {name: times * weight for name, weight in config.loss.items()}
    values = [optimise(model, optimizer, [collated], loss, precision=precision, **options) for _ in range(steps)]
    return [{name: value.item() for name, value in each.items()} for each in values], model.state_dict()


def test_a_step_in_bf16_is_within_its_rounding_of_one_in_fp32(collated):
    (first, second), _ = step_of_dim(collated)
    (half, later), weights = step_of_dim(collated, "bf16")
    for exact, rounded in ((first, half), (second, later)):
        for name, value in exact.items():
            assert rounded[name] == pytest.approx(value, rel=0.05 if name == "norm" else 2**-7), name
    assert all(value.dtype == torch.float32 for value in weights.values())


def test_a_scaled_loss_changes_nothing_but_what_overflows(collated):
    """As fp16 needs it; a scale of a power of two is exact in float32."""
    _, plain = step_of_dim(collated)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    _, scaled = step_of_dim(collated, scaler=scaler)
    assert all(torch.allclose(value, scaled[key], rtol=0, atol=1e-6) for key, value in plain.items())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    (first,), kept = step_of_dim(collated, steps=1, times=1000, scaler=scaler)
    model = build_model(configs.load(configs.recipe("stage3"), overrides=[NARROW]).model)
    assert np.isfinite(first["total"]) and not np.isfinite(first["norm"]) and scaler.get_scale() == 2.0**126
    assert all(torch.equal(value, kept[key]) for key, value in rule_state(model, skip=True).items())


def test_a_step_does_not_wait_for_the_device(collated, monkeypatch):
    """Nothing in it turns a tensor into a number."""

    def refuse(self, *_):
        raise AssertionError("a number was asked for")

    config = configs.load(configs.recipe("stage3"), overrides=[NARROW])
    model = build_model(config.model)
    optimizer = build_optimizer(OptimizerConfig(), model.parameters(), 1e-5)
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "numpy", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    values = optimise(model, optimizer, [collated], config.loss, count=100.0, precision="bf16", clip=1.0)
    monkeypatch.undo()
    assert np.isfinite(values["total"].item())
