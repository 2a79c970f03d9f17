"""deepmat doctor on composited test sets: whose pictures they are, told from the pixels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from deepmat import checks, imaging
from deepmat.checks import composites
from deepmat.data.compositing import COMPOSITORS, build_composites, plan_adobe, plan_folders

CHECKS = {"composite", "copy", "compositor", "benchmark", "source", "size", "manifest"}


@pytest.fixture(scope="module")
def official(source, tmp_path_factory):
    """Adobe's layout, with a test background that must be enlarged and one that must not."""
    root = tmp_path_factory.mktemp("official") / "adobe"
    shutil.copytree(source, root)
    shutil.rmtree(root / "bg_test")
    for seed, (name, size) in enumerate({"small": (40, 50), "large": (200, 220)}.items()):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        imaging.write_image(root / "bg_test" / f"{name}.png", pixels)
    (root / "Test_set" / "test_bg_names.txt").write_text("small.png\nlarge.png\nlarge.png\nsmall.png\n")
    return root


@pytest.fixture
def made(official, tmp_path):
    """made("cv2") -> the folder of Adobe's test set by that compositor, 2 foregrounds on 2 backgrounds each."""

    def make(compositor, **options):
        plan = plan_adobe(official, "test", official / "bg_test", 2, compositor)
        assert not [record for record in build_composites(plan, tmp_path / "data", **options) if "error" in record]
        return tmp_path / "data" / "test"

    return make


def diagnose(root, against=None, bg=None):
    """What doctor says of a composited test set: the summary of it, and {(severity, check, name)}."""
    found = checks.survey(root, bg, against=against)
    *records, last = checks.examine(found)
    findings = [item for record in (*records, last) for item in record.findings] + found.findings
    said = {(item["severity"], item["check"], Path(item["path"]).name) for item in findings if item["check"] in CHECKS}
    return last.comparison, said


PART = ("note", "benchmark", "test")  # 4 of 1000 pictures


@pytest.mark.parametrize("known_by", ["manifest", "adobe", "folders", "both"])
@pytest.mark.parametrize("compositor", COMPOSITORS)
def test_every_compositor_is_told_from_the_pixels(official, made, compositor, known_by):
    root = made(compositor, layout="full" if known_by == "folders" else "composites")
    if known_by in ("adobe", "folders"):
        (root / "manifest.jsonl").unlink()
    summary, said = diagnose(root, official if known_by in ("adobe", "both") else None)
    other = {"adobe": "cv2", "cv2": "adobe"}[compositor]
    assert (summary[compositor], summary[other], summary["neither"], summary["untold"]) == (4, 0, 0, 0)
    expected = {("warning", "compositor", "test"): compositor == "cv2", PART: known_by != "folders"}
    assert said == {item for item, is_said in expected.items() if is_said}
    assert summary["fitted"] == 4 * (known_by == "folders")
    if compositor == "cv2" and known_by != "folders":  # an enlarged picture is farthest from Adobe's
        assert summary["max"] > 30 and summary["mean"] > 1 and summary["worst"][-5:] in ("0.png", "1.png")
    if known_by != "folders":
        assert (summary["foregrounds"], summary["alphas"], summary["trimaps"]) == (2, [4, 4], [4, 4])
        assert summary["backgrounds"] == ([4, 4] if known_by in ("adobe", "both") else [0, 0])
    if known_by == "both":
        assert summary["first"] == "test_hair_0000_0" and summary["last"].endswith("_0001_1")


@pytest.mark.parametrize("sources", ["kept", "gone"])
def test_a_manifest_that_lies_about_the_compositor(official, made, tmp_path, sources):
    root, adobe = made("cv2"), tmp_path / "moved"
    lines = (root / "manifest.jsonl").read_text().replace('"cv2"', '"adobe"')
    shutil.copytree(official, adobe)
    if sources == "gone":
        lines = lines.replace(official.parent.name, "nowhere")
    (root / "manifest.jsonl").write_text(lines)
    summary, said = diagnose(root, adobe)
    assert summary["cv2"] == 4
    lies = {("error", "composite", path.name) for path in (root / "image").iterdir()}
    assert {item for item in said if item[1] in ("composite", "compositor")} == lies | {
        ("warning", "compositor", "test")
    }


