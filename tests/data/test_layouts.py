import numpy as np
import pytest
from PIL import Image

from deepmat import imaging
from deepmat.data.layouts import background_folder, find_foregrounds, layout_of, read_foreground
from deepmat.errors import DataError


def folders(root, *names):
    for name in names:
        (root / name).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["Training_set", "bg_train"], "adobe"),
        (["Test_set"], "adobe"),
        (["image", "alpha", "fg", "bg"], "composites"),
        (["train/image"], "composites"),
        (["test/image"], "composites"),
        (["fg", "alpha", "bg", "test/image"], "folders"),
        (["fg"], "folders"),
        (["cats", "dogs"], "pictures"),
        ([], "pictures"),
    ],
)
def test_layouts(tmp_path, names, layout):
    assert layout_of(folders(tmp_path, *names)) == layout


def test_no_folder_is_told(tmp_path):
    with pytest.raises(DataError, match="none: no such folder; check the path"):
        layout_of(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file: is not a folder"):
        layout_of(tmp_path / "file")


def test_alphas_are_paired_or_the_pictures_own(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name in ("fg/cat.jpg", "fg/sub/dog.png", "fg/lone.png", "fg/several.png"):
        imaging.write_image(tmp_path / name, np.dstack([grey] * 3))
    imaging.write_image(tmp_path / "fg/own.png", np.dstack([grey] * 4))
    for name in ("alpha/cat.png", "alpha/sub/dog.tif", "alpha/several.tif", "alpha/several.bmp"):
        imaging.write_image(tmp_path / name, grey)
    found, notices = find_foregrounds(tmp_path)
    assert [(each.name, each.alpha) for each in found] == [
        ("cat", tmp_path / "alpha/cat.png"),
        ("lone", None),
        ("own", None),
        ("several", tmp_path / "alpha/several.png"),
        ("sub/dog", tmp_path / "alpha/sub/dog.tif"),
    ]
    several, alone = notices
    assert several.startswith("several: ") and "could be its alpha; remove or rename one" in several
    none = "no alpha for 2 of 5 foregrounds, lone for one, so their own alpha is used"
    assert alone == f"{tmp_path / 'alpha'}: {none}"
    np.testing.assert_array_equal(read_foreground(found[2].fg, found[2].alpha)[1], grey)
    both = (
        "lone.png: has no alpha channel and no alpha file of its name; save it with one, or put its alpha into alpha/"
    )
    with pytest.raises(DataError, match=both):
        read_foreground(found[1].fg, found[1].alpha)
    bare, _ = find_foregrounds(tmp_path / "fg")
    assert {each.alpha for each in bare} == {None}
    with pytest.raises(DataError, match="cat.jpg: has no alpha channel and no alpha file"):
        read_foreground(bare[0].fg, None)


def test_backgrounds_of_a_split_come_first(tmp_path):
    assert background_folder(None) is None and background_folder(tmp_path) is None
    folders(tmp_path, "bg")
    assert background_folder(tmp_path, "test") == tmp_path / "bg"
    folders(tmp_path, "bg_test")
    assert background_folder(tmp_path, "test") == tmp_path / "bg_test"
    assert background_folder(tmp_path) == tmp_path / "bg"


def test_an_alpha_that_was_made_before_its_picture_was_turned_is_turned_too(tmp_path):
    upright = np.full((20, 30), 255, np.uint8)
    upright[5:15, 5:12] = 0
    colours, exif = np.where(upright[..., None] > 0, (200, 60, 40), (20, 90, 180)).astype(np.uint8), Image.Exif()
    exif[0x0112] = 6
    stored = [np.rot90(pixels).copy() for pixels in (colours, upright)]
    Image.fromarray(stored[0]).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(stored[1]).save(tmp_path / "alpha.png")
    colour, alpha = read_foreground(tmp_path / "a.png", tmp_path / "alpha.png")
    np.testing.assert_array_equal(colour, colours)
    np.testing.assert_array_equal(alpha, upright)
