import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepmat import imaging
from deepmat.data.compositing import (
    COMPOSITORS,
    build,
    build_composites,
    making,
    plan_adobe,
    plan_folders,
    read_manifest,
)
from deepmat.data.layouts import read_foreground
from deepmat.errors import ConfigError, DataError
from deepmat.imaging import blend as pixels


@pytest.fixture(params=["compiled", "plain"])
def kernels(request, monkeypatch):
    """Both ways to the same pixels: with numba and without."""
    if request.param == "plain":
        monkeypatch.setattr(pixels, "_kernels", lambda: None)
    else:
        pytest.importorskip("numba")


@pytest.mark.parametrize("background", ["larger", "smaller", "wide", "tall", "same"])
@pytest.mark.parametrize(("name", "prefix"), [("cv2", ""), ("adobe", "adobe_")])
def test_compositors_equal_the_reference(golden, name, prefix, background, kernels):
    arrays = golden("composite")
    fg, alpha, bg = (
        arrays["fg"][..., ::-1],
        arrays["alpha"],
        np.ascontiguousarray(arrays[f"bg_{background}"][..., ::-1]),
    )
    fitted = COMPOSITORS[name].fit(bg, *alpha.shape)
    np.testing.assert_array_equal(fitted[..., ::-1], arrays[f"{prefix}bgfit_{background}"])
    image = COMPOSITORS[name].blend(fg, alpha, fitted)
    np.testing.assert_array_equal(image[..., ::-1], arrays[f"{prefix}image_{background}"])


@pytest.mark.parametrize("name", COMPOSITORS)
def test_contract_of_every_compositor(name):
    rng = np.random.default_rng(0)
    fg = rng.integers(0, 256, (31, 47, 3), dtype=np.uint8)
    for shape in ((31, 47), (5, 200), (200, 5), (1, 1)):
        bg = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        fitted = COMPOSITORS[name].fit(bg, 31, 47)
        assert fitted.shape == (31, 47, 3) and fitted.dtype == np.uint8
        opaque, clear = np.full((31, 47), 255, np.uint8), np.zeros((31, 47), np.uint8)
        np.testing.assert_array_equal(COMPOSITORS[name].blend(fg, opaque, fitted), fg)
        np.testing.assert_array_equal(COMPOSITORS[name].blend(fg, clear, fitted), fitted)


