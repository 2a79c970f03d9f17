"""A stroke on a trimap: what the network sees of it, and when."""

import numpy as np
from toy import Toy

from deepmat.inference.outputs import CutOut
from deepmat.inference.predict import predict_seen, times_smaller
from deepmat.serve.strokes import Rectangle, with_trimap


def scene(model, height=264, width=390):
    """A noisy picture, of which the toy's alpha depends on how much smaller it is seen, and a band of unknown."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    trimap = np.zeros((height, width), np.uint8)
    trimap[:, 100:140], trimap[:, 140:] = 128, 255
    return CutOut("image", image, predict_seen(model, image, trimap)[0], trimap, None, None)


def test_a_stroke_sees_a_large_picture_as_the_whole_does(monkeypatch):
    model = Toy()
    for times, pixels in ((1, 0), (2, 264 * 390), (3, 264 * 390 * 4 // 9)):
        monkeypatch.setattr(model, "shrink_from", pixels)
        assert times_smaller(model, 264 * 390) == times
        cut, at = scene(model), Rectangle(141, 99, 165, 131)
        painted, changed = with_trimap(model, cut, np.full(at.shape, 128, np.uint8), at)
        whole, _ = predict_seen(model, cut.image, painted.trimap)
        assert np.abs(painted.alpha - whole)[at.inside].mean() < (0.005 if times > 1 else 1e-6)
        assert changed == Rectangle(141 - 32 * times, 99 - 32 * times, 165 + 32 * times, 131 + 32 * times)


def test_the_network_is_not_asked_where_all_is_known(monkeypatch):
    model = Toy()
    cut, at = scene(model), Rectangle(300, 100, 320, 120)
    monkeypatch.setattr(model, "begin", None)
    painted, changed = with_trimap(model, cut, np.zeros(at.shape, np.uint8), at)
    assert (painted.alpha[at.inside] == 0).all() and (painted.alpha[100:120, 320:] == 1).all()
    np.testing.assert_array_equal(painted.alpha[:, : changed.left], cut.alpha[:, : changed.left])
