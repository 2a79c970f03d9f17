"""`deepmat cut` through its command line: photos without trimaps, files, folders, pipes."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx_files
import pytest
from PIL import Image, ImageCms
from toy import Toy, ToyOptions
from typer.testing import CliRunner

from deepmat import imaging
from deepmat.cli import app
from deepmat.cli.cut import _from_pipe, _to_pipe
from deepmat.errors import ConfigError, DataError
from deepmat.inference import watching
from deepmat.inference.photos import cut_photos
from deepmat.inference.places import places_of
from deepmat.models import MODELS, build_model
from deepmat.models.checkpoint import save_weights
from deepmat.runtime import distributed
from deepmat.subject.finders import Found
from deepmat.subject.finders.choice import FINDERS

SIDE = 48
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
SMALL = ["-w", "closed-form", "--device", "cpu", "--finder", "fake"]


def red(image, prompts):
    """A finder of what is red, within the box if there is one."""
    mask = np.where(image[..., 0] > 128, 255, 0).astype(np.uint8)
    if prompts.box:
        left, top, right, bottom = prompts.box
        inside = np.zeros_like(mask)
        inside[top:bottom, left:right] = mask[top:bottom, left:right]
        mask = inside
    if not mask.any():
        raise DataError("nothing red is in it")
    return Found(mask, 0.9, max(mask.shape), [], None)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setitem(FINDERS, "fake", red)


def photo(path=None, at=(12, 36), side=SIDE):
    """A red square on blue. Returns its pixels; writes them to `path`."""
    pixels = np.full((side, side, 3), (20, 30, 200), np.uint8)
    pixels[at[0] : at[1], at[0] : at[1]] = (220, 30, 40)
    if path:
        imaging.write_image(Path(path), pixels)
    return pixels


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def piped(data, *arguments):
    """Run `deepmat cut - ...` with that stdin. A mask takes the place of the finder."""
    command = ["cut", "-", *map(str, (*arguments, *SMALL[: -2 if {"--mask", "--masks"} & {*arguments} else None]))]
    return CliRunner().invoke(app, command, input=data)


def test_a_photo_gives_a_cut_out_beside_it(deepmat):
    photo("a/photo.jpg")
    result = deepmat("cut", "a/photo.jpg", *SMALL)
    assert result.exit_code == 0, result.output
    colour, alpha = imaging.read_rgba("a/photo_cutout.png")
    assert (alpha[18:30, 18:30] == 255).all() and (alpha[:4] == 0).all() and colour[24, 24, 0] > 200
    assert sorted(os.listdir("a")) == ["photo.jpg", "photo_cutout.png"]  # no log
    lines = " ".join(result.stderr.split())
    assert "finder fake: " in lines and "1 of 1 pictures cut out beside them" in lines
    again = deepmat("cut", "a", *SMALL, "--save", "cutout,alpha", "--skip-existing")
    assert again.exit_code == 0 and "a/photo_cutout.png: left out, as made by earlier runs" in again.stderr
    assert sorted(os.listdir("a")) == ["photo.jpg", "photo_alpha.png", "photo_cutout.png"]
    assert deepmat("cut", "a", *SMALL, "--save", "sheet").exit_code == 0
    assert "and 2 more: left out, as made by" in deepmat("cut", "a", *SMALL, "--skip-existing").stderr
    others = deepmat("cut", "a", *SMALL, "-o", "a/out", "--save", "composite,trimap")
    assert others.exit_code == 0 and "1 of 1 pictures cut out" in others.stderr
    assert "1 of 1 pictures cut out" in deepmat("cut", "a", *SMALL, "-o", "b").stderr
    photo("._cutout.png")  # as a Mac names what it keeps beside cutout.png
    assert "2 of 2 pictures cut out" in deepmat("cut", "a/photo.jpg", "._cutout.png", *SMALL).stderr


@pytest.mark.parametrize("name", ["cut.png", "cut.WEBP", "sub/cut.tiff"])
def test_a_file_takes_the_only_output(deepmat, name):
    photo("photo.png")
    assert deepmat("cut", "photo.png", "-o", name, *SMALL).exit_code == 0
    with Image.open(name) as made:
        assert made.mode == "RGBA" and made.size == (SIDE, SIDE)
    assert not Path("log.jsonl").exists()
    photo("other.png")
    two = deepmat("cut", "photo.png", "other.png", "-o", name, *SMALL)
    assert two.exit_code == 1 and f"--out {name}: is for one picture, but 2 are given" in two.stderr
    kinds = deepmat("cut", "photo.png", "-o", name, "--save", "alpha,cutout", *SMALL)
    assert kinds.exit_code == 1 and f"--out {name}: takes one kind of --save" in kinds.stderr


def test_an_output_never_overwrites_its_input(deepmat):
    photo("photo.png")
    before = Path("photo.png").read_bytes()
    result = deepmat("cut", "photo.png", "-o", "photo.png", *SMALL)
    assert result.exit_code == 1 and "photo.png: would overwrite the input photo.png" in result.stderr
    assert Path("photo.png").read_bytes() == before


def test_a_folder_is_done_as_predict_does_it(deepmat):
    for name in ("1", "deep/2", "4"):
        photo(f"photos/{name}.png")
    Path("photos/3.jpg").write_text("broken")
    imaging.write_image(Path("photos/5.png"), np.zeros((9, 9, 3), np.uint8))
    result = deepmat("cut", "photos", "-o", "photos/out", "--save", "cutout,sheet.png", "--json", *SMALL)
    lines = " ".join(result.stderr.split())
    assert result.exit_code == 1 and "3 of 5 pictures cut out in photos/out" in lines
    assert "photos/3.jpg: not a picture that can be read" in lines and "photos/5.png: nothing red is in it" in lines
    assert "finder fake for 3 pictures: " in lines
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [json.loads(line) for line in Path("photos/out/log.jsonl").read_text().splitlines()] == records
    assert {record["finder"] for record in records if "error" not in record} == {"fake"}
    assert Path("photos/out/cutout/deep/2.png").is_file()
    Path("photos/out/cutout/4.png").unlink()
    again = deepmat("cut", "photos", "-o", "photos/out", "--save", "cutout,sheet.png", "--skip-existing", *SMALL)
    assert "1 of 3 pictures cut out in photos/out (2 more existed)" in again.stderr


def test_a_pipe_holds_the_picture_alone(tmp_path):
    result = piped(png(photo()))
    assert result.exit_code == 0 and result.stderr == ""
    with Image.open(io.BytesIO(result.stdout_bytes)) as made:
        assert made.format == "PNG" and made.mode == "RGBA" and np.asarray(made)[24, 24, 3] == 255
    imaging.write_image(tmp_path / "mask.png", 255 - np.uint8(255) * (photo()[..., 0] > 99))
    masked = piped(png(photo()), "--mask", tmp_path / "mask.png")  # of all but the square, which the finder finds
    with Image.open(io.BytesIO(masked.stdout_bytes)) as made:
        assert np.asarray(made)[24, 24, 3] == 0 and np.asarray(made)[2, 2, 3] == 255
    composite = piped(png(photo()), "--save", "composite.jpg", "--background", "#00ff00")
    with Image.open(io.BytesIO(composite.stdout_bytes)) as made:
        assert made.format == "JPEG" and made.getpixel((2, 2))[1] > 240


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        (b"", (), "stdin: is empty; pipe a picture file in"),
        (b"no picture", (), "stdin: not a picture that can be read"),
        (png(NOISE)[:4000], (), "stdin: cannot be read"),
        (png(photo()), ("--json",), "--json: stdout holds the picture"),
        (png(photo()), ("--save", "alpha,cutout"), "a pipe: takes one kind of --save"),
        (png(photo()), ("--watch",), "--watch: a pipe is no folder"),
        (png(photo()), ("other.png",), "a picture from a pipe is the only one"),
        (png(photo()), ("--mask", "none.png"), "--masks none.png: no such file; check the path"),
        (png(photo()), ("--masks", "."), "--masks .: name the file of its one mask"),
    ],
)  # fmt: skip
def test_a_bad_pipe_leaves_stdout_empty(tmp_path, monkeypatch, data, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = piped(data, *arguments)
    assert result.exit_code == 1 and result.stdout_bytes == b"" and "Traceback" not in result.stderr
    assert message in " ".join(result.stderr.split())


def test_pipes_that_are_closed_are_said(monkeypatch):
    for name, message in (("stdin", "there is none"), ("stdout", "stdout is closed")):
        with monkeypatch.context() as closed, pytest.raises(ConfigError, match=message):
            closed.setattr(sys, name, None)
            _to_pipe(False) if name == "stdout" else _from_pipe()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_full_pipe_is_said():
    with open("/dev/full", "wb", buffering=0) as full:
        (record,) = cut_photos(png(photo()), full, finder="fake", weights="closed-form", device="cpu")
    assert record["error"].startswith("stdin: the cut-out cannot be written to the pipe (No space left on device); ")


def test_prompts_reach_the_finder(deepmat):
    pixels = photo()
    pixels[2:8, 2:8] = (255, 0, 0)
    imaging.write_image(Path("photo.png"), pixels)
    assert deepmat("cut", "photo.png", "--box", "10,10,40,90", "-o", "one.png", *SMALL).exit_code == 0
    assert not imaging.read_rgba("one.png")[1][2:8, 2:8].any()
    assert deepmat("cut", "photo.png", "-o", "two.png", *SMALL).exit_code == 0
    assert imaging.read_rgba("two.png")[1][5, 5] == 255


def test_points_correct_a_mask(deepmat):
    """The mask lacks the lower half of the subject."""
    pixels = np.random.default_rng(0).integers(90, 130, (96, 96, 3), np.uint8)
    pixels[20:80, 30:70] //= 4
    mask = np.zeros((96, 96), np.uint8)
    mask[20:50, 30:70] = 255
    imaging.write_image(Path("photo.png"), pixels)
    imaging.write_image(Path("mask.png"), mask)
    given = "cut", "photo.png", "--masks", "mask.png", *SMALL[:4]
    assert deepmat(*given, "-o", "one.png").exit_code == 0
    assert not imaging.read_rgba("one.png")[1][60:75, 40:60].any()
    assert deepmat(*given, "--point", "50,65", "-o", "two.png").exit_code == 0
    assert imaging.read_rgba("two.png")[1][25:75, 35:65].min() == 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--box", "1,2,3"], "--box 1,2,3: give LEFT,TOP,RIGHT,BOTTOM in pixels"),
        (["--box", "30,10,10,40"], "--box 30,10,10,40: has no area"),
        (["--box", "10,10,10,40"], "--box 10,10,10,40: has no area"),
        (["--box", "60,60,90,90"], "photo.png: --box 60,60,90,90: lies outside the picture, which is 48x48"),
        (["--point", "48,3"], "photo.png: --point 48,3: lies outside the picture, which is 48x48"),
        (["--not-point", "a,b"], "--not-point a,b: give X,Y in pixels, as 400,250"),
        (["--point", "inf,3"], "--point inf,3: give X,Y in pixels"),
        (["other.png", "--point", "3,3"], "for one picture, but 2 are given; cut the pictures one by one"),
        (["--masks", "other.png"], "--masks: show the subjects themselves; leave out --finder"),
        (["--watch"], "--watch: photo.png is no folder"),
        (["--square"], "--square: is for --crop"),
        (["--crop", "wide"], "--crop wide: not a width"),
        (["--finder", "fak"], "did you mean fake?"),
        (["--finder", "prompts", "--not-point", "3,3"], "--finder prompts: give --box LEFT,TOP,RIGHT,BOTTOM or"),
        (["--finder", "plain", "--set", "finder.side=64"], "finder 'plain': is no network, so has no settings"),
        (["--save", "cut"], "output 'cut': unknown, did you mean cutout?"),
        (["-o", "x.jpg"], "--out x.jpg: cutout can be .png or .webp or .avif or .tif; with --save,"),
        (["-o", "x.bmp", "--save", "alpha"], "--out x.bmp: alpha can be .png or .tif"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(deepmat, arguments, message):
    photo("photo.png")
    photo("other.png")
    result = deepmat("cut", "photo.png", *SMALL, *arguments)
    assert result.exit_code == 1 and message in " ".join(result.stderr.split()), result.output
    assert sorted(os.listdir()) == ["other.png", "photo.png"]


def test_a_folder_that_cannot_be_written_to_is_named_before_any_work(deepmat, monkeypatch):
    photo("closed/photo.png")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, how: str(path) != "closed" and access(path, how))
    result = deepmat("cut", "closed/photo.png", *SMALL)
    assert result.exit_code == 1 and "closed: may not be written to; say where cut-outs go" in result.stderr
    assert deepmat("cut", "closed/photo.png", "-o", "out", *SMALL).exit_code == 0


def test_settings_of_a_finder_beside_masks_are_refused(deepmat):
    photo("photo.png")
    result = deepmat("cut", "photo.png", "--masks", "photo.png", "--set", "finder.side=64")
    assert result.exit_code == 1 and "--set finder.side=64: no finder is used beside --masks" in result.stderr


def test_rough_masks_stand_for_a_finder(deepmat):
    photo("photos/1.png", side=96)
    mask = np.zeros((48, 48), np.uint8)
    mask[6:18, 6:18] = 255
    imaging.write_image(Path("masks/1.png"), mask)  # of half the size
    result = deepmat("cut", "photos", "--masks", "masks", "-o", "out", "-w", "closed-form", "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["finder"] == "mask" and record["why"] == "masks/1.png is given"
    assert any("masks/1.png: 48x48, but its picture is 96x96; resized" in notice for notice in record["notices"])
    alpha = imaging.read_rgba("out/cutout/1.png")[1]
    assert alpha[24, 24] == 255 and not alpha[60:].any()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_orientation_profile_and_resolution_are_kept(deepmat, suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo()[:, :40]).save("photo.jpg", exif=exif, icc_profile=profile, dpi=(300, 200))
    assert deepmat("cut", "photo.jpg", "-o", f"out{suffix}", *SMALL).exit_code == 0
    with Image.open(f"out{suffix}") as made:
        assert made.size == (48, 40) and np.asarray(made)[24, 24, 3] == 255
        assert made.info["icc_profile"] == profile
        if suffix != ".webp":  # which has no place for it
            assert [round(float(each)) for each in made.info["dpi"]] == [200, 300]


def test_an_onnx_file_is_a_finder(deepmat):
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[12:36, 12:36] = 255
    imaging.write_image(Path("photo.png"), pixels)
    onnx_files.mean_of_colours(Path("net.onnx"), (1, 3, "height", "width"))
    command = ["cut", "photo.png", "-o", "out", *SMALL, "--finder", "net.onnx", "--json"]
    done = deepmat(*command, "--set", "finder.side=24", "--set", "test.double=0")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["finder"] == "net.onnx"
    assert imaging.read_rgba("out/cutout/photo.png")[1][24, 24] == 255
    for setting, message in (("finder.side=3", "finder.side=3: give 16"), ("finder.sise=3", "did you mean side?")):
        refused = deepmat(*command, "--set", setting)
        assert refused.exit_code == 1 and message in " ".join(refused.stderr.split())
    Path("bad.onnx").write_text("no network")
    for name in ("bad.onnx", "none.onnx"):
        refused = deepmat("cut", "photo.png", "-o", "x", *SMALL, "--finder", name)
        assert refused.exit_code == 1 and f"{name}: " in refused.stderr and not Path("x").exists()


def test_crop_centres_the_subject(deepmat):
    pixels = photo()
    imaging.write_image(Path("photo.png"), pixels[:, 8:])  # 40 x 48, the subject 4 pixels from the left
    assert deepmat("cut", "photo.png", "-o", "a.png", "--crop", 10, *SMALL).exit_code == 0
    colour, alpha = imaging.read_rgba("a.png")
    assert alpha.shape == (44, 44) and (alpha[12:32, 12:32] == 255).all() and not alpha[:, :6].any()
    assert deepmat("predict", "photo_alpha.png", "-o", "x", "--crop", 0).exit_code == 1  # predict has it too
    assert deepmat("cut", "-o", "none.png", *SMALL, "--crop", "photo.png").exit_code == 0  # no margin before an input
    assert deepmat("cut", "photo.png", "-o", "last.png", "--crop", "--square", *SMALL).exit_code == 0
    assert imaging.read_rgba("none.png")[1].shape == imaging.read_rgba("last.png")[1].shape == (24, 24)
    wide = np.full((60, 90, 3), (20, 30, 200), np.uint8)
    wide[20:30, 10:70] = (220, 30, 40)
    imaging.write_image(Path("wide.png"), wide)
    assert deepmat("cut", "wide.png", "-o", "b.png", "--crop", "10%", "--square", *SMALL).exit_code == 0
    assert imaging.read_rgba("b.png")[1].shape == (72, 72)


def test_the_function_does_what_the_command_does(deepmat, monkeypatch):
    monkeypatch.setitem(MODELS, "toy", Toy)
    save_weights(Path("toy.safetensors"), build_model(ToyOptions()).state_dict(), ToyOptions().model_dump())
    for name in ("1", "2"):
        photo(f"photos/{name}.png")
    done = deepmat(
        "cut", "photos", "-o", "out", "--save", "cutout,sheet.png", "--json", *SMALL, "-w", "toy.safetensors"
    )
    options = {"weights": "toy.safetensors", "device": "cpu", "finder": "fake", "save": "cutout,sheet.png"}
    work = cut_photos("photos", "again", **options)
    assert work.total == 2 and not Path("again").exists()
    records = work.run()
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["notices"] for each in records] == [each["notices"] for each in shown]
    assert records[0].keys() == shown[0].keys() >= {"finder", "why", "paths", "precision", "mode"}
    for path in Path("out").rglob("*.png"):
        assert Path("again", path.relative_to("out")).read_bytes() == path.read_bytes(), path
    stream = io.BytesIO()
    cut_photos(Path("photos/1.png").read_bytes(), stream, **{**options, "save": "cutout"}).run()
    assert stream.getvalue() == Path("out/cutout/1.png").read_bytes()


def test_each_process_of_a_job_takes_its_share(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for index in range(3):
        photo(f"photos/{index}.png")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "meet", lambda: None)
    monkeypatch.setattr(distributed, "gather", lambda given: [given])
    for rank, names in (("1", ["1"]), ("0", ["0", "2"])):
        monkeypatch.setenv("RANK", rank)
        work = cut_photos("photos", "out", weights="closed-form", device="cpu", finder="fake")
        assert [record["name"] for record in work] == names
    assert len(Path("out/log.jsonl").read_text().splitlines()) == 3 and not [*Path("out").glob("log-*")]


@pytest.mark.slow
def test_several_processes_share_the_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for index in range(3):
        photo(f"photos/{index}.png")
    Path("photos/3.png").write_text("broken")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "deepmat"]
    command = ["cut", "photos", "-o", "out", "-w", "closed-form", "--device", "cpu", "--finder", "plain"]
    result = subprocess.run([*launch, *command], capture_output=True, text=True, timeout=240)
    assert result.returncode == 1 and "3 of 4 pictures cut out in out" in result.stderr
    assert result.stderr.count("finder plain for 3 pictures: asked for") == 1
    assert sorted(path.stem for path in Path("out/cutout").iterdir()) == ["0", "1", "2"]


def test_pictures_are_cut_out_as_they_arrive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watching, "QUIET", 0.05)
    monkeypatch.setattr(watching, "SECONDS", 1)
    photo("in/1.png")
    work = cut_photos("in", "in/out", weights="closed-form", device="cpu", finder="fake", watch=True)
    steps = iter(work)
    assert next(steps)["name"] == "1"
    whole = png(photo())

    def arrive():
        time.sleep(0.2)
        Path("in/2.png").write_bytes(whole[:60])  # half of it, then the rest
        time.sleep(0.5)
        Path("in/2.png").write_bytes(whole)

    thread = threading.Thread(target=arrive)
    thread.start()
    deadline = time.monotonic() + 20
    records = []
    for record in steps:
        records.append(record)
        if "error" not in record or time.monotonic() > deadline:
            break
    thread.join()
    steps.close()
    assert records[-1]["name"] == "2" and "error" not in records[-1]
    assert all("in/2.png" in record["error"] for record in records[:-1])
    assert Path("in/out/cutout/2.png").is_file()


def test_watching_an_empty_folder_needs_a_place_for_cut_outs(deepmat):
    Path("in").mkdir()
    nowhere = deepmat("cut", "in", "--watch", *SMALL)
    assert nowhere.exit_code == 1 and "--watch: needs a folder for the cut-outs; add --out FOLDER" in nowhere.stderr
    lost = deepmat("cut", "im", "-o", "out", "--watch", *SMALL)
    assert lost.exit_code == 1 and "--watch: im is no folder" in lost.stderr
    assert cut_photos("in", "out", weights="closed-form", finder="fake", watch=True).total == 0


def test_ctrl_c_is_the_end_of_watching(deepmat, monkeypatch):
    photo("in/1.png")

    def interrupted(*arguments):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(watching, "watch", interrupted)
    result = deepmat("cut", "in", "-o", "out", "--watch", *SMALL)
    assert result.exit_code == 0 and "1 of 1 pictures cut out in out" in result.stderr


def test_the_finders_are_listed(deepmat):
    result = deepmat("cut", "--finder", "list")
    assert result.exit_code == 0 and "fake" in result.stdout


def test_a_dash_for_the_output_is_the_pipe(deepmat):
    photo("photo.png")
    for result in (deepmat("cut", "photo.png", *SMALL, "-o", "-"), piped(Path("photo.png").read_bytes(), "-o", "-")):
        assert result.exit_code == 0, result.output
        assert Image.open(io.BytesIO(result.stdout_bytes)).mode == "RGBA"
    assert os.listdir() == ["photo.png"]
    both = deepmat("cut", "photo.png", *SMALL, "-o", "-", "--save", "cutout,alpha")
    assert both.exit_code == 1 and "a pipe: takes one kind" in both.stderr


def test_exr_is_a_picture_file():
    assert places_of("cut.exr").file == Path("cut.exr") and places_of("cut").folder == Path("cut")


def test_outputs_that_cannot_be_are_refused_before_any_work(deepmat):
    photo("photo.png")
    for command, told in (
        (["cut", "photo.png", *SMALL, "-o", "cut.psd"], "--out cut.psd: .psd is not written"),
        (["predict", "photo.png", "-o", "cut.png"], "--out cut.png: the name of a picture; give a folder, such as cut"),
        (["predict", "photo.png", "-o", "-"], "--out -: is no folder"),
        (
            ["cut", "photo.png", *SMALL, "--crop", "0.05"],
            '--crop 0.05: less than a pixel; a share is a percentage, "5%"',
        ),
    ):
        result = deepmat(*command)
        assert result.exit_code == 1 and told in result.stderr, result.output
    assert os.listdir() == ["photo.png"]
