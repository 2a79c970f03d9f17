"""deepmat.cut: one photo in memory, from any source."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from toy import Toy, ToyOptions

import deepmat
from deepmat import imaging
from deepmat.errors import ConfigError, DataError, NoSubject
from deepmat.inference import cutting
from deepmat.inference.photos import cut_photos
from deepmat.models import MODELS, build_model
from deepmat.models.checkpoint import save_weights
from deepmat.subject.finders import Found
from deepmat.subject.finders.choice import FINDERS

OPTIONS = {"finder": "fake", "weights": "closed-form", "device": "cpu"}


def red(image, prompts):
    mask = np.where(image[..., 0] > 128, 255, 0).astype(np.uint8)
    if not mask.any():
        raise DataError("nothing red is in it")
    return Found(mask, 1.0, max(mask.shape), ["it is red"])


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setitem(FINDERS, "fake", red)


def toy(monkeypatch, folder, gain=1.0):
    """Weights of a network whose alpha is the picture's red channel, `gain` times: the same on any thread."""
    monkeypatch.setitem(MODELS, "toy", Toy)
    made = build_model(ToyOptions(gain=gain))
    save_weights(folder / "toy.safetensors", made.state_dict(), ToyOptions(gain=gain).model_dump())
    return folder / "toy.safetensors"


def photo(at=10):
    pixels = np.full((40, 60, 3), (20, 30, 200), np.uint8)
    pixels[at : at + 20, at : at + 20] = (220, 30, 40)
    return pixels


def test_a_cut_out_that_is_empty_is_no_success(tmp_path, monkeypatch):
    """A thing so thin that none of it is sure, of which the network leaves nothing."""
    pixels = np.full((200, 300, 3), (20, 30, 200), np.uint8)
    pixels[100, 50:250] = (220, 30, 40)
    options = {**OPTIONS, "weights": Toy(gain=0.0)}
    with pytest.raises(NoSubject, match="image: nothing of what was found is left in the cut-out; give a box"):
        deepmat.cut(pixels, **options)
    paths = [tmp_path / "thin.png", tmp_path / "thick.png"]
    for path, picture in zip(paths, (pixels, photo()), strict=True):
        imaging.write_image(path, picture)
    with pytest.raises(DataError, match="image: nothing of the mask is left in the cut-out; correct the mask"):
        deepmat.cut(photo(), mask=np.zeros((40, 60), np.uint8), weights="closed-form", device="cpu")
    own = np.dstack([pixels, np.zeros((200, 300), np.uint8)])
    own[100, 150, 3] = 3
    with pytest.raises(NoSubject, match="left in the cut-out; give another finder"):  # a box would not count
        deepmat.cut(own, box=(90, 90, 210, 110), weights=Toy(gain=0.0))
    weights = {"weights": toy(monkeypatch, tmp_path, gain=0.0)}
    thick, thin = sorted(cut_photos(paths, tmp_path / "out", **OPTIONS | weights), key=lambda record: record["name"])
    assert "error" not in thick and thin["error"].startswith(f"{paths[0]}: nothing of what was found is left")
    assert [path.stem for path in (tmp_path / "out").rglob("*.png")] == ["thick"]


def test_every_source_gives_the_same(tmp_path):
    path = tmp_path / "photo.png"
    imaging.write_image(path, photo())
    first = deepmat.cut(path, **OPTIONS)
    assert first.rgba.shape == (40, 60, 4) and first.rgba.dtype == np.uint8
    assert first.alpha.shape == first.trimap.shape == first.mask.shape == (40, 60)
    assert first.alpha.dtype == np.float32 and {*np.unique(first.trimap)} == {0, 128, 255}
    assert first.rgba[20, 20].tolist() == [220, 30, 40, 255] and first.rgba[0, 59, 3] == 0
    assert first.finder == "fake" and first.why and f"{path}: it is red" in first.notices
    for source in (str(path), path.read_bytes(), Image.open(path), photo(), photo() / 255):
        again = deepmat.cut(source, **OPTIONS)
        np.testing.assert_array_equal(again.rgba, first.rgba)
        np.testing.assert_array_equal(again.mask, first.mask)


def test_the_function_does_what_the_command_does(tmp_path, monkeypatch):
    """On a photo that is turned, and with a mask that is not."""
    weights = toy(monkeypatch, tmp_path)
    path, mask = tmp_path / "photo.jpg", tmp_path / "mask.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo()).save(path, quality=100, exif=exif)
    imaging.write_image(mask, np.where(photo()[..., 0] > 128, 255, 0).astype(np.uint8))
    for guide in ({"finder": "fake"}, {"mask": mask}):
        options = {"weights": weights, "device": "cpu", **guide}
        made = deepmat.cut(path, **options)
        assert made.alpha.shape == (60, 40)
        masks = {"masks": options.pop("mask")} if "mask" in options else {}
        (record,) = cut_photos(path, tmp_path / "out.png", **options, **masks)
        assert record["finder"] == made.finder and record["why"] == made.why and record["notices"] == made.notices
        colour, alpha = imaging.read_rgba(tmp_path / "out.png")
        np.testing.assert_array_equal(np.dstack((colour, alpha)), made.rgba)