@settings(max_examples=150)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 200), st.integers(1, 200), st.booleans())
def test_enlarging_equals_pillow_for_every_size(h, w, height, width, compiled):
    background = np.random.default_rng(h * 71 + w).integers(0, 256, (h, w, 3), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(pixels, "_kernels", lambda: None)
        fitted = COMPOSITORS["adobe"].fit(background, height, width)
    ratio = max(1, height / h, width / w)
    size = (math.ceil(w * ratio), math.ceil(h * ratio)) if ratio > 1 else (w, h)
    whole = np.asarray(Image.fromarray(background).resize(size, Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(fitted, whole[:height, :width])


def write(path, shape=(40, 50, 3), seed=0):
    imaging.write_image(path, np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture
def adobe(tmp_path):
    """Adobe's layout by hand: one foreground in each folder, COCO-2014 names over a COCO-2017 folder."""
    root = tmp_path / "adobe"
    for part, name in (("Adobe-licensed images", "a.png"), ("Other", "b.png")):
        write(root / "Training_set" / part / "fg" / name, seed=1)
        write(root / "Training_set" / part / "alpha" / name, (40, 50), seed=2)
    write(tmp_path / "coco" / "000000000009.jpg", (30, 60, 3), seed=3)
    write(tmp_path / "coco" / "000000000025.jpg", (90, 60, 3), seed=4)
    (root / "Training_set" / "training_fg_names.txt").write_text("a.png\nb.png\n")
    names = "COCO_train2014_000000000009.jpg\nCOCO_train2014_000000000025.jpg\n"
    (root / "Training_set" / "training_bg_names.txt").write_text(names * 2)
    return root


def run(plan, out, workers=1, **options):
    return {record["name"]: record.get("error") for record in build_composites(plan, out, workers, **options)}


def test_adobes_lists_say_which_background_goes_where(adobe, tmp_path):
    plan = plan_adobe(adobe, "train", tmp_path / "coco", 2)
    assert [(entry["name"], entry["bg"][-6:]) for entry in plan] == [
        ("a_0", "09.jpg"), ("a_1", "25.jpg"), ("b_0", "09.jpg"), ("b_1", "25.jpg"),
    ]  # fmt: skip
    assert set(run(plan, tmp_path / "out", workers=2, layout="full").values()) == {None}
    folder = tmp_path / "out" / "train"
    for entry in plan:
        fg, bg, image = (imaging.read_image(folder / kind / f"{entry['name']}.png") for kind in ("fg", "bg", "image"))
        alpha = imaging.read_grey(folder / "alpha" / f"{entry['name']}.png")
        np.testing.assert_array_equal(image, COMPOSITORS["adobe"].blend(fg, alpha, bg))
        np.testing.assert_array_equal(bg, COMPOSITORS["adobe"].fit(imaging.read_image(Path(entry["bg"])), 40, 50))
    listed = read_manifest(folder / "manifest.jsonl")
    assert [{key: entry[key] for key in plan[0]} for entry in listed] == plan and listed[0]["compositor"] == "adobe"


def test_composites_are_made_while_others_are_written(adobe, tmp_path, monkeypatch):
    """A slow disk leaves no core idle."""
    make, write, made, three = build.make, build.write_bytes, [], threading.Event()

    def counted(entry, *arguments):
        made.append(entry["name"])
        if len(made) == 3:
            three.set()
        return make(entry, *arguments)

    def slow(*arguments):
        assert three.wait(60)
        write(*arguments)

    monkeypatch.setattr(build, "make", counted)
    monkeypatch.setattr(build, "write_bytes", slow)
    assert set(run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "out", workers=2).values()) == {None}


def test_foreground_background_and_alpha_follow_from_the_manifest(adobe, tmp_path):
    run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "out")
    folder = tmp_path / "out" / "train"
    assert {path.name for path in folder.iterdir()} == {"image", "manifest.jsonl"}
    first = json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])
    assert first["fg"] == "../../adobe/Training_set/Adobe-licensed images/fg/a.png"  # both can move together
    assert (first["offset"], first["size"]) == ([0, 0], [40, 50])
    for entry in read_manifest(folder / "manifest.jsonl"):
        fg, alpha = read_foreground(Path(entry["fg"]), Path(entry["alpha"]))
        compositor = COMPOSITORS[entry["compositor"]]
        made = compositor.blend(fg, alpha, compositor.fit(imaging.read_image(Path(entry["bg"])), *entry["size"]))
        np.testing.assert_array_equal(imaging.read_image(folder / entry["image"]), made)
        assert int(entry["crc32"], 16) == zlib.crc32((folder / entry["image"]).read_bytes())


def test_a_changed_source_is_composited_again_and_formats_are_not_mixed(adobe, tmp_path):
    plan = plan_adobe(adobe, "train", tmp_path / "coco", 2)
    run(plan, tmp_path / "out", image_format="jpg")
    image = tmp_path / "out" / "train" / "image"
    assert sorted(path.name for path in image.iterdir()) == ["a_0.jpg", "a_1.jpg", "b_0.jpg", "b_1.jpg"]
    before = (image / "a_0.jpg").read_bytes()
    write(tmp_path / "coco" / "000000000009.jpg", (33, 60, 3), seed=9)
    skipped = {
        record["name"] for record in build_composites(plan, tmp_path / "out", image_format="jpg") if "skipped" in record
    }
    assert skipped == {"a_1", "b_1"} and (image / "a_0.jpg").read_bytes() != before
    with pytest.raises(ConfigError, match="a_0 was made with another format"):
        run(plan, tmp_path / "out")
    with pytest.raises(ConfigError, match="format 'gif': unknown"):
        run(plan, tmp_path / "out", image_format="gif")


def test_a_copy_is_as_good_as_the_data_set(adobe, tmp_path):
    """Other times of change, other places, the same content: nothing is made again. Damage and changes are."""
    run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "out")
    for name in ("adobe", "coco", "out"):
        shutil.copytree(tmp_path / name, tmp_path / "copy" / name, copy_function=shutil.copyfile)
    plan = plan_adobe(tmp_path / "copy" / "adobe", "train", tmp_path / "copy" / "coco", 2)
    out = tmp_path / "copy" / "out"
    assert all("skipped" in record for record in build_composites(plan, out))
    damaged = out / "train" / "image" / "a_1.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    same_size = Path(plan[2]["alpha"])
    data = bytearray(same_size.read_bytes())
    data[-5] ^= 1  # of the checksum of PNG's last part, which no decoder asks for
    same_size.write_bytes(data)
    made = {record["name"] for record in build_composites(plan, out) if "skipped" not in record}
    assert made == {"a_1", "b_0", "b_1"} and imaging.read_image(damaged).shape == (40, 50, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [("compositor", "zzz"), ("compositor", []), ("split", "foo"), ("fg", "a\0b"), ("bg", "\ud800"), ("size", [0, 9])],
)
def test_a_value_that_was_edited_is_told_by_key(adobe, tmp_path, key, value):
    run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "out")
    manifest = tmp_path / "out" / "train" / "manifest.jsonl"
    first, *rest = manifest.read_text().splitlines()
    manifest.write_text("\n".join([json.dumps({**json.loads(first), key: value}), *rest]) + "\n")
    with pytest.raises(DataError, match=f"manifest.jsonl, line 1: no {key} that fits"):
        read_manifest(manifest)


