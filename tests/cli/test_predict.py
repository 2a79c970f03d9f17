"""`deepmat predict` through its command line: folders of all kinds of pictures."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toy import Toy, ToyOptions

from deepmat import imaging
from deepmat.config import DIMConfig
from deepmat.errors import ConfigError
from deepmat.inference.folders import cut_out
from deepmat.inference.opening import open_network
from deepmat.models import MODELS, build_model
from deepmat.models.checkpoint import save_weights
from deepmat.runtime import distributed


@pytest.fixture
def weights(monkeypatch, tmp_path_factory):
    """Weights of the toy network, whose alpha is the picture's red channel."""
    monkeypatch.setitem(MODELS, "toy", Toy)
    path = tmp_path_factory.mktemp("weights") / "toy.safetensors"
    save_weights(path, build_model(ToyOptions()).state_dict(), ToyOptions().model_dump())
    return path


def with_dim(command):
    """The command with the weights of a narrow DIM, for other processes, which know no toy."""
    torch.manual_seed(0)
    torch.save({"state_dict": build_model(DIMConfig(width=1 / 16)).state_dict()}, "published.pth")
    place = command.index("-w") + 1
    return [*command[:place], "published.pth", *command[place + 1 :]]


def test_predict_does_what_it_can_and_lists_the_rest(deepmat, weights):
    rng = np.random.default_rng(0)
    Path("in put/deep").mkdir(parents=True)
    Path("trimaps").mkdir()
    trimap = np.zeros((20, 30), np.uint8)
    trimap[5:15, 5:25], trimap[8:12, 10:20] = 128, 255

    def picture(name, pixels=None, **options):
        pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) if pixels is None else pixels
        Image.fromarray(pixels).save(f"in put/{name}", **options)
        return pixels

    def guide(name, levels=trimap):
        Image.fromarray(levels).save(f"trimaps/{name}.png")

    exif = Image.Exif()
    exif[0x0112] = 6
    good = [
        "plain.jpg",
        "deep/nested.png",
        "rgba.png",
        "grey.png",
        "deep16.png",
        "palette.png",
        "tiny.png",
        "known.png",
    ]
    picture("plain.jpg")
    picture("deep/nested.png")
    picture("rgba.png", rng.integers(0, 256, (20, 30, 4), dtype=np.uint8))
    picture("grey.png", rng.integers(0, 256, (20, 30), dtype=np.uint8))
    picture("deep16.png", rng.integers(0, 65536, (20, 30), dtype=np.uint16))
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).quantize().save("in put/palette.png")
    picture("turned.png", exif=exif)
    picture("tiny.png", rng.integers(0, 256, (1, 1, 3), dtype=np.uint8))
    picture("known.png")
    picture("lonely.png")
    picture("sizes.png")
    picture("broken.png")
    Path("in put/broken.png").write_bytes(Path("in put/broken.png").read_bytes()[:200])
    Path("in put/text.jpg").write_text("no picture")
    Path("in put/empty.png").touch()
    Path("in put/notes.txt").write_text("notes")
    for name in ("plain", "nested", "rgba", "grey", "palette", "broken", "text", "empty"):
        guide(name)
    guide("deep16", np.clip(trimap, 0, 254) - np.uint8(1) * (trimap == 128))  # 127 and 254
    guide("turned", np.rot90(trimap, -1).copy())
    guide("tiny", np.full((1, 1), 128, np.uint8))
    guide("known", np.where(trimap == 128, 0, trimap).astype(np.uint8))
    guide("sizes", trimap[:10])

    result = deepmat("predict", "in put", "-t", "trimaps", "-o", "in put/out", "-w", weights)
    assert result.exit_code == 1
    for path in [*good, "turned.png"]:
        alpha = imaging.read_grey(Path("in put/out/alpha") / Path(path).with_suffix(".png"))
        assert alpha.shape == imaging.read_image(Path("in put") / path).shape[:2]
    lines = " ".join(result.stderr.split())
    assert f"{len(good) + 1} of 14 pictures cut out in in put/out 5 failed:" in lines
    for message in (
        "lonely: no trimap of that name in trimaps; add trimaps/lonely.png",
        "trimaps/sizes.png: 30x10, but its picture is 30x20, of another aspect ratio; make them the same size",
        "in put/broken.png: cannot be read",
        "in put/text.jpg: not a picture that can be read",
        "in put/empty.png: not a picture that can be read",
        "note: in put/notes.txt: skipped, not a picture",
        "trimaps/known.png: no pixel is unknown, so the trimap is the alpha",
        "trimaps/deep16.png: ",
    ):
        assert message in lines
    np.testing.assert_array_equal(
        imaging.read_grey("in put/out/alpha/known.png"), imaging.read_grey("trimaps/known.png")
    )
    again = deepmat("predict", "in put", "-t", "trimaps", "-o", "in put/out", "-w", weights)
    assert "of 14 pictures" in again.stderr  # what it wrote is no input of the next run