def test_what_shows_a_key_colour_is_as_transparent_as_that(tmp_path, monkeypatch):
    screen = np.full((40, 60, 3), (30, 180, 60), np.uint8)
    glass = screen.copy()
    glass[10:30, 20:40] = (90, 150, 95)  # green is 55 above the others, the screen's 120
    found = Found(np.where(glass[..., 0] > 60, 255, 0).astype(np.uint8), 1.0, 60, [], screen)
    monkeypatch.setitem(FINDERS, "fake", lambda image, prompts: found)
    options = {"weights": toy(monkeypatch, tmp_path), "device": "cpu", "finder": "fake"}
    monkeypatch.setattr(
        Toy, "forward", lambda self, image, trimap: {"alpha": torch.full_like(image[:, :1], 0.85, dtype=torch.float32)}
    )
    made = deepmat.cut(glass, **options)
    assert made.alpha[12:28, 22:38] == pytest.approx(1 - 55 / 120, abs=0.01)
    imaging.write_image(tmp_path / "photo.png", glass)
    assert [*cut_photos(tmp_path / "photo.png", tmp_path / "out.png", **options)]
    np.testing.assert_array_equal(imaging.read_rgba(tmp_path / "out.png")[1], made.rgba[..., 3])


def test_masks_of_any_source():
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:15] = 255
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    options = {"weights": "closed-form", "device": "cpu"}
    made = [deepmat.cut(photo(), mask=each, **options) for each in (mask, mask > 0, mask / 255.0, file.getvalue())]
    for each in made:
        np.testing.assert_array_equal(each.alpha, made[0].alpha)
        assert each.finder == "mask" and any("mask: 30x20, but its picture is 60x40" in one for one in each.notices)
    assert made[0].alpha[20, 20] == 1 and made[0].alpha[0, 59] == 0
    with pytest.raises(DataError, match="mask: 30x30, but its picture is 60x40, of another aspect ratio"):
        deepmat.cut(photo(), mask=np.ones((30, 30), bool), **options)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"image": b""}, DataError, "image: not a picture"),
        ({"image": 3}, DataError, "image: int"),
        ({"image": "none.jpg"}, DataError, "none.jpg: no such file"),
        ({"image": np.zeros((9, 9, 3), np.uint8)}, DataError, "image: nothing red is in it"),
        ({"box": (5, 5, 5, 9)}, ConfigError, "has no area"),
        ({"box": (70, 5, 90, 9)}, DataError, "image: --box 70,5,90,9: lies outside the picture, which is 60x40"),
        ({"points": [(60, 0)]}, DataError, "lies outside"),
        ({"mask": np.ones((40, 60), bool)}, ConfigError, "mask: shows the subject itself"),
        ({"finder": "fak"}, ConfigError, "did you mean fake"),
        ({"finder": 5}, ConfigError, "^finder: 5 is neither a name nor a path; give one of .*plain"),
        ({"finder": b"x"}, ConfigError, "^finder: b'x' is neither a name nor a path"),
        ({"maks": 1}, ConfigError, "^maks: unknown option, did you mean mask.$"),
        ({"max_sze": 5, "corect": 1}, ConfigError, "^max_sze: .* mean max_size.; corect: .* mean correct.$"),
        ({"precision": 5}, ConfigError, "^precision 5: unknown, known: auto"),
        ({"points": 5}, ConfigError, "--point 5: give X,Y"),
        ({"box": 5}, ConfigError, "--box 5: give LEFT"),
        ({"mode": "hole"}, ConfigError, "did you mean whole"),
        ({"weights": object()}, ConfigError, "is no network that predicts"),
    ],
)
def test_what_does_not_fit_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        deepmat.cut(**{"image": photo(), **OPTIONS, **arguments})


def test_networks_are_opened_once_and_threads_agree(monkeypatch, tmp_path):
    weights = toy(monkeypatch, tmp_path)
    cutting._opened.cache_clear()
    opened = []
    open_network = cutting.open_network

    def counted(*arguments, **options):
        opened.append(arguments)
        return open_network(*arguments, **options)

    monkeypatch.setattr(cutting, "open_network", counted)
    places = [5, 8, 11, 14]
    options = {**OPTIONS, "weights": weights}
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda at: deepmat.cut(photo(at), **options).alpha, places))
    assert len(opened) == 1
    for at, alpha in zip(places, made, strict=True):
        np.testing.assert_array_equal(alpha, deepmat.cut(photo(at), **options).alpha)
    model = deepmat.load_model("closed-form", device="cpu")
    np.testing.assert_array_equal(
        deepmat.cut(photo(), finder="fake", weights=model).alpha, deepmat.cut(photo(), **OPTIONS).alpha
    )


def test_a_photo_that_is_cut_out_comes_back_as_it_is(tmp_path, monkeypatch):
    """Alpha and colours, by every way in; grey pixels that jump beside known ones are its own business."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[15:45, 20:60] = rng.integers(40, 256, (30, 40, 4))
    rgba[20:40, 25:50, 3] = 255
    imaging.write_image(tmp_path / "in/a.png", rgba)
    made = deepmat.cut("in/a.png", weights="closed-form", device="cpu")
    assert made.finder == "alpha" and "cut out already" in made.why and not made.notices
    np.testing.assert_array_equal(made.rgba, rgba)
    options = {"weights": "closed-form", "device": "cpu", "save": "cutout"}
    for work, out in ((cut_photos("in", "b", **options), "b"), (deepmat.cut_out("in", "c", **options), "c")):
        (record,) = work.run()
        assert record["finder"] == "alpha" and "cut out already" in record["why"] and not record["notices"]
        np.testing.assert_array_equal(np.asarray(Image.open(f"{out}/cutout/a.png")), rgba)
