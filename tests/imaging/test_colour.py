import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepmat import imaging
from deepmat.errors import ConfigError
from deepmat.imaging.arrays import as_image


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


def grey_profile(gamma):
    """A profile for grey, version 2: description, copyright, white point and tone curve of that gamma."""
    name = b"Gray test\0"
    tags = {
        b"desc": b"desc" + struct.pack(">II", 0, len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0\0\0\0",
        b"wtpt": b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061),
        b"kTRC": b"curv" + struct.pack(">IIHH", 0, 1, round(256 * gamma), 0),
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    head = bytes(8) + struct.pack(">I", 0x02100000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    data = head + table + body
    return struct.pack(">I", len(data)) + data[4:]


def in_srgb(levels, gamma):
    linear = (levels / 255) ** gamma
    return 255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


RAMP = np.tile(np.arange(0, 256, 3, dtype=np.uint8), (4, 1))


def saved(pixels, format="PNG", gamma=None, **options):
    data, chunks = io.BytesIO(), PngInfo()
    if gamma:
        chunks.add(b"gAMA", struct.pack(">I", round(100_000 * gamma)))
        options["pnginfo"] = chunks
    Image.fromarray(pixels).save(data, format, **options)
    return data.getvalue()


@pytest.mark.parametrize("gamma", [1.0, 1.8])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "alpha", "deep", "gAMA", "gAMA of colours"])
def test_greys_with_a_profile_and_gammas_are_converted_and_reported(kind, gamma):
    rgb = np.dstack((RAMP, RAMP[:, ::-1], RAMP))
    icc = {"icc_profile": grey_profile(gamma)}
    data = {
        "PNG": lambda: saved(RAMP, **icc),
        "TIFF": lambda: saved(RAMP, "TIFF", **icc),
        "alpha": lambda: saved(np.dstack((RAMP, RAMP)), **icc),
        "deep": lambda: saved(RAMP.astype(np.uint16) * 257, **icc),
        "gAMA": lambda: saved(RAMP, gamma=1 / gamma),
        "gAMA of colours": lambda: saved(rgb, gamma=1 / gamma),
    }[kind]()
    pixels, alpha, about, notices = imaging.read_picture(data)
    expected = in_srgb(rgb if "colours" in kind else np.dstack([RAMP] * 3), gamma)
    assert np.abs(pixels - expected).max() < 2
    assert alpha is None or np.array_equal(alpha, RAMP)
    assert about["profile"] is None and len(notices) == 1
    assert ("its profile for grey (Gray test) was" if "gAMA" not in kind else "(gAMA) was") in notices[0]
    small = imaging.Unread(data).read((1, 1))
    for read in (as_image(data)[0], imaging.read_image(data), small, imaging.read_rgba(data)[0]):
        np.testing.assert_array_equal(read, pixels)  # for training and eval as for predict


def test_profiles_and_gammas_that_say_nothing_new_change_nothing(profile_of):
    for data in (
        saved(RAMP, gamma=0.45455),
        saved(RAMP, icc_profile=profile_of()),
        saved(RAMP, icc_profile=profile_of(), gamma=1.0),
    ):
        pixels, _, about, notices = imaging.read_picture(data)
        np.testing.assert_array_equal(pixels[..., 0], RAMP)
        assert not notices
    for broken in (grey_profile(1.8)[:140], profile_of(b"Lab "), b"no profile"):
        notices = imaging.read_picture(saved(RAMP, icc_profile=broken))[3]
        assert len(notices) == 1 and "does not fit or is broken, and was left out" in notices[0]


def test_colours_by_name():
    assert [imaging.parse_colour(text) for text in ("white", "#f80", "#010203")] == [
        (255, 255, 255),
        (255, 136, 0),
        (1, 2, 3),
    ]
    for text in ("withe", "#12", "#01020304", ""):
        with pytest.raises(ConfigError, match="not a colour"):
            imaging.parse_colour(text)