def test_predict_where_one_stands(deepmat, weights):
    Path("photos/trimaps").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save("photos/a.jpg")
    Image.fromarray(np.full((8, 9), 128, np.uint8)).save("photos/trimaps/a.png")
    here = deepmat("predict", "photos/a.jpg", "-t", "photos/trimaps/a.png", "-o", ".", "-w", weights)
    assert here.exit_code == 0 and imaging.read_grey("alpha/a.png").shape == (8, 9)
    below = deepmat("predict", "photos", "-t", "photos/trimaps", "-o", "photos/out", "-w", weights)
    assert below.exit_code == 0 and "1 of 1 pictures" in below.stderr  # the trimaps are no pictures
    Path("only/trimaps").mkdir(parents=True)
    shutil.copy("photos/trimaps/a.png", "only/trimaps/a.png")
    nothing = deepmat("predict", "only", "-t", "only/trimaps", "-o", "x", "-w", weights)
    assert nothing.exit_code == 1 and "no pictures in only outside" in nothing.stderr
    absent = deepmat("predict", "photos/b.jpg", "-t", "photos/trimaps", "-o", "x", "-w", weights)
    assert absent.exit_code == 1 and "photos/b.jpg: no such file" in absent.stderr
    labels = Path("labels.png")
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(labels)
    Image.fromarray(np.zeros((1, 3), np.uint8)).save("three.png")
    refused = deepmat("predict", "three.png", "-t", labels, "-o", "x", "-w", weights)
    assert refused.exit_code == 1 and "labels.png: its levels are 0 to 2, like labels" in refused.stderr


def test_predict_single_files_and_names_that_clash(deepmat, weights):
    for folder in ("b", "t/b"):
        Path(folder).mkdir(parents=True)
    for name in ("a.png", "b/a.png", "t.png", "t/a.png", "t/b/a.png"):
        Image.fromarray(np.full((8, 9), 128, np.uint8)).save(name)
    assert deepmat("predict", "a.png", "-t", "t.png", "-o", "out", "-w", weights).exit_code == 0
    assert imaging.read_grey("out/alpha/a.png").shape == (8, 9)
    clash = deepmat("predict", "a.png", "b/a.png", "-t", "t", "-o", "out2", "-w", weights)
    assert clash.exit_code == 1 and "b/a.png: its outputs would overwrite those of a.png" in clash.stderr
    assert Path("out2/alpha/a.png").is_file()
    several = deepmat("predict", "a.png", "b/a.png", "-t", "t.png", "-o", "out3", "-w", weights)
    assert several.exit_code == 1 and "2 pictures need a folder of trimaps" in several.stderr


def test_an_output_that_cannot_be_written_is_explained(deepmat, weights):
    Image.fromarray(np.full((8, 9), 128, np.uint8)).save("a.png")
    Path("out").write_text("a file where a folder should be")
    result = deepmat("predict", "a.png", "-t", "a.png", "-o", "out", "-w", weights)
    assert result.exit_code == 1 and "--out out: is a file; name a folder" in result.stderr
    Path("here").mkdir()
    Path("here/alpha").write_text("a file where a folder should be")
    result = deepmat("predict", "a.png", "-t", "a.png", "-o", "here", "-w", weights)
    assert result.exit_code == 1 and "here/alpha/a.png: cannot be written" in result.stderr
    assert Path("here/cutout/a.png").is_file() and "0 of 1 pictures" in result.stderr


