from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx_files import FLOAT, UINT8, mean_of_colours, node, write
from prompted import picture
from studio import overlap

from deepmat.errors import ConfigError, DataError
from deepmat.subject.finders import Found, Prompts, network
from deepmat.subject.finders.settings import Settings, parse_settings

pytest.importorskip("onnxruntime")

RAW = Settings(mean=(0, 0, 0), std=(1, 1, 1))
"""With it the map is the picture's brightness."""


@pytest.fixture
def photo():
    """A dark photo with a light subject at rows 20 to 60 and columns 40 to 120."""
    image = np.full((80, 160, 3), 20, np.uint8)
    image[20:60, 40:120] = 230
    return image


def subject(mask):
    return mask[25:55, 50:110]


@pytest.mark.parametrize(
    ("shape", "axes", "kind"),
    [
        ((1, 3, 16, 16), (1,), FLOAT),
        (("n", 3, "h", "w"), (1,), FLOAT),
        ((1, 16, 32, 3), (3,), FLOAT),
        ((1, 3, 16, 16), (1,), UINT8),
    ],
    ids=["fixed size", "any size", "channels last", "bytes"],
)
def test_the_mask_has_the_size_of_the_photo(tmp_path, photo, shape, axes, kind):
    path = mean_of_colours(tmp_path / "n.onnx", shape, axes, kind)
    settings = RAW._replace(side=16) if "h" in shape else RAW
    found = network.look(path, photo, None, settings._replace(output="minmax"))
    assert found.mask.shape == photo.shape[:2] and found.mask.dtype == np.uint8
    assert subject(found.mask).min() > 240 and found.mask[:10].max() < 15
    assert found.detail == (32 if 32 in shape else 16) and not found.notices


def test_outputs_are_shares_or_logits(tmp_path, photo):
    path = mean_of_colours(tmp_path / "n.onnx")
    as_is = network.look(path, photo, None, RAW._replace(output="clip"))
    stretched = network.look(path, photo, None, RAW)
    assert subject(as_is.mask).mean() == pytest.approx(230, abs=8)
    assert subject(stretched.mask).mean() > 245
    logits = network.look(path, photo, None, Settings(mean=(0.5,) * 3, std=(0.2,) * 3))
    assert subject(logits.mask).mean() == pytest.approx(255 / (1 + np.exp(-(230 / 255 - 0.5) / 0.2)), abs=3)


