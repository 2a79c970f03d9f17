import math

import pytest
import torch

from deepmat.config import OptimizerConfig, ScheduleConfig, TrainConfig
from deepmat.errors import ConfigError
from deepmat.training.optimisers import (
    OPTIMIZERS,
    SCHEDULES,
    build_optimizer,
    by_depth,
    follow,
    learning_rate,
    set_rate,
    warmup_notices,
)


def rates(**options):
    settings = TrainConfig(lr=2.0, schedule=ScheduleConfig(**options))
    return [learning_rate(settings, step, steps=10, steps_per_epoch=2) for step in range(10)]


def test_schedules_by_hand():
    assert rates() == [2.0] * 10
    assert rates(name="step", every=2, gamma=0.5) == [2.0] * 4 + [1.0] * 4 + [0.5] * 2
    half = rates(name="cosine")
    assert half[0] == 2.0 and half[5] == pytest.approx(1.0) and half[9] == pytest.approx(1 + math.cos(0.9 * math.pi))
    assert rates(name="cosine", floor=0.5)[5] == pytest.approx(1.5)
    assert rates(name="poly", power=2)[4] == pytest.approx(2 * 0.6**2)
    assert rates(name="poly", power=1, floor=0.5)[5] == pytest.approx(1.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_contract_of_every_schedule(name):
    """It never rises but in the warm-up, which leads to the whole rate, and never falls under 0."""
    pieces = [[4, 0.5]] if name == "piecewise" else []
    warm = rates(name=name, warmup=4, pieces=pieces)
    assert warm[:4] == [0.5, 1.0, 1.5, 2.0]
    assert warm[3:] == sorted(warm[3:], reverse=True) and warm[-1] > 0
    assert rates(name=name, warmup=99, pieces=pieces)[-1] < 2.0


def test_a_warm_up_of_most_of_the_run_is_told():
    settings = TrainConfig(lr=1e-4, schedule=ScheduleConfig(warmup=100))
    assert not warmup_notices(settings, 200) and not warmup_notices(TrainConfig(), 1)
    assert "takes 100 of 199 steps, up to a learning rate of 0.0001 of 0.0001; " in warmup_notices(settings, 199)[0]
    (notice,) = warmup_notices(settings, 5)
    assert "takes 5 of 5 steps, up to a learning rate of 5e-06 of 0.0001; " in notice
    assert notice.endswith("train longer, or --set train.schedule.warmup=0")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_contract_of_every_optimiser(name):
    """It moves against the gradient, takes the options, and leaves out a step on the device where told."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = build_optimizer(OptimizerConfig(name=name, betas=[0.5, 0.6], eps=1e-4), [weight], 0.1)
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.6) and optimizer.param_groups[0]["eps"] == 1e-4
    weight.grad = torch.tensor([3.0, -2.0])
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    assert weight.tolist() == [1.0, -1.0]
    optimizer.found_inf = torch.tensor(0.0)
    optimizer.step()
    assert weight.tolist() == pytest.approx([0.9, -0.9], abs=1e-3)


def test_unknown_names_are_told():
    with pytest.raises(ConfigError, match="train.schedule.name 'cosin': unknown, did you mean cosine"):
        rates(name="cosin")
    with pytest.raises(ConfigError, match="train.optimizer.name 'sgd': unknown.* known: adam, adamw"):
        build_optimizer(OptimizerConfig(name="sgd"), [], 1.0)


def test_the_average_follows_weights_and_takes_buffers_as_they_are():
    average, model = torch.nn.BatchNorm2d(1), torch.nn.BatchNorm2d(1)
    torch.nn.init.constant_(model.weight, 3.0)
    model.running_mean += 5
    follow(average, model, decay=0.75, step=1000, taken=torch.tensor(False))
    assert average.weight.item() == 1
    follow(average, model, decay=0.75, step=1000, taken=torch.tensor(True))
    assert average.weight.item() == pytest.approx(1 + 0.25 * 2) and average.running_mean.item() == 5


def test_piecewise_by_hand():
    assert rates(name="piecewise", pieces=[[1, 0.5], [3, 0.25]]) == [2.0] * 2 + [1.0] * 4 + [0.5] * 4


def test_layers_far_from_the_output_learn_more_slowly():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    with pytest.raises(ConfigError, match="layer_decay 0.5: this network has no layers of that kind; leave it 1"):
        by_depth(model, 0.5)
    model.depth = lambda name: 1 - int(name[0])
    optimizer = build_optimizer(OptimizerConfig(), by_depth(model, 0.5), 1.0)
    set_rate(optimizer, 4.0)
    assert [(group["lr"], len(group["params"])) for group in optimizer.param_groups] == [(4.0, 2), (2.0, 2)]
