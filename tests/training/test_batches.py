import numpy as np
import pytest
import torch

from deepmat.training import batches

CHANNELS = {"image": 3, "composite": 3, "fg": 3, "bg": 3, "alpha": 1, "trimap": 1}


@pytest.fixture
def gather(monkeypatch):
    """What collates in a worker process."""
    monkeypatch.setattr(batches, "get_worker_info", lambda: "one")
    return batches.Gather()


def samples(value, size=4):
    shapes = {kind: (size, size, 3)[: 2 + (channels > 1)] for kind, channels in CHANNELS.items()}
    sample = {kind: np.full(shape, value, np.uint8) for kind, shape in shapes.items()}
    return [{"name": str(value), **sample, "image": sample["composite"]}] * 2


def address(batch):
    return batch["composite"].data_ptr()


def test_the_memory_of_a_batch_is_used_again_once_all_its_tensors_are_gone(gather):
    first, second = (batches._unpack(gather(samples(value))) for value in (1, 2))
    places = address(first), address(second)
    assert places[0] != places[1]
    part = first.pop("alpha")[:1]
    del first
    third = batches._unpack(gather(samples(3)))
    assert address(third) not in places and (part == 1).all()
    del part
    fourth = batches._unpack(gather(samples(4)))
    assert address(fourth) == places[0] and len(gather._blocks) == 3
    for value, batch in enumerate((second, third, fourth), start=2):
        assert all((batch[kind] == value).all() and batch[kind].shape[1] == CHANNELS[kind] for kind in CHANNELS)


def test_larger_samples_take_the_place_of_memory_that_is_too_small(gather):
    small = batches._unpack(gather(samples(1)))
    del small
    large = batches._unpack(gather(samples(2, size=8)))
    assert len(gather._blocks) == 1
    place = address(large)
    del large
    assert address(batches._unpack(gather(samples(3)))) == place


def test_pinned_batches_are_copies_that_leave_the_shared_memory_free(gather, monkeypatch):
    """torch's loader pins in a thread of its own."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    gathered = gather(samples(1))
    pinned = torch.utils.data._utils.pin_memory.pin_memory(gathered)
    batch = batches._unpack(pinned)
    again = gather(samples(2))
    assert again["block"].memory.data_ptr() == gathered["block"].memory.data_ptr()
    assert (batch["fg"] == 1).all() and batch["name"] == ["1", "1"]
    # Tensors of its own memory, of which torch's allocator knows when the GPU has read it.
    assert batch["fg"].untyped_storage().data_ptr() == pinned["block"].memory.data_ptr()