@pytest.fixture
def photos(weights):
    """photos(4): so many small pictures with trimaps of the same names, and the command for them."""

    def make(count, side=40):
        rng = np.random.default_rng(0)
        for index in range(count):
            imaging.write_image(Path(f"photos/{index}.jpg"), rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
            trimap = np.zeros((side, side), np.uint8)
            trimap[8:32, 8:32], trimap[14:26, 14:26] = 128, 255
            imaging.write_image(Path(f"trimaps/{index}.png"), trimap)
        return ["predict", "photos", "-t", "trimaps", "-o", "out", "-w", weights, "--device", "cpu"]

    return make


def test_every_output_at_once(deepmat, photos):
    kinds = "alpha,alpha16,alpha32,cutout,cutout.webp,foreground,composite.jpg,preview,sheet,uncertainty"
    first, rest = kinds.split(",", 1)
    result = deepmat(*photos(2), "--save", first, "--save", rest, "--background", "#00ff00", "--json")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [json.loads(line) for line in Path("out/log.jsonl").read_text().splitlines()] == records
    for record in records:
        assert (record["height"], record["width"], record["mode"]) == (40, 40, "whole")
        assert record["precision"] == "fp32" and record["seconds"] > 0
        assert all("alpha jumps" in notice for notice in record["notices"])  # of a network that has not learned
        assert set(record["paths"]) == set(kinds.split(","))
        assert all(Path(path).is_file() for path in record["paths"].values())
        corner = imaging.read_image(record["paths"]["composite.jpg"])[0, 0].astype(int)
        assert np.abs(corner - (0, 255, 0)).max() < 8
        colour, alpha = imaging.read_rgba(record["paths"]["cutout"])
        photo = imaging.read_image(f"photos/{record['name']}.jpg")
        np.testing.assert_array_equal(colour[alpha == 255], photo[alpha == 255])


def test_colours_of_ones_own_are_the_pictures(deepmat, photos):
    command = [*photos(1), "--save", "foreground"]
    assert deepmat(*command, "--colours", "own").exit_code == 0
    own = imaging.read_image("out/foreground/0.png")
    np.testing.assert_array_equal(own, imaging.read_image("photos/0.jpg"))
    assert deepmat(*command).exit_code == 0
    assert (imaging.read_image("out/foreground/0.png") != own).any()


def test_masks_rough_alphas_and_own_alpha_channels_stand_for_trimaps(deepmat, photos, weights):
    photos(1, side=64)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:44, 20:44] = 1  # as a segmentation tool saves it
    imaging.write_image(Path("masks/0.png"), mask)
    photo = imaging.read_image("photos/0.jpg")
    imaging.write_image(Path("own/0.png"), np.dstack((photo, mask * 255)))
    uncertain = ["--save", "alpha", "-w", weights, "--device", "cpu"]
    first = deepmat("predict", "photos", "--masks", "masks", "--width", 4, "-o", "a", *uncertain)
    second = deepmat("predict", "own", "--width", 4, "-o", "b", *uncertain)
    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert "its levels 0 and 1 were taken as 0 and 255" in first.stderr
    alpha = imaging.read_grey("a/alpha/0.png")
    assert (alpha[26:38, 26:38] == 255).all() and (alpha[:14] == 0).all() and 0 < alpha[18, 30] < 255
    np.testing.assert_array_equal(alpha, imaging.read_grey("b/alpha/0.png"))
    neither = deepmat("predict", "photos", "-o", "c", *uncertain)
    assert neither.exit_code == 1
    assert "photos/0.jpg: has no alpha channel; give --trimaps or --masks" in neither.stderr


def test_a_stopped_folder_goes_on(deepmat, photos):
    command = [*photos(4), "--skip-existing"]
    assert "4 of 4 pictures" in deepmat(*command).stderr
    Path("out/cutout/2.png").unlink()
    Path("out/alpha/.3.png.999999.deepmat-part").touch()  # a killed process left it
    before = Path("out/alpha/1.png").stat().st_mtime_ns
    again = deepmat(*command)
    assert "1 of 1 pictures cut out in out (3 more existed)" in again.stderr
    assert Path("out/cutout/2.png").is_file() and Path("out/alpha/1.png").stat().st_mtime_ns == before
    assert not list(Path("out").rglob("*.deepmat-part"))
    assert "newer than" not in again.stderr
    os.utime("trimaps/1.png", ns=(2**62, 2**62))  # it was corrected
    last = deepmat(*command)
    assert "trimaps/1.png: newer than what was made of it; without --skip-existing" in last.stderr
    assert "nothing to do: all outputs exist in out (4 pictures)" in last.stderr


def test_ctrl_c_says_how_to_go_on(deepmat, photos, monkeypatch):
    def interrupted(*arguments):
        yield {"name": "0", "paths": {}}
        raise KeyboardInterrupt

    monkeypatch.setattr("deepmat.inference.batch.predict_jobs", interrupted)
    result = deepmat(*photos(2))
    assert result.exit_code == 130 and "out keeps what is done; the same command with --skip-existing" in result.stderr
    assert len(Path("out/log.jsonl").read_text().splitlines()) == 1


