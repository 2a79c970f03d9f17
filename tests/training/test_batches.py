from types import SimpleNamespace

import numpy as np
import pytest
import torch

from deepmat.training import batches

CHANNELS = {"image": 3, "composite": 3, "fg": 3, "bg": 3, "alpha": 1, "trimap": 1}


@pytest.fixture
def loader(monkeypatch):
    monkeypatch.setattr(batches, "get_worker_info", lambda: SimpleNamespace(id=0))
    return batches.Gather()


@pytest.fixture
def send(loader):
    """send(1) -> what a worker sends for a batch of that value, as the trainer receives it."""

    def gathered(value, size=4):
        shapes = {kind: (size, size, 3)[: 2 + (channels > 1)] for kind, channels in CHANNELS.items()}
        sample = {kind: np.full(shape, value, np.uint8) for kind, shape in shapes.items()}
        batch = loader([{"name": str(value), **sample, "image": sample["composite"]}] * 2)
        receive, arguments = batch["block"].__reduce__()
        return {**batch, "block": receive(*arguments)}

    return gathered


def address(batch):
    return batch["composite"].data_ptr()


def test_the_memory_of_a_batch_is_used_again_once_all_its_tensors_are_gone(loader, send):
    first, second = batches._unpack(send(1)), batches._unpack(send(2))
    places = address(first), address(second)
    assert places[0] != places[1]
    part = first.pop("alpha")[:1]
    del first
    third = batches._unpack(send(3))
    assert address(third) not in places and (part == 1).all()
    del part
    fourth = batches._unpack(send(4))
    assert address(fourth) == places[0] and len(loader.received) == 3
    for value, batch in enumerate((second, third, fourth), start=2):
        assert all((batch[kind] == value).all() and batch[kind].shape[1] == CHANNELS[kind] for kind in CHANNELS)


def test_larger_samples_take_the_place_of_memory_that_is_too_small(loader, send):
    assert (batches._unpack(send(1))["fg"] == 1).all()
    large = batches._unpack(send(2, size=8))
    assert (large["fg"] == 2).all() and len(loader.received) == 1
    place = address(large)
    del large
    assert address(batches._unpack(send(3))) == place


def test_pinned_batches_are_copies_that_leave_the_shared_memory_free(send, monkeypatch):
    """torch's loader pins in a thread of its own."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    gathered = send(1)
    pinned = torch.utils.data._utils.pin_memory.pin_memory(gathered)
    batch = batches._unpack(pinned)
    assert send(2)["block"].memory.data_ptr() == gathered["block"].memory.data_ptr()
    assert (batch["fg"] == 1).all() and batch["name"] == ["1", "1"]
    # Of torch's own storage: by it the allocator of pinned memory knows until when the GPU reads it.
    assert batch["fg"].untyped_storage()._cdata == pinned["block"].memory.untyped_storage()._cdata
