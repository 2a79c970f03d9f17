"""Commands on addresses: memory:// stands for every storage."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from deepmat import imaging
from deepmat.errors import ConfigError
from deepmat.inference.opening import open_network
from deepmat.models import find_weights, label_of
from deepmat.runtime import fetching, retrying
from deepmat.runtime.files import write_bytes
from deepmat.runtime.sharing import Engine, refuse_storage
from deepmat.runtime.storage import addressed, names

SIZE = (24, 20)


@pytest.fixture(autouse=True)
def memory(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr(retrying, "_gone", {})
    monkeypatch.setattr(retrying.time, "sleep", lambda seconds: None)
    monkeypatch.setenv(fetching.CACHE, str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def photos():
    """Three pictures with trimaps, masks and alphas in memory://in; the same on the disk in ./in."""
    rng = np.random.default_rng(0)
    trimap, mask = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    trimap[6:18, 5:15], trimap[9:14, 8:12], mask[6:18, 5:15] = 128, 255, 255
    for number, name in enumerate(("a", "b", "sub/c")):
        image = rng.integers(0, 60, (*SIZE, 3), dtype=np.uint8) + np.roll(mask, number, 0)[..., None] // 2
        for home in (addressed("memory://in"), Path("in")):
            imaging.write_image(home / f"image/{name}.png", image)
            for kind, pixels in (("trimap", trimap), ("mask", np.roll(mask, number, 0)), ("alpha", mask // 2 + 60)):
                imaging.write_image(home / f"{kind}/{name}.png", pixels)


def files(folder):
    """What is in a folder or below an address, without logs, which hold times."""
    if isinstance(folder, Path) and "://" not in str(folder):
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name != "log.jsonl"
        }
    return {name: (folder / name).read_bytes() for name in names(folder) if not name.endswith("log.jsonl")}


def calls(monkeypatch, name):
    made, method = [], getattr(MemoryFileSystem, name)
    monkeypatch.setattr(
        MemoryFileSystem, name, lambda self, *given, **options: made.append(given[0]) or method(self, *given, **options)
    )
    return made


def test_predict_makes_the_same_files_as_on_the_disk(deepmat, photos, monkeypatch):
    command = ["predict", "memory://in/image", "-t", "memory://in/trimap", "-w", "closed-form", "-o", "memory://out"]
    put = calls(monkeypatch, "pipe_file")
    result = deepmat(*command)
    assert result.exit_code == 0 and "3 of 3 pictures cut out in memory://out" in result.stderr
    deepmat("predict", "in/image", "-t", "in/trimap", "-w", "closed-form", "-o", "out")
    out = addressed("memory://out")
    assert files(out) == files(Path("out")) and len(files(out)) == 6 == len(put)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["a", "b", "sub/c"]
    assert lines[2]["paths"]["alpha"] == "memory://out/alpha/sub/c.png"
    assert not Path("memory:").exists()
    (out / "cutout/b.png").unlink()
    result = deepmat(*command, "--skip-existing")
    assert "1 of 1 pictures cut out in memory://out (2 more existed)" in result.stderr
    assert len((out / "log.jsonl").read_text().splitlines()) == 4 and files(out) == files(Path("out"))


def test_a_picture_that_is_lost_fails_alone(deepmat, photos, monkeypatch):
    read = MemoryFileSystem.cat_file

    def lost(self, path, **options):
        if path.endswith("image/b.png"):
            raise FileNotFoundError(path)
        return read(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", lost)
    result = deepmat("predict", "memory://in/image", "-t", "memory://in/trimap", "-w", "closed-form", "-o", "out")
    assert result.exit_code == 1 and "memory://in/image/b.png: no such file; check the address" in result.stderr
    assert "2 of 3 pictures cut out in out" in result.stderr and len(files(Path("out"))) == 4


def test_cut_takes_addresses_for_pictures_masks_background_and_output(deepmat, photos):
    command = ["cut", "memory://in/image", "--masks", "memory://in/mask", "-w", "closed-form"]
    more = ["--save", "cutout,composite", "--background", "memory://in/alpha/a.png"]
    result = deepmat(*command, *more, "-o", "memory://out")
    assert result.exit_code == 0, result.output
    names_of = {f"{name}.png" for name in ("a", "b", "sub/c")}
    assert {*files(addressed("memory://out/cutout"))} == names_of == {*files(addressed("memory://out/composite"))}
    one = ["cut", "memory://in/image/b.png", "--masks", "memory://in/mask/b.png", "-w", "closed-form"]
    result = deepmat(*one)
    assert result.exit_code == 0 and addressed("memory://in/image/b_cutout.png").is_file()
    assert "nothing to do: all outputs exist beside them (1 pictures)" in deepmat(*one, "--skip-existing").stderr
    result = deepmat(*one, "-o", "memory://x/b.jpg", "--save", "preview")
    assert result.exit_code == 0 and addressed("memory://x/b.jpg").read_bytes()[:2] == b"\xff\xd8"
    result = deepmat(*command, "-o", "out", "--watch")
    assert result.exit_code == 1 and "--watch: memory://in/image lies in a storage; watch a local" in result.stderr


def test_an_output_does_not_replace_an_input(deepmat, photos):
    result = deepmat("trimap", "memory://in/mask", "-o", "memory://in/mask")
    assert result.exit_code == 1 and ".png: would overwrite the input memory://in/mask/" in result.stderr


def test_trimap_makes_the_same_files_and_skips_those_that_exist(deepmat, photos):
    result = deepmat("trimap", "memory://in/mask", "-o", "memory://tri", "--preview", "memory://see/p.png")
    assert result.exit_code == 0 and "3 of 3 trimaps in memory://tri; see memory://see/p.png" in result.stderr
    deepmat("trimap", "in/mask", "-o", "tri", "--preview", "p.png")
    assert files(addressed("memory://tri")) == files(Path("tri"))
    assert addressed("memory://see/p.png").read_bytes() == Path("p.png").read_bytes()
    (addressed("memory://tri") / "b.png").unlink()
    assert (
        "3 of 3 trimaps in memory://tri (2 from before)"
        in deepmat("trimap", "memory://in/mask", "-o", "memory://tri", "--skip-existing").stderr
    )


def test_eval_scores_the_same_and_writes_there(deepmat, photos):
    command = ["eval", "-w", "closed-form", "--save-alphas"]

    def to(home):
        return ["-o", f"{home}/s", "--sheet", f"{home}/s.png", "--report", f"{home}/s.html"]

    result = deepmat(*command, "--data", "memory://in", *to("memory://out"))
    assert result.exit_code == 0, result.output
    local = deepmat(*command, "--data", "in", *to("out"))
    assert local.exit_code == 0, local.output
    out = addressed("memory://out")
    assert {*files(out)} == {*files(Path("out"))} and "s/prediction/sub/c.png" in files(out)
    assert (out / "s.png").read_bytes() == Path("out/s.png").read_bytes()
    assert files(out / "s/prediction") == files(Path("out/s/prediction"))
    again = deepmat(*command, "--data", "memory://in", "-o", "memory://out/s", "--skip-existing")
    assert again.exit_code == 0, again.output
    mattes = deepmat("eval", "-p", "mine=memory://out/s/prediction", "--data", "memory://in", "--json")
    assert json.loads(mattes.stdout)["means"][0]["run"] == "mine"


def test_weights_are_copied_once_and_again_when_they_change(weights, monkeypatch):
    address = addressed("memory://models/run/best.safetensors")
    MemoryFileSystem().pipe_file(str(address), weights.read_bytes())
    got = calls(monkeypatch, "get_file")
    first = find_weights("memory://models/run/best.safetensors")
    assert first.read_bytes() == weights.read_bytes() and first.parent.name == "run"
    assert open_network(str(address)).label == str(address) == label_of(first)
    assert find_weights(str(address)) == first and len(got) == 1
    MemoryFileSystem().pipe_file(str(address), b"other")
    assert find_weights(str(address)).read_bytes() == b"other" and len(got) == 2


def test_composite_reads_and_writes_addresses_and_goes_on(deepmat, monkeypatch, source):
    def copy(home, to):
        for path in home.rglob("*"):
            if path.is_file():
                write_bytes(to / path.relative_to(home), path.read_bytes())

    copy(source, addressed("memory://b/src"))
    command = ["composite", "memory://b/src", "--per-foreground", 2]
    result = deepmat(*command, "-o", "memory://b/set")
    assert result.exit_code == 0, result.output
    assert deepmat("composite", source, "--per-foreground", 2, "-o", "set").exit_code == 0
    made, local = files(addressed("memory://b/set")), files(Path("set"))
    assert {*made} == {*local} and len(made) == 22
    pictures = {name for name in made if not name.endswith(".jsonl")}
    assert {name: made[name] for name in pictures} == {name: local[name] for name in pictures}
    line = json.loads(made["train/manifest.jsonl"].splitlines()[0])
    assert line["fg"].startswith("../../src/Training_set") and line["sources"]["fg"][1].startswith("created=")
    # It goes on where a file is gone, and where a source has changed.
    lost = next(name for name in sorted(pictures) if name.startswith("train/image"))
    (addressed("memory://b/set") / lost).unlink()
    put = calls(monkeypatch, "pipe_file")
    result = deepmat(*command, "-o", "memory://b/set")
    assert "12 composites in memory://b/set (11 from before)" in result.stderr
    assert len([path for path in put if path.endswith(".png")]) == 1 and {*files(addressed("memory://b/set"))} == {
        *made
    }
    result = deepmat("composite", source, "--per-foreground", 2, "-o", "memory://b/own")  # files in, addresses out
    assert result.exit_code == 0 and {*files(addressed("memory://b/own"))} == {*made}
    result = deepmat("composite", source, "--per-foreground", 2, "-o", "memory://b/own")
    assert "12 composites in memory://b/own (12 from before)" in result.stderr
    result = deepmat("composite", "memory://b/src", "--per-foreground", 2, "-o", "out")  # addresses in, files out
    assert result.exit_code == 0 and {name: Path("out", name).read_bytes() for name in pictures} == {
        name: made[name] for name in pictures
    }
    assert "(12 from before)" in deepmat("composite", "memory://b/src", "--per-foreground", 2, "-o", "out").stderr


def test_training_data_lies_in_a_storage(deepmat, data, source):
    for home, name in ((data, "full"), (source, "adobe")):
        for path in home.rglob("*"):
            if path.is_file():
                write_bytes(addressed(f"memory://{name}") / path.relative_to(home), path.read_bytes())
    for name, home in (("full", data), ("adobe", source)):
        here = deepmat("data", "show", f"memory://{name}", "-o", "a.png")
        assert here.exit_code == 0, here.output
        assert deepmat("data", "show", home, "-o", "b.png").exit_code == 0
        assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    result = deepmat("data", "show", "memory://full", "--set", "data.cache=memory://cache", "-o", "c.png")
    assert result.exit_code == 1 and "data.cache memory://cache: lies in a storage" in result.stderr


def test_doctor_finds_the_same_as_on_the_disk(deepmat, data, source):
    for home, name in ((data, "data"), (source, "source")):
        there = addressed(f"memory://{name}")
        shutil.copytree(home, name)
        image = next(path for path in sorted(Path(name).rglob("*.png")) if path.parent.name in ("fg", "bg_train"))
        image.write_bytes(image.read_bytes()[:99])
        Path(name, "note.txt").touch()
        min(Path(name).rglob("alpha/*.png")).unlink()
        for path in Path(name).rglob("*"):
            if path.is_file():
                write_bytes(there / path.relative_to(name), path.read_bytes())
        here, result = deepmat("doctor", name, "--json"), deepmat("doctor", there, "--json")
        assert result.exit_code == 1 == here.exit_code
        found, expected = (
            sorted(
                repr({**each, "path": Path(each.get("path", "")).name}) for each in map(json.loads, output.splitlines())
            )
            for output in (result.stdout.replace("memory://", ""), here.stdout)
        )
        assert found == expected and "unreadable" in result.stdout
        assert f"{there}: " in deepmat("doctor", there).stdout
    result = deepmat("doctor", "memory://none")
    assert result.exit_code == 1 and "memory://none: no such file or folder; check the address" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        "doctor memory://in --fix out",
        "doctor in --fix memory://out",
        "doctor in --write-checksums memory://out",
        "train --stage 1 --data in --runs memory://out",
        "info memory://in",
        "runs memory://in",
    ],
)
def test_what_takes_no_addresses_says_so(deepmat, photos, command):
    result = deepmat(*command.split())
    assert result.exit_code == 1 and sum("memory://" in line for line in result.stderr.splitlines()) == 1, result.output
    assert not Path("memory:").exists() and not [*names(addressed("memory://out"))]