@pytest.mark.parametrize("line", ['{"name": "x"}', "5", "garbage", '{"name": 3}'])
def test_a_manifest_that_was_edited_is_told_by_line(adobe, tmp_path, line):
    plan = plan_adobe(adobe, "train", tmp_path / "coco", 2)
    run(plan, tmp_path / "out")
    manifest = tmp_path / "out" / "train" / "manifest.jsonl"
    first, *rest = manifest.read_text().splitlines()
    manifest.write_text("\n".join([first, line, *rest]) + "\n")
    for read in (lambda: run(plan, tmp_path / "out"), lambda: read_manifest(manifest)):
        with pytest.raises(DataError, match="manifest.jsonl, line 2: no .* that fits"):
            read()


def test_a_second_process_does_not_begin_and_blank_lines_of_earlier_ones_are_no_harm(adobe, tmp_path):
    plan = plan_adobe(adobe, "train", tmp_path / "coco", 2)
    first = build_composites(plan, tmp_path / "out")
    next(first)
    with pytest.raises(ConfigError, match="another process makes this data set"):
        list(build_composites(plan, tmp_path / "out"))
    list(first)
    manifest = tmp_path / "out" / "train" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("\n", "\n\n", 1))
    assert len(read_manifest(manifest)) == len(plan) and set(run(plan, tmp_path / "out").values()) == {None}


def test_backgrounds_and_formats_at_their_limits_fail_alone(tmp_path):
    write(tmp_path / "alpha" / "a.png", (200, 300))
    write(tmp_path / "fg" / "a.png", (200, 300, 3))
    imaging.write_image(tmp_path / "bg" / "thin.png", np.zeros((1, 30000, 3), np.uint8))
    write(tmp_path / "bg" / "good.png")
    for compositor in COMPOSITORS:
        plan, _ = plan_folders(tmp_path / "fg", tmp_path / "alpha", tmp_path / "bg", "train", 2, compositor=compositor)
        messages = [message for message in run(plan, tmp_path / compositor).values() if message]
        assert len(messages) == 1 and "thin.png: a background of 30000x1 is too thin to cover 300x200" in messages[0]
    with pytest.raises(DataError, match="20000x1 is too large for .webp; use .png"):
        imaging.encode(np.zeros((1, 20000, 3), np.uint8), ".webp")


def test_a_composite_keeps_its_background_when_fewer_are_asked_for(adobe, tmp_path):
    """The third composite of a foreground is the same in Adobe's hundred as in any three of it."""
    wide = {entry["name"]: entry["bg"] for entry in plan_adobe(adobe, "train", tmp_path / "coco", 2)}
    assert {e["name"]: e["bg"] for e in plan_adobe(adobe, "train", tmp_path / "coco", 1)}.items() <= wide.items()
    (adobe / "Training_set" / "training_fg_names.txt").write_text("\n")
    with pytest.raises(DataError, match="training_fg_names.txt: is empty"):
        plan_adobe(adobe, "train", tmp_path / "coco", 1)


def test_a_full_layout_fills_in_what_a_short_one_left_out(adobe, tmp_path):
    plan = plan_adobe(adobe, "train", tmp_path / "coco", 2)
    run(plan, tmp_path / "out")
    run(plan, tmp_path / "out", layout="full")
    run(plan, tmp_path / "clean", layout="full")
    assert contents(tmp_path / "out") == contents(tmp_path / "clean")
    assert {path.name for path in (tmp_path / "out" / "train").iterdir()} == {
        "image", "alpha", "fg", "bg", "manifest.jsonl"
    }  # fmt: skip
    assert {record.get("skipped") for record in build_composites(plan, tmp_path / "out")} == {True}


