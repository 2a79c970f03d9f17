import numpy as np
import pytest

from deepmat import imaging
from deepmat.errors import ConfigError


def test_colours_of_one_profile_as_those_of_another(rgb, profile_of):
    swapped = {"profile": profile_of(swapped=True), "dpi": None}
    srgb = {"profile": profile_of(), "dpi": None}
    for about, target in ((swapped, None), (None, swapped), (swapped, srgb)):
        assert np.abs(imaging.as_in(rgb, about, target).astype(int) - rgb[..., [1, 0, 2]]).max() <= 2
    for about, target in ((srgb, None), (swapped, swapped), (None, None), ({"profile": profile_of(b"CMYK")}, None)):
        np.testing.assert_array_equal(imaging.as_in(rgb, about, target), rgb)
    named = profile_of(swapped=True).replace("swap".encode("utf-16be"), "sRGB".encode("utf-16be"))
    np.testing.assert_array_equal(imaging.as_in(rgb, {"profile": named, "dpi": None}, None), rgb)  # rounding spared
    broken = {"profile": profile_of()[:140], "dpi": None}
    np.testing.assert_array_equal(imaging.as_in(rgb, broken, None), rgb)


def test_colours_by_name():
    assert [imaging.parse_colour(text) for text in ("white", "#f80", "#010203")] == [
        (255, 255, 255),
        (255, 136, 0),
        (1, 2, 3),
    ]
    for text in ("withe", "#12", "#01020304", ""):
        with pytest.raises(ConfigError, match="not a colour"):
            imaging.parse_colour(text)