@pytest.mark.parametrize(
    "command",
    [
        "predict in/image -t in/trimap -o memory://out",
        "cut in/image --masks in/mask -o memory://out",
        "cut memory://in/image --masks in/mask",
        "trimap in/mask -o tri --preview memory://out/p.png",
        "composite in/image --alpha in/alpha --bg in/image -o memory://out",
        "synth memory://out",
        "eval -p in/alpha --images in/image --trimaps in/trimap --alphas in/alpha -o memory://out",
    ],
)
def test_several_processes_write_to_local_folders_only(deepmat, photos, monkeypatch, command):
    monkeypatch.setenv("WORLD_SIZE", "2")
    before = set(MemoryFileSystem.store)
    result = deepmat(*command.split())
    assert result.exit_code == 1 and "several processes or --engine ray write to local folders only" in result.stderr
    assert set(MemoryFileSystem.store) == before


def test_ray_writes_to_local_folders_only():
    written = [None, Path("out"), addressed("memory://out")]
    refuse_storage(Engine(), written)
    refuse_storage(Engine("ray"), written[:2])
    with pytest.raises(ConfigError, match="^memory://out: several processes or --engine ray"):
        refuse_storage(Engine("ray"), written)


def test_synth_goes_on_after_a_stop(deepmat, monkeypatch):
    command = "synth memory://set --train 2 --test 1 --backgrounds 9 --size 64".split()
    assert deepmat(*command).exit_code == 0
    whole = files(addressed("memory://set"))
    assert "memory://set: is not empty" in deepmat(*command).stderr
    addressed("memory://set/bg_train/bg_0003.png").unlink()
    put, asked = calls(monkeypatch, "pipe_file"), calls(monkeypatch, "info")
    assert deepmat(*command, "--skip-existing").exit_code == 0
    assert files(addressed("memory://set")) == whole
    assert len(put) == 1 + 4 and len(asked) < 16


def test_trimaps_may_lie_beside_their_pictures_in_a_storage(deepmat, photos):
    for name in ("a", "b"):
        for kind, suffix in (("image", ""), ("mask", "_mask")):
            data = addressed(f"memory://in/{kind}/{name}.png").read_bytes()
            write_bytes(addressed(f"memory://one/{name}{suffix}.png"), data)
    result = deepmat("predict", "memory://one", "--masks", "memory://one", "-o", "out", "-w", "closed-form")
    assert result.exit_code == 0 and "2 of 2 pictures" in result.stderr, result.output