def test_blending_equals_float64_for_every_triple(kernels):
    """All 2^24 triples of alpha, foreground and background."""
    fg, bg = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    fg, bg = (np.dstack([level] * 3) for level in (fg, bg))
    for level in range(256):
        alpha = np.full(fg.shape[:2], level, np.uint8)
        fraction = (alpha / 255.0)[..., None]
        truncated = (fraction * fg + (1 - fraction) * bg).astype(np.uint8)
        assert np.array_equal(COMPOSITORS["adobe"].blend(fg, alpha, bg), truncated), level
        total = level * fg.astype(np.int64) + (255 - level) * bg.astype(np.int64)
        assert np.array_equal(COMPOSITORS["cv2"].blend(fg, alpha, bg), (2 * total + 255) // 510), level


def test_lists_that_do_not_fit_are_explained(adobe, tmp_path):
    with pytest.raises(DataError, match="lower --per-foreground to 2"):
        plan_adobe(adobe, "train", tmp_path / "coco", 3)
    write(tmp_path / "voc" / "2007_000027.jpg")
    with pytest.raises(DataError, match="holds none of the pictures named in"):
        plan_adobe(adobe, "train", tmp_path / "voc", 2)
    with pytest.raises(DataError, match="test_fg_names.txt: cannot be read"):
        plan_adobe(adobe, "test", tmp_path / "coco", 2)


def test_a_broken_picture_costs_only_its_own_composites(adobe, tmp_path):
    bad = tmp_path / "coco" / "000000000009.jpg"
    bad.write_bytes(bad.read_bytes()[:500])
    (adobe / "Training_set" / "Other" / "alpha" / "b.png").unlink()
    results = run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "out")
    assert str(bad) in results["a_0"] and results["a_1"] is None
    assert "b.png: no such file" in results["b_0"] and "b.png" in results["b_1"]
    assert [path.name for path in (tmp_path / "out" / "train" / "image").iterdir()] == ["a_1.png"]
    with open(bad, "wb"):
        pass
    (adobe / "Training_set" / "training_fg_names.txt").write_text("b.png\n")
    assert all(run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "none").values())
    assert not list((tmp_path / "none" / "train").iterdir())


def test_test_trimaps_are_carried_along(source, tmp_path):
    plan = plan_adobe(source, "test", source / "bg_test", 2)
    assert set(run(plan, tmp_path).values()) == {None}
    for entry in plan:
        given = imaging.read_grey(source / "Test_set/Adobe-licensed images/trimaps" / f"{entry['name']}.png")
        np.testing.assert_array_equal(imaging.read_grey(tmp_path / "test/trimap" / f"{entry['name']}.png"), given)


def test_plain_folders_of_any_format(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (40, 50, 4), dtype=np.uint8)
    (tmp_path / "fg" / "sub").mkdir(parents=True)
    Image.fromarray(rgba).save(tmp_path / "fg" / "one.webp", lossless=True, exact=True)
    Image.fromarray(rgba).save(tmp_path / "fg" / "sub" / "two.png")
    write(tmp_path / "fg" / "opaque.jpg")
    (tmp_path / "fg" / "notes.txt").write_text("hello")
    for index in range(3):
        write(tmp_path / "bg" / f"{index}.jpg", (20 + 40 * index, 70, 3), seed=index)
    plan, notices = plan_folders(tmp_path / "fg", None, tmp_path / "bg", "test", 4, seed=7)
    assert any("notes.txt: skipped" in notice for notice in notices)
    results = run(plan, tmp_path / "out", layout="full")
    assert {name for name, error in results.items() if not error} == {
        f"{key}_{k}" for key in ("one", "sub/two") for k in range(4)
    }
    assert (
        "has no alpha channel and no alpha file of its name; save it with one, or put its alpha into"
        in results["opaque_0"]
    )
    backgrounds = [entry["bg"] for entry in plan if entry["name"].startswith("one")]
    assert len(set(backgrounds[:3])) == 3  # none twice before all were used
    again, _ = plan_folders(tmp_path / "fg", None, tmp_path / "bg", "test", 4, seed=7)
    other, _ = plan_folders(tmp_path / "fg", None, tmp_path / "bg", "test", 4, seed=8)
    assert again == plan and other != plan
    for kind in ("image", "alpha", "fg", "bg", "trimap"):
        assert (tmp_path / "out" / "test" / kind / "sub" / "two_3.png").is_file()


@pytest.mark.parametrize("level", [0, 255])
def test_an_alpha_without_an_edge_is_refused(tmp_path, level):
    rgba = np.full((9, 9, 4), level, np.uint8)
    rgba[0, 0, 3] = 255 - level
    imaging.write_image(tmp_path / "fg" / "edge.png", rgba)
    imaging.write_image(tmp_path / "fg" / "flat.png", np.full((9, 9), 7, np.uint8))
    imaging.write_image(tmp_path / "alpha" / "flat.png", np.full((9, 9), level, np.uint8))
    imaging.write_image(tmp_path / "alpha" / "edge.png", rgba[..., 3])
    write(tmp_path / "bg" / "b.png")
    plan, _ = plan_folders(tmp_path / "fg", tmp_path / "alpha", tmp_path / "bg", "train", 1)
    results = run(plan, tmp_path / "out")
    assert results["edge_0"] is None
    assert f"alpha is {level} everywhere" in results["flat_0"] and "flat.png" in results["flat_0"]