def test_the_divisor_max_brightens_a_dark_photo(tmp_path, photo):
    path = mean_of_colours(tmp_path / "n.onnx")
    settings = RAW._replace(output="clip")
    assert subject(network.look(path, photo // 4, None, settings).mask).mean() < 65
    assert subject(network.look(path, photo // 4, None, settings._replace(divisor="max")).mask).mean() > 245


def test_sureness_tells_a_hard_mask_from_a_grey_one(tmp_path, photo):
    path = mean_of_colours(tmp_path / "n.onnx")
    hard = network.look(path, np.where(photo > 128, 255, 0).astype(np.uint8), None, RAW)
    grey = network.look(path, np.where(photo > 128, 90, 60).astype(np.uint8), None, RAW)
    assert hard.sure > 0.9 and grey.sure < 0.5
    with pytest.raises(DataError, match="finds no subject; give a box around the subject .--box"):
        network.look(path, photo // 20, None, RAW)


def test_a_box_limits_what_is_seen(tmp_path, photo):
    path = mean_of_colours(tmp_path / "n.onnx")
    found = network.find(path, photo, Prompts(box=(80, 10, 160, 70)), RAW)
    assert found.mask[30:50, 85:110].min() > 200 and not found.mask[:, :80].any()
    assert found.detail == 29  # 16 of the 88 columns that the network sees, in a photo of 160
    with pytest.raises(DataError, match="box .*: holds no pixel of the photo of 160 x 80"):
        network.find(path, photo, Prompts(box=(160, 0, 200, 50)), RAW)


def test_points_choose_among_what_the_network_finds(tmp_path):
    image, first = picture()
    path = mean_of_colours(tmp_path / "n.onnx", (1, 3, "h", "w"))
    bright = np.where(first[..., None] > 0, 200, image // 3).astype(np.uint8)
    bright[60:120, 150:210] = 200
    found = network.find(path, bright, Prompts(points=((70, 90),)), RAW)
    assert overlap(found.mask, first) > 0.95 and not found.mask[60:120, 150:210].any() and not found.notices


def test_a_network_is_loaded_once_for_all_threads(tmp_path, photo):
    path = mean_of_colours(tmp_path / "n.onnx")
    network._load.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        masks = [*threads.map(lambda _: network.look(path, photo, None, RAW).mask, range(4))]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)
    assert network._load.cache_info().misses == 1
    mean_of_colours(path, (1, 3, 24, 24))
    assert network.look(path, photo, None, RAW).detail == 24  # the file of that name is another now


def pair(path):
    shape = (1, 3, 16, 16)
    return write(path, [node("Add", ["a", "b"], "map")], [("a", shape, FLOAT), ("b", shape, FLOAT)])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: path.write_bytes(b"not a network"), "cannot load it"),
        (lambda path: path.write_bytes(mean_of_colours(path).read_bytes()[:60]), "cannot load it"),
        (lambda path: path.write_bytes(b""), "cannot load it|takes 0 inputs"),
        (lambda path: None, "no such file; give an ONNX file"),
        (lambda path: path.mkdir(), "not a file"),
        (pair, r"takes 2 inputs \(a, b\)"),
        (lambda path: mean_of_colours(path, (1, 16)), "its input is 1 x 16, .*; expected one picture in"),
        (lambda path: mean_of_colours(path, (1, 1, 16, 16)), "its input is 1 x 1 x 16 x 16"),
        (lambda path: mean_of_colours(path, axes=(1, 2, 3)), "its first output is 1 x 1 x 1 x 1; expected one picture"),
        (lambda path: mean_of_colours(path, axes=(0,)), "its first output is 1 x 3 x 16 x 16"),
    ],
    ids=["noise", "half", "empty", "missing", "folder", "two", "vector", "grey", "number", "colours"],
)
def test_a_file_that_is_no_such_network_is_explained(tmp_path, photo, make, match, capfd):
    make(tmp_path / "n.onnx")
    with pytest.raises(DataError, match=match) as error:
        network.find(tmp_path / "n.onnx", photo, Prompts())
    assert "n.onnx" in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_without_onnxruntime_the_message_says_what_to_install(tmp_path, photo, monkeypatch):
    network._load.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'deepmat\[cut\]'"):
        network.find(mean_of_colours(tmp_path / "n.onnx"), photo, Prompts())


def test_settings_are_read_from_text(tmp_path, photo):
    settings = parse_settings(["side=64", "mean=0.5", "std=1,1,0.5", "output=sigmoid"])
    assert settings == Settings(64, (0.5, 0.5, 0.5), (1, 1, 0.5), "255", "sigmoid")
    for wrong, match in {
        "sise=3": "unknown, did you mean side",
        "side=9": "16 to 8192",
        "side=a": "side=a: not understood",
        "mean=1,2": "not understood",
        "std=0": "above 0",
        "output=soft": "finder.output .*unknown",
    }.items():
        with pytest.raises(ConfigError, match=match):
            parse_settings([wrong])
    with pytest.raises(ConfigError, match=r"side 64: .*n.onnx takes 16 pixels"):
        network.find(mean_of_colours(tmp_path / "n.onnx"), photo, Prompts(), settings)


@pytest.mark.parametrize(("detail", "always"), [(320, True), (1024, False)])
def test_a_network_looks_at_the_subject_once_more_alone(monkeypatch, detail, always):
    image = np.full((100, 200, 3), 40, np.uint8)
    image[30:70, 20:50] = image[30:70, 130:170] = 200
    seen, lost = [], [2]

    def look(path, image, box, settings):
        seen.append(box)
        mask = np.where(image[..., 0] > 100, 255, 0).astype(np.uint8)
        if box:
            mask[30 : 30 + lost[0]] = 0
        return Found(mask, 1.0, detail, [])

    loaded = network.Network(None, "", np.float32, (detail, detail), False)
    monkeypatch.setattr(network, "look", look)
    monkeypatch.setattr(network, "load", lambda path: loaded)
    network.find("a.onnx", image, Prompts(box=(120, 20, 180, 80), points=((150, 65),)))
    network.find("a.onnx", image, Prompts())
    assert seen == [(120, 20, 180, 80), None, *([(20, 30, 170, 70)] * always)]
    for rows, top in ((2, 0), (30, 255)):  # the second look counts if it finds the same
        seen.clear()
        lost[0] = rows
        mask = network.find("a.onnx", image, Prompts(points=((150, 65),))).mask
        assert seen == [None, (130, 30, 170, 70)] and not mask[:, :110].any()
        assert mask[30, 150] == top and mask[65, 150] == 255


def test_a_second_look_that_fails_leaves_the_first(monkeypatch):
    image = np.full((100, 200, 3), 40, np.uint8)

    def look(path, image, box, settings):
        if box:
            raise DataError("cannot run")
        mask = np.zeros((100, 200), np.uint8)
        mask[30:70, 130:170] = level
        return Found(mask, 1.0, 320, [])

    monkeypatch.setattr(network, "look", look)
    monkeypatch.setattr(network, "load", lambda path: network.Network(None, "", np.float32, (320, 320), False))
    for level in (255, 100):  # of a faint mask nothing is to be looked at
        assert network.find("a.onnx", image, Prompts()).mask.max() == level