@pytest.mark.parametrize("known_by", ["manifest", "adobe", "folders"])
def test_the_one_altered_composite_is_named(official, made, known_by):
    root = made("adobe", layout="full" if known_by == "folders" else "composites")
    altered = sorted((root / "image").iterdir())[1]
    pixels = imaging.read_image(altered)
    pixels[3, 5, 1] ^= 1
    imaging.write_image(altered, pixels)
    if known_by != "manifest":
        (root / "manifest.jsonl").unlink()
    summary, said = diagnose(root, official if known_by == "adobe" else None)
    assert (summary["adobe"], summary["neither"], summary["max"], summary["worst"]) == (3, 1, 1, str(altered))
    severity = "error" if known_by == "manifest" else "warning"
    assert said - {PART, ("error", "manifest", altered.name)} == {(severity, "composite", altered.name)}


def test_what_else_is_not_adobes(official, made, monkeypatch):
    root = made("adobe")
    images = sorted((root / "image").iterdir())
    monkeypatch.setattr(composites, "WHOLE", (4, 2))
    assert diagnose(root, official)[1] == set()
    for role, pixel in (("alpha", 0), ("trimap", 1)):
        path = root / role / images[pixel].name
        levels = imaging.read_grey(path)
        levels[0, 0] = 255 - levels[0, 0]
        imaging.write_image(path, levels)
    manifest = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    swapped = next(entry for entry in manifest if entry["name"] == images[2].stem)
    swapped["bg"] = "nowhere.png"
    (root / "manifest.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in manifest))
    copies = {("error", "copy", images[0].name), ("warning", "copy", images[1].name)}
    assert diagnose(root)[1] == copies | {("note", "source", "nowhere.png"), ("note", "source", "test")}
    summary, said = diagnose(root, official)
    assert {("warning", "copy", images[0].name), ("warning", "benchmark", images[2].name)} <= said
    assert (summary["alphas"], summary["trimaps"], summary["backgrounds"]) == ([3, 4], [3, 4], [3, 4])
    (root / "manifest.jsonl").unlink()
    for role in ("image", "alpha", "trimap"):
        (root / role / images[3].name).rename(root / role / "stranger.png")
    imaging.write_image(images[2], imaging.read_image(images[2])[:-1])
    summary, said = diagnose(root, official)
    assert summary["pictures"] == 3 and summary["neither"] == 1
    assert {("warning", "benchmark", "test"), ("warning", "composite", images[2].name)} < said


def test_no_false_alarm(official, made, data, tmp_path):
    root = made("adobe")
    for name in ("image", "alpha", "trimap"):
        shutil.copytree(root / name, tmp_path / "photos" / name)
    assert diagnose(tmp_path / "photos") == (None, set())  # pictures, trimaps and alphas of any origin
    moved = tmp_path / "elsewhere" / "test"
    shutil.copytree(root, moved)
    lines = (moved / "manifest.jsonl").read_text().replace(official.parent.name, "nowhere")
    (moved / "manifest.jsonl").write_text(lines)
    summary, said = diagnose(moved.parent)
    assert summary["untold"] == 4 and {severity for severity, _, _ in said} == {"note"}
    own = tmp_path / "own"
    plan, _ = plan_folders(data / "test" / "fg", data / "test" / "alpha", data / "test" / "bg", "test", 1)
    list(build_composites(plan, own))
    assert diagnose(own)[1] == set() and diagnose(own)[0]["adobe"] == 2


def test_the_command_holds_a_set_against_adobes(deepmat, official, made):
    root = made("cv2")
    told = deepmat("doctor", root, "--against", official, "--workers", 1)
    assert told.exit_code == 0
    assert "test set: 4 pictures of 2 foregrounds, test_hair_0000_0 to " in told.stdout
    assert "; exactly Adobe's 0, exactly cv2's 4, neither 0, not compared 0\n" in told.stdout
    assert "  those of the sources: alphas 4 of 4, trimaps 4 of 4, backgrounds 4 of 4\n" in told.stdout
    assert "scores do not compare with published ones" in told.stdout
    summary = json.loads(deepmat("doctor", root, "--json", "--workers", 1).stdout.splitlines()[-1])
    assert summary["composites"]["cv2"] == 4
    scenes = official.parent / "voc"
    (official / "bg_test").rename(scenes)
    try:
        assert deepmat("doctor", root, "--against", official, "--bg", scenes).exit_code == 0
        lacking = deepmat("doctor", root, "--against", official)
    finally:
        scenes.rename(official / "bg_test")
    for result, message in (
        (lacking, "has no bg_test/; give its test backgrounds with --bg"),
        (deepmat("doctor", root, "--against", root), "give the folder that Adobe's Test_set/ is in"),
        (deepmat("doctor", official, "--against", official), "give a composited test set"),
    ):
        assert result.exit_code == 1 and message in " ".join(result.stderr.split())
