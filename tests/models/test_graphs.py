"""Graphs of networks give the alpha of the networks, at every size."""

import numpy as np
import pytest
import torch
from tiny_graphs import graph_of

from deepmat.config import DIMConfig, LiteConfig
from deepmat.errors import CheckpointError, DeepmatWarning
from deepmat.imaging.trimap import quantise
from deepmat.inference import modes
from deepmat.inference.exporting import compare, picture
from deepmat.inference.predict import predict, predict_seen
from deepmat.models import build_model, load_model
from deepmat.models.exporting import to_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def trained(config, seed=0):
    """A tiny network whose every weight matters."""
    torch.manual_seed(seed)
    model = build_model(config).eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name == "head.weight" or name.endswith("bias"):
                values.add_(0.1 * torch.randn_like(values))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tiny lite and its file, which takes seconds to make."""
    model, path = trained(LiteConfig(width=1 / 8)), tmp_path_factory.mktemp("exported") / "lite.onnx"
    path.write_bytes(to_onnx(model, {}))
    return model, path


@pytest.fixture(scope="module")
def lite(exported):
    return exported[0], load_model(exported[1])


def same(alpha, expected):
    """Equal, but for a few pixels whose two guessed colours are nearly the same, so that rounding decides."""
    off = np.abs(alpha - expected)
    assert off.mean() < 1e-5 and off.max() < 1e-2


# One pixel, a line, sides around 32 and 128 (doubled: 256, where the copy begins), a long one, and over 1024 (settled).
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 31), (64, 127), (129, 40), (10, 1030), (1061, 70)])
def test_lite_at_every_size(lite, size):
    model, graph = lite
    image, trimap = picture(*size, seed=3)
    expected, _ = predict_seen(model, image, trimap, mode="whole", correct=False, max_size=2000)
    alpha = graph.run(image, trimap)
    assert alpha.dtype == np.float32 and alpha.shape == size
    same(alpha, expected)
    assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 1).all()


def test_lite_far_from_all_that_is_known(lite):
    model, graph = lite
    image, trimap = picture(300, 1100, seed=3)
    trimap[:], trimap[:, :4], trimap[:, -4:] = 128, 0, 255
    expected, _ = predict_seen(model, image, trimap, mode="whole", correct=False, max_size=2000)
    same(graph.run(image, trimap), expected)


def test_a_file_is_corrected_as_its_network_is(lite):
    model, graph = lite
    image, trimap = picture(40, 60, seed=3)
    expected = predict(model, image, trimap, mode="whole")
    same(predict(graph, image, trimap, mode="whole"), expected)
    assert np.abs(predict(model, image, trimap, mode="whole", correct=False) - expected).max() > 0.01


def test_an_export_compares_with_the_uncorrected_alpha(lite):
    model, graph = lite
    compared = compare(graph, model, 40, 60, seed=3)
    assert compared["largest"] < 1e-2 and compared["mean"] < 1e-5


def test_a_file_says_itself_what_it_is(lite, tmp_path):
    path = tmp_path / "lite.onnx"
    path.write_bytes(to_onnx(lite[0], {}))
    with pytest.raises(CheckpointError, match="says itself how it was trained .*; leave --skip out"):
        load_model(path, assume={"skip": False})


def test_lite_at_its_own_size_if_asked(lite):
    model, graph = lite
    image, trimap = picture(50, 70, seed=3)
    expected, _ = predict_seen(model, image, trimap, mode="whole", double=0, correct=False)
    same(graph.run(image, trimap, 0), expected)
    assert np.abs(graph.run(image, trimap) - expected).max() > 1e-3


def test_lite_sees_the_whole_picture_in_mode_auto(lite):
    _, graph = lite
    image, trimap = picture(200, 400, seed=1)
    trimap[:, :200] = 255  # where nothing is unknown, the picture matters too
    expected = modes.reduced(graph.run(modes.enlarged(image), modes.enlarged(trimap), 0))
    same(predict(graph, image, trimap, correct=False), expected)
    with pytest.warns(DeepmatWarning, match="sees each part of a picture alone"):
        predict(graph, image, trimap, mode="tile", tile=256, overlap=64)
    assert predict(graph, image, trimap, mode="resize", size=(96, 96)).shape == trimap.shape


def test_levels_are_taken_as_the_nearest(lite):
    _, graph = lite
    image, _ = picture(16, 16, seed=3)
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(graph.run(image, levels), graph.run(image, quantise(levels)[0]))


@pytest.mark.parametrize(("conv6", "skip", "refine"), [(1, False, False), (3, True, True)])
@pytest.mark.parametrize("size", [(1, 1), (37, 65)])
def test_dim(conv6, skip, refine, size):
    model = trained(DIMConfig(width=1 / 16, conv6=conv6, skip=skip, refine=refine))
    image, trimap = picture(*size, seed=3)
    image[: size[0] // 2] = 90  # features that are equal: which of four is the largest is a matter of order
    expected, _ = predict_seen(model, image, trimap, mode="whole")
    np.testing.assert_allclose(graph_of(model).run(image, trimap), expected, atol=1e-5)


def test_lower_precisions():
    model = trained(DIMConfig(width=1 / 16, refine=True))
    image, trimap = picture(90, 131, seed=3)
    expected = graph_of(model).run(image, trimap)
    for precision, largest, mean in (("fp16", 0.05, 1e-3), ("int8", 0.1, 5e-3)):
        off = np.abs(graph_of(model, precision).run(image, trimap) - expected)
        assert 0 < off.max() < largest and off.mean() < mean, (precision, off.max(), off.mean())


def test_only_weights_that_the_graph_uses_are_in_it(exported):
    import onnx

    graph = onnx.load(exported[1]).graph
    used = {name for node in graph.node for name in node.input}
    assert {each.name for each in graph.initializer} <= used