def test_patterns_and_limits(deepmat, photos):
    command = photos(4)
    assert "2 of 2 pictures" in deepmat(*command, "--include", "[01].*").stderr
    assert "1 of 1 pictures" in deepmat(*command, "--include", "[01].*", "--exclude", "0*").stderr
    Image.fromarray(np.zeros((1100, 1000), np.uint8)).save("photos/1.jpg")
    refused = deepmat(*command, "--max-megapixels", 1)
    assert refused.exit_code == 1 and "3 of 4 pictures" in refused.stderr
    assert "photos/1.jpg: 1000x1100 is over 1 megapixels" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-size", 64, "--mode", "tile"], "--max-size: mode tile does not use it"),
        (["--memory", 2, "--mode", "whole"], "--memory: mode whole does not use it"),
        (["--set", "model.skip=false"], "only test keys count here"),
        (["--no-skip"], "says itself how it was trained"),
        (["--mode", "hole"], "did you mean whole?"),
        (["--precision", "bf61"], "precision 'bf61': unknown, did you mean bf16?"),
        (["--save", "alpa"], "did you mean alpha?"),
        (["--save", "alpha.jpg"], "alpha can be .png"),
        (["--background", "red"], "--background: is for composite"),
        (["--save", "composite", "--background", "nothing"], "no colour, picture or folder"),
        (["--masks", "trimaps"], "--trimaps and --masks: give one of them"),
        (["--width", "3"], "--width: is for masks"),
        (["--colours", "mine"], "--colours mine: unknown"),
        (["--include", "*.tif"], "no picture matches --include and --exclude"),
        (["--device", "cuda:99"], "device 'cuda:99' is not available here"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_any_work(deepmat, photos, arguments, message):
    result = deepmat(*photos(1), *arguments)
    assert result.exit_code == 1 and message in " ".join(result.stderr.split()), result.output
    assert not Path("out").exists()


def test_flags_arrive(deepmat, catch, photos, weights):
    command = photos(1)
    kept = catch("inference.batch", "predict_jobs")

    def settings(*arguments):
        assert "caught" in deepmat(*command, *arguments).stderr
        return kept["arguments"][4]

    assert settings().mode == "auto"
    assert (settings("--max-size", 96).mode, settings("--max-size", 96).max_size) == ("whole", 96)
    assert settings("--max-size", 96, "--fit", "stretch").fit == "stretch"
    assert settings("--mode", "tile", "--set", "test.tile=512").tile == 512
    assert settings("--memory", 3.5).memory == 3.5
    assert "skip False" in deepmat(*with_dim(command), "--no-skip").stderr


def test_the_function_does_what_the_command_does(deepmat, photos, weights):
    """Same files to the byte, same records but for times."""
    Path("photos/3.jpg").parent.mkdir(exist_ok=True)
    command = photos(2)
    Path("photos/3.jpg").write_text("broken")
    done = deepmat(*command, "--save", "alpha,cutout.webp,sheet.png", "--json")
    assert done.exit_code == 1
    work = cut_out("photos", "again", weights=weights, trimaps="trimaps", save="alpha,cutout.webp,sheet.png")
    assert work.total == 3 and not Path("again").exists()  # nothing is written before it is asked for
    records = work.run()

    def timeless(record):
        kept = {key: value for key, value in record.items() if "seconds" not in key}
        return {**kept, "paths": {kind: Path(path).name for kind, path in kept.get("paths", {}).items()}}

    shown = [json.loads(line) for line in done.stdout.splitlines()]
    logged = [json.loads(line) for line in Path("again/log.jsonl").read_text().splitlines()]
    assert [*map(timeless, shown)] == [*map(timeless, records)] == [*map(timeless, logged)]
    for path in Path("out").rglob("*.*"):
        if path.name != "log.jsonl":
            assert Path("again", path.relative_to("out")).read_bytes() == path.read_bytes(), path
    assert "3: no trimap of that name" in records[2]["error"] and records[0].keys() == {
        *("name", "width", "height", "mode", "seconds", "read_seconds", "write_seconds", "notices", "paths"),
        *("weights", "precision"),
    }


def test_each_process_of_a_job_takes_its_share(deepmat, photos, weights, monkeypatch):
    photos(5)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "meet", lambda: None)
    monkeypatch.setattr(distributed, "gather", lambda given: [given])
    for rank, names, log in (("1", ["1", "3"], "log-1.jsonl"), ("0", ["0", "2", "4"], "log.jsonl")):
        monkeypatch.setenv("RANK", rank)
        work = cut_out("photos", "out", weights=weights, trimaps="trimaps", save="alpha")
        assert [record["name"] for record in work] == names and work.total == len(names)
        assert [path.name for path in Path("out").glob("*.jsonl")] == [log]
    assert [json.loads(line)["name"] for line in Path("out/log.jsonl").read_text().splitlines()] == [*"01234"]


