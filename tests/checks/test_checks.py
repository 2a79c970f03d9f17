import itertools
import json
import os
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from deepmat import checks, imaging
from deepmat.errors import ConfigError, DataError
from deepmat.runtime.listing import find_pictures
from deepmat.synth.dataset import synthesise

SIZE = (40, 48)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def colours(seed, size=SIZE):
    return np.random.default_rng(seed).integers(60, 256, (*size, 3), dtype=np.uint8)


def soft(size=SIZE, top=255):
    """A foreground on the left, background on the right, a ramp between."""
    ramp = np.interp(np.arange(size[1]), (size[1] * 0.3, size[1] * 0.7), (top, 0))
    return np.broadcast_to(np.rint(ramp).astype(np.uint8), size).copy()


def guide(alpha):
    return np.where(alpha == 255, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)


def clean(root, count=2):
    """Own folders with nothing wrong."""
    for index in range(count):
        save(root / "fg" / f"good{index}.png", colours(index))
        save(root / "alpha" / f"good{index}.png", soft())
        save(root / "bg" / f"scene{index}.png", colours(100 + index))
        save(root / "test" / "image" / f"test{index}.png", colours(200 + index))
        save(root / "test" / "alpha" / f"test{index}.png", soft())
        save(root / "test" / "trimap" / f"test{index}.png", guide(soft()))
    return root


def diagnose(root, bg=None, alpha=None, workers=1):
    found = checks.survey(root, bg, alpha)
    findings = [item for record in checks.examine(found, workers) for item in record.findings]
    return checks.settle(found, found.findings + findings)


def told(root, **options):
    """{(severity, check, path in the folder, fix)}, small pictures (all are, here) left out."""
    return {
        (item["severity"], item["check"], os.path.relpath(item["path"], root), item["fix"])
        for item in diagnose(root, **options)
        if item["check"] != "small"
    }


