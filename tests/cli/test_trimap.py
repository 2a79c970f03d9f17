import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deepmat import imaging
from deepmat.imaging import trimap


def disc(radius=20, height=60, width=80):
    y, x = np.mgrid[:height, :width]
    return np.where((x - 40) ** 2 + (y - 30) ** 2 < radius**2, 255, 0).astype(np.uint8)


def save(path, levels, mode=None, **options):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).convert(mode).save(path, **options)


@pytest.fixture
def run(deepmat):
    return lambda *arguments: deepmat("trimap", *arguments)


def test_a_folder_of_masks(run):
    soft = cv2.GaussianBlur(disc(), (0, 0), 3)
    save("masks/b.png", disc())
    save("masks/a.jpg", disc(), "RGB", quality=60)
    save("masks/deep/labels.png", disc() // 255)
    save("masks/deep/rgba.png", np.dstack((np.zeros((60, 80, 3), np.uint8), disc())))
    save("masks/soft.png", soft)
    save("masks/empty.png", disc() * 0)
    save("masks/c.png", disc() // 255 + disc(9) // 255)
    save("masks/clash.png", disc())
    save("masks/clash.tif", disc())
    Path("masks/broken.png").write_bytes(Path("masks/b.png").read_bytes()[:70])
    Path("masks/notes.txt").write_text("notes")
    before = {path: path.read_bytes() for path in Path("masks").rglob("*.*")}
    result = run("masks", "-o", "masks/out", "--json", "--workers", 3)
    assert result.exit_code == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    names = ["a", "b", "broken", "c", "clash", "masks/clash.tif", "deep/labels", "deep/rgba", "empty", "soft"]
    assert [record["name"] for record in records] == names
    for message in (
        "note: masks/notes.txt: skipped, not a picture",
        "note: masks/a.jpg: a hard mask with JPEG artefacts",
        "note: masks/deep/labels.png: its levels 0 and 1 were taken as 0 and 255",
        "note: masks/empty.png: all pixels are 0, so the whole trimap is background",
        "7 of 10 trimaps in masks/out\n3 failed:",
        "masks/broken.png: cannot be read",
        "masks/c.png: its levels are 0 to 2, like labels",
        "masks/clash.tif: its trimap would overwrite that of another mask named clash",
    ):
        assert message in result.stderr
    band = trimap.by_distance(disc(), 1.6, 1.6)
    for record in records:
        if "error" in record:
            continue
        made = imaging.read_grey(record["path"])
        assert record["path"] == f"masks/out/{record['name']}.png"
        assert (record["height"], record["width"]) == made.shape == (60, 80)
        assert record["unknown"] == pytest.approx((made == 128).mean())
        assert record["foreground"] == pytest.approx((made == 255).mean())
        if record["name"] in ("b", "clash", "deep/labels", "deep/rgba"):
            np.testing.assert_array_equal(made, band)
    assert (imaging.read_grey("masks/out/soft.png")[(soft > 0) & (soft < 255)] == 128).all()
    assert {path: path.read_bytes() for path in before} == before
    again = run("masks", "-o", "masks/out", "--json", "--skip-existing")  # its own trimaps are no masks
    assert "7 of 10 trimaps in masks/out (7 from before)" in again.stderr
    assert [json.loads(line)["name"] for line in again.stdout.splitlines()] == ["broken", "c", "masks/clash.tif"]


def test_widths_methods_and_thresholds(run):
    save("m.png", disc())
    save("net.png", np.where(disc() > 0, 200, 60).astype(np.uint8) + np.arange(80, dtype=np.uint8) % 40)

    def made(name, *options):
        result = run(f"{name}.png", "-o", "out", *options)
        assert result.exit_code == 0, result.stderr
        return imaging.read_grey(f"out/{name}.png")

    for options, inwards, outwards in (
        (["--width", 3], 3, 3),
        (["--width", "5%"], 4, 4),
        (["--width", 3, "--inwards", 0], 0, 3),
        (["--outwards", "10%"], 1.6, 8),
        (["--width", "0.1%"], 1, 1),
    ):
        np.testing.assert_array_equal(made("m", *options), trimap.by_distance(disc(), inwards, outwards))
        np.testing.assert_array_equal(
            made("m", *options, "--method", "morphology"), trimap.by_morphology(disc(), inwards, outwards)
        )
    assert (made("net") == 128).all()
    np.testing.assert_array_equal(made("net", "--threshold", 128, "--width", 3), trimap.by_distance(disc(), 3, 3))


def test_the_preview(run):
    for name in ("a", "b", "c"):
        save(f"masks/{name}.png", disc())
    save("photos/a.jpg", np.full((60, 80, 3), 200, np.uint8))
    save("photos/b.jpg", np.full((30, 80, 3), 200, np.uint8))
    result = run("masks", "-o", "out", "--preview", "sheet.png", "--images", "photos")
    assert result.exit_code == 0 and "3 of 3 trimaps in out; see sheet.png" in result.stderr
    assert "note: photos/b.jpg: 80x30, but masks/b.png is 80x60" in result.stderr
    assert "note: c: no picture of that name in photos" in result.stderr
    sheet = imaging.read_image("sheet.png")
    assert sheet.shape[1] == 3 * 326
    panel = sheet[52:372, 652:972]
    assert (panel[160, 160] > 190).all()  # foreground unchanged, background dimmed, unknown red
    assert (np.abs(panel[60, 10].astype(int) - 100) < 5).all()
    red = panel[160, 160 + 80].astype(int)
    assert red[0] > red[1] + 100
    plain = run("masks", "-o", "out", "--skip-existing", "--preview", "sheet.png")
    assert plain.exit_code == 0 and imaging.read_image("sheet.png").shape[1] == 2 * 326


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["masks", "-o", "masks"], "masks/m.png: would overwrite the input masks/m.png"),
        (["masks/m.png", "-o", "out", "--preview", "masks/m.png"], "would overwrite the input"),
        (["masks", "-o", "out", "--preview", "out/m.png"], "out/m.png: would overwrite another output"),
        (["masks", "-o", "out", "--preview", "masks/s.png"], "lies in masks, which is read"),
        (["masks", "-o", "out", "--preview", "sheet"], "--preview sheet: not the name of a picture"),
        (["masks", "-o", "out", "--images", "masks"], "--images: is only for --preview FILE.png"),
        (["masks/m.png", "-o", "t.png"], "--out t.png: the name of a picture; give a folder, such as t"),
        (["masks", "-o", "masks/m.txt"], "--out masks/m.txt: is a file; name a folder"),
        (["masks", "-o", "out", "--width", "2px"], "--width 2px: not a width; give pixels"),
        (["masks", "-o", "out", "--inwards", "x"], "--inwards x: not a width"),
        (["masks", "-o", "out", "--method", "distanc"], "did you mean distance?"),
        (["masks", "-o", "out", "--preview", "s.png", "--images", "none"], "none: no such folder; check the path"),
        (["none", "-o", "out"], "none: no such file; check the path"),
        (["void", "-o", "out"], "void: holds no pictures"),
    ],
)
def test_mistakes_are_refused_and_nothing_is_written(run, arguments, message):
    save("masks/m.png", disc())
    Path("masks/m.txt").touch()
    Path("void").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    result = run(*arguments)
    assert result.exit_code == 1 and message in result.stderr
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before


def test_a_place_that_cannot_be_written_is_explained(run):
    save("m.png", disc())
    Path("file").write_text("a file where a folder should be")
    result = run("m.png", "-o", "file/out")
    assert result.exit_code == 1 and "out/m.png: cannot be written" in result.stderr