@pytest.mark.slow
def test_several_processes_share_the_pictures(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [str(argument) for argument in with_dim(photos(5))]
    Path("photos/3.jpg").write_text("broken")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "deepmat"]
    result = subprocess.run([*launch, *command], capture_output=True, text=True, timeout=240)
    assert result.returncode == 1 and "4 of 5 pictures cut out in out" in result.stderr
    assert result.stderr.count("photos/3.jpg: not a picture") == 1
    assert sorted(path.stem for path in Path("out/alpha").iterdir()) == ["0", "1", "2", "4"]
    names = [json.loads(line)["name"] for line in Path("out/log.jsonl").read_text().splitlines()]
    assert names == ["0", "1", "2", "3", "4"] and not list(Path("out").glob("log-*"))


def test_files_take_their_places_when_they_are_whole(deepmat, photos, monkeypatch):
    def refuse(*paths):
        raise OSError("disk full")

    command = [*photos(1), "--save", "alpha,alpha32,cutout,cutout.webp,composite.jpg,sheet"]
    monkeypatch.setattr("deepmat.runtime.files.os.replace", refuse)
    result = deepmat(*command)
    assert result.exit_code == 1 and result.stderr.count("cannot be written (disk full)") == 6
    assert [path.name for path in Path("out").rglob("*.*")] == ["log.jsonl"]


@pytest.mark.slow
def test_a_kill_leaves_whole_files_only(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [
        sys.executable,
        "-m",
        "deepmat",
        *map(str, with_dim(photos(60, side=160))),
        "--save",
        "alpha,cutout,sheet.png",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(list(Path("out").glob("sheet/*"))) < 3:
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    written = [path for path in Path("out").rglob("*.png") if not path.name.startswith(".")]
    assert 3 <= len(written) < 180
    for path in written:
        Image.open(path).load()


def test_auto_is_a_precision_that_the_network_has(deepmat, photos, weights, monkeypatch):
    monkeypatch.setattr("deepmat.runtime.devices._computes_in_bf16", lambda device: True)
    command = with_dim(photos(1))
    assert open_network("published.pth", device="cpu").precision == "bf16"
    assert open_network(weights, device="cpu").precision == "fp32"
    refused = deepmat(*command, "-w", weights, "--precision", "bf16")
    assert refused.exit_code == 1 and "toy (gain 1.0) has no such form; use fp32" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_megapixels": 0}, "--max-megapixels 0: give a whole number, 1 or more"),
        ({"max_megapixels": "a"}, "--max-megapixels a: give a whole number, 1 or more"),
        ({"memory": -1}, "test.memory"),
        ({"max_size": 33}, "test.max_size"),
    ],
)
def test_the_function_checks_numbers_itself(deepmat, photos, weights, arguments, message):
    photos(1)
    with pytest.raises(ConfigError, match=message):
        cut_out("photos", "out", weights=weights, trimaps="trimaps", **arguments)


def test_a_background_that_is_read_is_not_overwritten(deepmat, photos):
    command = [*photos(1), "--save", "composite", "--background"]
    imaging.write_image(Path("out/composite/0.png"), np.zeros((9, 9, 3), np.uint8))
    folder = deepmat(*command, "out/composite")
    assert folder.exit_code == 1 and "--out out/composite: lies in out/composite, which is read" in folder.stderr
    file = deepmat(*command, "out/composite/0.png")
    assert file.exit_code == 1 and "would overwrite the input out/composite/0.png" in file.stderr
    assert imaging.read_image("out/composite/0.png").shape == (9, 9, 3)


def test_odd_metadata_and_names_fail_nothing(deepmat, photos):
    command = photos(1)
    # Orientation as text, where a number belongs.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\x006\0\0\0\0\0\0\0"
    picture = Image.open("photos/0.jpg")
    picture.save("photos/text.jpg", exif=exif)
    long = "n" * 251  # as long as names may be
    names = ["text", os.fsdecode(b"caf\xe9"), long]
    for name in names:
        shutil.copy("trimaps/0.png", f"trimaps/{name}.png")
        if name != "text":
            picture.save(f"photos/{name}.jpg")
    imaging.write_image(Path("bg/a.png"), np.zeros((9, 9, 3), np.uint8))
    result = deepmat(*command, "--save", "alpha,composite.webp", "--background", "bg")
    assert "3 of 4 pictures cut out" in result.stderr and "File name too long" in result.stderr
    assert (Path("out/composite") / f"{names[1]}.webp").is_file() and (Path("out/alpha") / f"{long}.png").is_file()
