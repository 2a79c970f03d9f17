"""Convolutions of the fast forms: what they answer, whichever library computes them."""

import pytest
import torch
from torch import nn

from deepmat.models import convolving
from deepmat.models.convolving import convolve, layout

needs_nnpack = pytest.mark.skipif(not torch.backends.nnpack.is_available(), reason="this torch has no NNPACK")


def _layer(side: int, stride: int = 1) -> nn.Conv2d:
    torch.manual_seed(side)
    return nn.Conv2d(5, 7, side, stride=stride, padding=side // 2).requires_grad_(False)


@needs_nnpack
@pytest.mark.parametrize("height", [1, 2, 6, 7, 40])
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("workspace", [1, 60_000, 1e9])
def test_bands_of_rows_answer_as_the_whole(monkeypatch, workspace, side, height):
    monkeypatch.setattr(convolving, "NNPACK_PAYS", True)
    monkeypatch.setattr(convolving, "WORKSPACE", workspace)
    layer, x = _layer(side), torch.randn(1, 5, height, 33)
    torch.testing.assert_close(convolve(layer, x), layer(x).relu(), rtol=0, atol=1e-4)
    onto = torch.randn(1, 7, height, 33)
    expected = (layer(x) + onto).relu()
    assert convolve(layer, x, onto) is onto
    torch.testing.assert_close(onto, expected, rtol=0, atol=1e-4)


@needs_nnpack
def test_nnpack_is_left_out_where_it_is_slower_or_would_change_which_feature_is_the_largest(monkeypatch):
    monkeypatch.setattr(convolving, "NNPACK_PAYS", True)
    used = []
    monkeypatch.setattr(convolving, "_by_nnpack", lambda *given: used.append(given))
    x = torch.randn(1, 5, 8, 8)
    convolve(_layer(1), x), convolve(_layer(3, stride=2), x), convolve(_layer(3), x, exact=True)
    convolve(_layer(3).to(torch.bfloat16), x.to(torch.bfloat16))
    assert not used
    convolve(_layer(3), x)
    assert len(used) == 1


@pytest.mark.parametrize("pays", [True, False])
def test_features_lie_in_memory_as_the_library_reads_them(monkeypatch, pays):
    monkeypatch.setattr(convolving, "NNPACK_PAYS", pays)
    here, first = torch.device("cpu"), torch.contiguous_format
    assert layout(here, torch.float32) is (first if pays else torch.channels_last)
    assert layout(here, torch.bfloat16) is layout(torch.device("cuda"), torch.float32) is torch.channels_last