def test_partners_that_are_missing_fail_and_paths_may_be_spelled_anew(tmp_path, monkeypatch):
    for name in ("a", "b"):
        write(tmp_path / "fg" / f"{name}.jpg")
    write(tmp_path / "alpha" / "a.png", (40, 50))
    write(tmp_path / "bg" / "b.png")
    plan, notices = plan_folders(tmp_path / "fg", tmp_path / "alpha", tmp_path / "bg", "train", 2)
    assert any("1 pictures for 2 a foreground, so some come again" in notice for notice in notices)
    results = run(plan, tmp_path / "out")
    assert results["a_1"] is None and "fg/b.jpg: has no alpha channel and no alpha file" in results["b_0"]
    (tmp_path / "out" / "train" / "image" / "a_0.png").unlink()
    monkeypatch.chdir(tmp_path / "fg")
    plan, _ = plan_folders(Path("."), Path("../alpha"), Path("../bg"), "train", 2)
    records = {record["name"]: record for record in build_composites(plan, tmp_path / "out")}
    assert "skipped" in records["a_1"] and "skipped" not in records["a_0"]
    assert (tmp_path / "out" / "train" / "image" / "a_0.png").is_file()
    with pytest.raises(DataError, match="the plan is empty"):
        list(build_composites([], tmp_path / "out"))


def test_another_data_set_is_not_mixed_in(adobe, tmp_path):
    run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "out")
    with pytest.raises(ConfigError, match="a_0 was made with another compositor"):
        run(plan_adobe(adobe, "train", tmp_path / "coco", 2, "cv2"), tmp_path / "out")
    (adobe / "Training_set" / "training_fg_names.txt").write_text("a.png\n")
    with pytest.raises(ConfigError, match="lists b_0 and 1 others that this command does not make"):
        run(plan_adobe(adobe, "train", tmp_path / "coco", 2), tmp_path / "out")


KILLED = """
import sys
from pathlib import Path
from pathlib import Path
from deepmat.data.compositing import build_composites, plan_adobe
if __name__ == "__main__":
    source, out = map(Path, sys.argv[1:])
    for record in build_composites(plan_adobe(source, "train", source / "bg_train", 3), out, 2):
        print(record["name"], "skipped" in record, flush=True)
"""


def test_killed_at_any_moment_and_started_again(source, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    out, clean = tmp_path / "out", tmp_path / "clean"
    command = [sys.executable, str(script), str(source), str(out)]
    for composites_before_kill in (1, 3, 4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(composites_before_kill):
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        manifest = out / "train" / "manifest.jsonl"
        for entry in read_manifest(manifest):
            assert int(entry["crc32"], 16) == zlib.crc32((manifest.parent / entry["image"]).read_bytes())
        for path in manifest.parent.rglob("*.png"):
            if not path.name.startswith("."):
                imaging.read_image(path)
    with open(manifest, "a") as lines:
        lines.write('{"name": "hair_00')  # a line that a kill cut short
    (out / "train" / "image" / ".x.png.4194399.deepmat-part").write_bytes(b"half")
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "True" in finished.stdout and "False" in finished.stdout
    run(plan_adobe(source, "train", source / "bg_train", 3), clean)
    assert contents(out) == contents(clean)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_source_is_stamped_before_it_is_read(adobe, tmp_path, monkeypatch):
    """One that changes in between must not pass for what was composited."""
    plan = plan_adobe(adobe, "train", tmp_path / "coco", 1)[:1]
    path, read = Path(plan[0]["fg"]), making.read_foreground

    def read_and_change(fg, alpha):
        layers = read(fg, alpha)
        write(path, seed=99)
        return layers

    monkeypatch.setattr(making, "read_foreground", read_and_change)
    run(plan, tmp_path / "out")
    monkeypatch.undo()
    assert [record for record in build_composites(plan, tmp_path / "out") if "skipped" in record] == []


def test_what_is_done_is_listed_at_once(source, tmp_path):
    """However a run ends, no finished composite is lost to the next."""
    records = build_composites(plan_adobe(source, "train", source / "bg_train", 3), tmp_path, workers=2)
    next(records)
    records.close()
    listed = {entry["image"] for entry in read_manifest(tmp_path / "train" / "manifest.jsonl")}
    assert listed and listed == {f"image/{path.name}" for path in (tmp_path / "train" / "image").iterdir()}