def break_it(root):
    """One picture for each defect; what is to be said of it."""
    fg, alpha, bg, test = root / "fg", root / "alpha", root / "bg", root / "test"
    said = set()

    def broken(severity, check, path, fix=None):
        said.add((severity, check, path, fix))
        return root / path

    seeds = itertools.count(1000)

    def foreground(name, matte):
        save(fg / f"{name}.png", colours(next(seeds)))
        save(alpha / f"{name}.png", matte)

    rng = np.random.default_rng(0)
    broken("error", "unreadable", "fg/empty.png", "left out").write_bytes(b"")
    save(alpha / "empty.png", soft())
    whole = save(fg / "cut.jpg", colours(next(seeds))).read_bytes()
    broken("error", "unreadable", "fg/cut.jpg", "left out").write_bytes(whole[: len(whole) // 2])
    save(alpha / "cut.png", soft())
    broken("error", "unreadable", "bg/loop.png", "left out").symlink_to("loop.png")
    save(broken("error", "partner", "fg/no alpha.png", "left out"), colours(next(seeds)))
    save(broken("warning", "partner", "alpha/no\nfg.png", "left out"), soft())
    save(broken("error", "partner", "fg/several.png"), colours(next(seeds)))
    for suffix in ("png", "tif"):
        save(alpha / f"several.{suffix}", soft())
    save(broken("error", "name", "fg/two names.jpg"), colours(next(seeds)), icc_profile=b"junk")
    save(fg / "two names.png", colours(next(seeds)))
    broken("warning", "profile", "fg/two names.jpg")  # not mended: the place of the PNG is taken
    save(alpha / "two names.png", soft())
    save(fg / "size.png", colours(next(seeds)))
    save(broken("error", "size", "alpha/size.png"), soft((30, 48)))
    flat = np.zeros(SIZE, np.uint8)
    for name, level in (("black", 0), ("white", 255), ("grey", 90)):
        foreground(name, flat + np.uint8(level))
        broken("error", "edge", f"alpha/{name}.png", "left out")
    half = flat.copy()
    half[:, :20] = 1
    foreground("ones", half)
    broken("error", "scale", "alpha/ones.png", "re-encoded")
    broken("warning", "mask", "alpha/ones.png")
    foreground("hundred", soft(top=100))
    broken("warning", "scale", "alpha/hundred.png")
    foreground("mask", half * np.uint8(255))
    broken("warning", "mask", "alpha/mask.png")
    foreground("steps", soft() // 64 * 64)
    broken("warning", "levels", "alpha/steps.png")
    hole = np.zeros(SIZE, np.uint8)
    cv2.rectangle(hole, (0, 0), (SIZE[1] - 1, SIZE[0] - 1), 255, 9)
    hole = cv2.GaussianBlur(hole, (0, 0), 1.2)
    foreground("inverted", hole)
    broken("warning", "inverted", "alpha/inverted.png")
    foreground("photo", colours(next(seeds)))
    broken("error", "colours", "alpha/photo.png")
    tinted = np.dstack([soft()] * 3)
    tinted[5, 5] -= np.array([3, 0, 0], np.uint8)
    foreground("tinted", tinted)
    broken("warning", "colours", "alpha/tinted.png")
    foreground("rgb", np.dstack([soft()] * 3))
    broken("note", "channels", "alpha/rgb.png", "re-encoded")
    foreground("deep", soft().astype(np.uint16) * 257)
    broken("note", "deep", "alpha/deep.png", "re-encoded")
    save(fg / "lossy.png", colours(next(seeds)))
    save(alpha / "lossy.jpg", soft())
    broken("note", "lossy", "alpha/lossy.jpg")
    level = rng.integers(0, 256, SIZE).astype(np.uint8)
    save(fg / "premultiplied.png", (colours(next(seeds)).astype(int) * level[..., None] // 255).astype(np.uint8))
    save(alpha / "premultiplied.png", level)
    broken("warning", "fringe", "fg/premultiplied.png")
    save(fg / "twin.png", colours(0))
    save(alpha / "twin.png", soft())
    broken("warning", "duplicate", "fg/twin.png", "left out")
    save(fg / "leak.png", colours(200))
    save(alpha / "leak.png", soft())
    broken("error", "leak", "fg/leak.png", "left out")
    marks = PngImagePlugin.PngInfo()
    marks.add(b"gAMA", struct.pack(">I", 100_000))
    save(broken("warning", "profile", "bg/gamma.png", "re-encoded"), colours(next(seeds)), pnginfo=marks)
    marks = PngImagePlugin.PngInfo()
    marks.add(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    save(broken("warning", "profile", "bg/wide.png", "re-encoded"), colours(next(seeds)), pnginfo=marks)
    lying = Image.Exif()
    lying[0x0112] = 6
    save(broken("warning", "orientation", "bg/lying.jpg", "re-encoded"), colours(next(seeds)), exif=lying)
    picture = Image.fromarray(colours(next(seeds)))
    picture.convert("CMYK").save(broken("warning", "mode", "bg/print.jpg"))
    picture.quantize().save(broken("note", "mode", "bg/palette.png"))
    picture.save(broken("warning", "mode", "bg/moves.webp"), save_all=True, append_images=[picture.rotate(180)])
    broken("note", "stray", "bg/notes.txt").write_text("hello")
    broken("note", "stray", "bg/folder.png").mkdir()
    broken("warning", "stray", "bg/elsewhere").symlink_to(fg)
    (bg / ".hidden.png").write_bytes(b"")

    save(broken("error", "partner", "test/image/no trimap.png", "left out"), colours(next(seeds)))
    save(test / "alpha" / "no trimap.png", soft())

    def trimap(name, levels):
        save(test / "image" / f"{name}.png", colours(next(seeds)))
        save(test / "alpha" / f"{name}.png", soft())
        return save(test / "trimap" / f"{name}.png", levels)

    right = guide(soft())
    trimap("labels", right // 127)
    broken("error", "labels", "test/trimap/labels.png")
    trimap("greys", np.where(right == 128, 127, right).astype(np.uint8))
    broken("warning", "greys", "test/trimap/greys.png", "re-encoded")
    trimap("known", np.where(soft() > 128, 255, 0).astype(np.uint8))
    broken("error", "known", "test/trimap/known.png")
    trimap("other", right[:, ::-1].copy())
    broken("error", "contradiction", "test/trimap/other.png")
    return said


@pytest.fixture(scope="module")
def sick(tmp_path_factory):
    root = clean(tmp_path_factory.mktemp("sick"))
    return root, break_it(root)


def contents(root):
    return {path: os.lstat(path).st_mtime_ns for path in root.rglob("*")}


def test_every_defect_is_found_and_nothing_else(sick):
    root, said = sick
    assert told(root) == said
    assert told(root, workers=2) == said
    severities = {(item["check"], item["severity"]) for item in diagnose(root)}
    assert {check for check, _ in severities} <= set(checks.CHECKS)


def test_small_pictures(tmp_path):
    clean(tmp_path)
    save(tmp_path / "bg" / "tiny.png", colours(1, (31, 400)))
    save(tmp_path / "bg" / "large.png", colours(1, (320, 320)))
    small = {(item["severity"], Path(item["path"]).name) for item in diagnose(tmp_path) if item["check"] == "small"}
    assert ("warning", "tiny.png") in small and ("note", "scene0.png") in small
    assert not any(name == "large.png" for _, name in small)


def test_the_command_tells_and_mends(deepmat, sick, tmp_path):
    root, said = sick
    before = contents(root)
    result = deepmat("doctor", root, "--workers", 1)
    assert result.exit_code == 1 and not result.stderr
    first, *lines, last = result.stdout.splitlines()
    assert first.startswith(f"{root}: own folders; ")
    assert "test pictures" in first and "backgrounds" in first and first.endswith("megapixels")
    assert "error: alphas without an edge (3, --fix mends all)" in lines
    assert "  alpha/no\\nfg.png: no fg of that name in" in result.stdout
    assert "  and " in result.stdout  # not every example of every check
    errors, warnings = (sum(item[0] == severity for item in said) for severity in ("error", "warning"))
    mended = sum(item[3] is not None and item[0] != "note" for item in said)
    assert last == f"{errors} errors, {warnings} warnings; deepmat doctor {root} --fix OUT mends {mended} of them"

    told_json = deepmat("doctor", root, "--json")
    *findings, summary = map(json.loads, told_json.stdout.splitlines())
    assert {tuple(item) for item in findings} == {("severity", "check", "path", "message", "fix")}
    assert (summary["errors"], summary["warnings"], summary["mendable"]) == (errors, warnings, mended)

    fixed = deepmat("doctor", root, "--fix", "out", "--workers", 1)
    assert fixed.exit_code == 1  # some errors are not for a machine to mend
    assert contents(root) == before
    for _, _, path, fix in said:
        assert (f"left out: {root / path}: ".replace("\n", "\\n") in fixed.stdout) == (fix == "left out")
    healed = told(Path("out"))
    assert healed == {item for item in said if not item[3] and "elsewhere" not in item[2] and "folder" not in item[2]}
    again = deepmat("doctor", root, "--fix", "out")
    assert again.exit_code == 1 and "--fix out: is not empty; choose a new folder" in again.stderr


def test_a_mended_copy_has_the_same_pixels(sick, tmp_path):
    root, _ = sick
    found = checks.survey(root)
    out = tmp_path / "out"
    assert set(checks.mend(found, diagnose(root), out)) == {"copied", "re-encoded"}
    for before, after in (("lying.jpg", "lying.png"), ("gamma.png", "gamma.png"), ("print.jpg", "print.jpg")):
        np.testing.assert_array_equal(imaging.read_image(root / "bg" / before), imaging.read_image(out / "bg" / after))
    for name in ("rgb", "deep"):
        about = imaging.describe(out / "alpha" / f"{name}.png")
        assert about["mode"] == "L" and not about["deep"]
        np.testing.assert_array_equal(imaging.read_grey(out / "alpha" / f"{name}.png"), soft())
    assert set(np.unique(imaging.read_grey(out / "alpha/ones.png"))) == {0, 255}
    np.testing.assert_array_equal(imaging.read_levels(out / "test/trimap/greys.png"), guide(soft()))
    assert (out / "fg/good0.png").read_bytes() == (root / "fg/good0.png").read_bytes()
    names = {path.name for path in find_pictures(out)[0]}
    assert not names & {"empty.png", "cut.png", "loop.png", "black.png", ".hidden.png", "twin.png", "lying.jpg"}


def test_what_is_clean_is_healthy(deepmat, source, data):
    for root in (source, data, data / "test"):
        result = deepmat("doctor", root)
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1].startswith("healthy"), result.stdout
    list(synthesise(Path("large"), train=7, test=1, backgrounds=1, size=512, per_foreground=(1, 1)))
    result = deepmat("doctor", "large", "--workers", 2)
    assert result.stdout.splitlines()[1:] == ["healthy"]
    result = deepmat("doctor", "large", "--fix", "mended")
    assert result.stdout.splitlines()[1:] == ["healthy; nothing to mend, so there is no copy"]


def test_pictures_with_their_alphas_in_themselves_or_elsewhere(deepmat, tmp_path):
    for index in range(3):
        save(tmp_path / "cut" / f"{index}.png", np.dstack((colours(index), soft())))
        save(tmp_path / "plain" / f"{index}.png", colours(index), icc_profile=b"junk")
        save(tmp_path / "mattes" / f"{index}.png", soft())
    save(tmp_path / "bgs" / "0.png", colours(9))
    assert deepmat("doctor", "cut").stdout.splitlines()[-1].startswith("healthy")
    opaque = diagnose(tmp_path / "plain")
    assert sum("has no alpha channel" in item["message"] for item in opaque) == 3
    assert {item["fix"] for item in opaque} == {None, "re-encoded"}  # nothing would be left
    fixed = deepmat("doctor", "plain", "--alpha", "mattes", "--bg", "bgs", "--fix", "out")
    assert fixed.exit_code == 0 and "out: 4 files copied, 3 re-encoded, 0 left out" in fixed.stdout
    assert {path.name for path in Path("out").iterdir()} == {"fg", "alpha", "bg"}
    assert deepmat("doctor", "out").stdout.splitlines()[-1].startswith("healthy")
    assert "lies among the foregrounds" in deepmat("doctor", ".", "--alpha", "mattes").stderr


def test_a_picture_with_its_own_alpha_needs_none_beside_it(deepmat, tmp_path):
    clean(tmp_path / "own")
    save(tmp_path / "own/fg/cut.png", np.dstack((colours(7), soft())))
    assert not told(tmp_path / "own")
    save(tmp_path / "own/fg/none.png", colours(8))
    assert told(tmp_path / "own") == {("error", "partner", "fg/none.png", "left out")}
    assert deepmat("doctor", "own", "--fix", "out").exit_code == 0
    assert {path.name for path in Path("out/fg").iterdir()} == {"cut.png", "good0.png", "good1.png"}
    for command in (["composite", "out", "-o", "data", "--per-foreground", 1], ["data", "show", "out"]):
        result = deepmat(*command)
        assert result.exit_code == 0, result.output
        assert "out/alpha: no alpha for 1 of 3 foregrounds, cut, so its own alpha is used" in result.stderr
    made = Path("data/train/image/cut_0.png")
    assert made.is_file() and not told(tmp_path / "data")


def test_adobes_lists_stay_in_step(deepmat, source, tmp_path):
    root = tmp_path / "adobe"
    shutil.copytree(source, root)
    train = root / "Training_set"
    names = (train / "training_fg_names.txt").read_text().split()
    scenes = (train / "training_bg_names.txt").read_text().split()
    fg, second = (next(train.rglob(f"fg/{name}")) for name in names[:2])
    fg.write_bytes(b"")
    second.unlink()
    profiled = next(train.rglob(f"fg/{names[2]}"))
    save(profiled.with_suffix(".bmp"), imaging.read_image(profiled))
    save(profiled, imaging.read_image(profiled), icc_profile=b"junk")
    lying = Image.Exif()
    lying[0x0112] = 3
    save(root / "bg_train" / "bg_0000.jpg", colours(1), exif=lying)
    (root / "bg_train" / "bg_0000.png").unlink()
    for path in train.glob("*bg_names.txt"):
        path.write_text(path.read_text().replace("bg_0000.png", "bg_0000.jpg").replace("bg_0001.png", "gone.png"))
    trimap = next((root / "Test_set").rglob("trimaps/*_1.png"))
    trimap.unlink()
    said = {(severity, check, Path(path).name) for severity, check, path, _ in told(root)}
    tested = f"{trimap.stem.removesuffix('_1')}.png"
    assert said == {
        ("error", "unreadable", fg.name), ("error", "list", second.name), ("error", "partner", tested),
        ("warning", "profile", profiled.name), ("warning", "orientation", "bg_0000.jpg"),
        ("error", "list", "gone.png"), ("note", "list", profiled.with_suffix(".bmp").name),
    }  # fmt: skip
    assert deepmat("doctor", root, "--fix", "out").exit_code == 1  # for gone.png
    out = Path("out/Training_set")
    assert (out / "training_fg_names.txt").read_text().split() == names[2:]
    each = len(scenes) // len(names)
    renamed = [name.replace("bg_0001.png", "gone.png") for name in scenes]
    assert (out / "training_bg_names.txt").read_text().split() == renamed[2 * each :]
    assert {(check, Path(path).name) for _, check, path, _ in told(Path("out"))} == {
        ("list", "gone.png"),
        ("list", profiled.with_suffix(".bmp").name),
    }


def test_composites_that_no_longer_fit_their_manifest(deepmat, source, tmp_path):
    shutil.copytree(source, tmp_path / "source")
    assert deepmat("composite", "source", "-o", "data", "--per-foreground", 2, "--workers", 1).exit_code == 0
    assert deepmat("doctor", "data").stdout.splitlines()[-1].startswith("healthy")
    train = tmp_path / "data" / "train"
    entries = [json.loads(line) for line in (train / "manifest.jsonl").read_text().splitlines()]
    damaged, gone, *_ = [train / entry["image"] for entry in entries]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    gone.unlink()
    save(train / "image" / "stranger.png", colours(0))
    changed, missing, touched = (train / entries[index]["fg"] for index in (2, 4, 6))
    imaging.write_image(changed, colours(7, imaging.read_size(changed)))
    missing.unlink()
    os.utime(touched)
    with open(train / "manifest.jsonl", "a") as lines:
        lines.write('{"name": "half')
    said = {(severity, check, Path(path).name) for severity, check, path, _ in told(tmp_path / "data")}
    assert said == {
        ("error", "manifest", damaged.name), ("error", "manifest", gone.name), ("error", "manifest", "manifest.jsonl"),
        ("warning", "manifest", "stranger.png"), ("error", "source", changed.name), ("error", "source", missing.name),
        ("note", "benchmark", "test"),
    }  # fmt: skip
    refused = deepmat("doctor", "data", "--fix", "out")
    assert refused.exit_code == 1 and "run deepmat composite again" in refused.stderr


def test_a_test_set_of_training_pictures(deepmat, tmp_path):
    clean(tmp_path / "own")
    command = ["composite", "own/fg", "--alpha", "own/alpha", "--bg", "own/bg", "-o", "data", "--per-foreground", 1]
    for split in ("train", "test"):
        assert deepmat(*command, "--workers", 1, "--split", split).exit_code == 0
    # The same files in both, under the same name.
    assert {(check, path) for _, check, path, _ in told(tmp_path / "data")} == {
        ("leak", "../own/fg/good0.png"),
        ("leak", "../own/fg/good1.png"),
    }


def test_test_pictures_that_differ_in_their_trimap_are_different_cases(tmp_path):
    test = clean(tmp_path) / "test"
    for name, trimap in (("wide", np.full(SIZE, 128, np.uint8)), ("same", guide(soft()))):
        save(test / "image" / f"{name}.png", colours(200))
        save(test / "alpha" / f"{name}.png", soft())
        trimap[0] = guide(soft())[0]
        save(test / "trimap" / f"{name}.png", trimap)
    assert told(tmp_path) == {("warning", "duplicate", "test/image/test0.png", "left out")}  # of same.png


def test_sixteen_bits_hardly_used(tmp_path):
    clean(tmp_path)
    for levels, said in (
        (soft().astype(np.uint16), {("deep", "re-encoded")}),
        ((soft() > 128).astype(np.uint16), {("scale", None), ("mask", None)}),
    ):
        save(tmp_path / "alpha" / "good0.png", levels)
        assert {item[1::2] for item in told(tmp_path) if item[2] == "alpha/good0.png"} == said


def test_folders_of_composites_without_a_manifest(data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(data, root)
    for manifest in root.rglob("manifest.jsonl"):
        manifest.unlink()
    shutil.rmtree(root / "test" / "trimap")
    said = told(root)
    assert ("error", "partner", "test/trimap", None) in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder; check the path"),
        (["file"], "file: cannot be listed (Not a directory)"),
        (["own", "--bg", "nowhere"], "nowhere: no such folder"),
        (["own", "--fix", "own/out"], "own/out: overlaps own, which is read"),
        (["own", "--fix", "."], ".: is not empty"),
        (["own/test", "--bg", "own/bg"], "--bg: own/test is a data set, which has its own; leave it out"),
    ],
)
def test_mistakes_are_explained(deepmat, tmp_path, arguments, message):
    clean(tmp_path / "own")
    (tmp_path / "file").write_text("")
    result = deepmat("doctor", *arguments)
    assert result.exit_code == 1 and message in " ".join(result.stderr.split())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_told(tmp_path):
    clean(tmp_path)
    (tmp_path / "fg" / "good0.png").chmod(0)
    (tmp_path / "bg" / "locked").mkdir(mode=0)
    said = told(tmp_path)
    (tmp_path / "bg" / "locked").chmod(0o700)
    assert ("error", "unreadable", "fg/good0.png", "left out") in said
    assert ("error", "place", "bg/locked", None) in said


def test_an_empty_folder_is_an_error_and_no_more(tmp_path):
    assert told(tmp_path) == {("error", "place", ".", None)}
    with pytest.raises(ConfigError, match="overlaps"):
        checks.refuse_copy(checks.survey(tmp_path), tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        checks.survey(tmp_path / "none")


def test_nothing_is_left_out_for_a_partner_in_a_closed_folder(data, tmp_path, close):
    for kind in ("image", "trimap", "alpha"):
        shutil.copytree(data / "test" / kind, tmp_path / "test" / kind / "sub")
        shutil.copy(next((data / "test" / kind).iterdir()), tmp_path / "test" / kind)
    close(tmp_path / "test/image/sub")
    findings = checks.survey(tmp_path).findings
    assert any("cannot be listed" in item["message"] for item in findings)
    assert not [item for item in findings if item["fix"]]
