"""The function behind a command does what the command does: the same files, the same records."""

import json
import shutil
from pathlib import Path

from deepmat.checks.doctor import doctor
from deepmat.data.composite import composite, preview_composites
from deepmat.data.show import show_samples
from deepmat.synth import KINDS, PLACES, sheet
from deepmat.synth.dataset import synthesise

SMALL = ("data.augment.resize.size=[64,64]", "data.augment.crop.sizes=[64]")


def files(folder, without=()):
    """The bytes of every file in a folder."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name not in without]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_synth(deepmat):
    numbers = {"train": 1, "test": 1, "backgrounds": 2, "size": 64, "seed": 3}
    flags = [part for name, value in numbers.items() for part in (f"--{name}", value)]
    assert deepmat("synth", "a", *flags).exit_code == 0
    work = synthesise("b", **numbers)
    assert not Path("b").exists()  # nothing is written before it is asked for
    assert len(work.run()) == work.total == len(files("b")) and files("a") == files("b")


def test_synth_sheet(deepmat, monkeypatch):
    monkeypatch.setattr(sheet, "SCENES", 1)
    monkeypatch.setattr(sheet, "KINDS", dict(list(KINDS.items())[:1]))
    monkeypatch.setattr(sheet, "PLACES", dict(list(PLACES.items())[:1]))
    assert deepmat("synth", "--sheet", "a.png", "--seed", 4).exit_code == 0
    sheet.draw_synth_sheet("b.png", seed=4)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_composite(deepmat, source):
    command = ["composite", source, "-o", "a", "--per-foreground", 1, "--layout", "full", "--format", "jpg"]
    assert deepmat(*command).exit_code == 0
    work = composite(source, "b", per_foreground=1, layout="full", format="jpg")
    assert not Path("b").exists()
    records = work.run()
    assert len(records) == work.total == 6 and {record["split"] for record in records} == {"train", "test"}
    # Sources are relative to the manifest; the folders lie side by side.
    assert files("a") == files("b")
    assert all(record["skipped"] for record in composite(source, "b", per_foreground=1, layout="full", format="jpg"))
    assert deepmat("composite", source, "--preview", "a.png", "--per-foreground", 1).exit_code == 0
    shown = preview_composites(source, "b.png", per_foreground=1)
    assert shown["shown"] == shown["planned"] == 6 and not shown["failures"]
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_data_show(deepmat, source):
    options = [part for setting in SMALL for part in ("--set", setting)]
    shown = deepmat("data", "show", source, "-o", "a.png", "--count", 2, "--augment", "modern", *options)
    found = show_samples(source, "b.png", count=2, augment="modern", settings=SMALL)
    assert f"{found['shown']} samples of {found['samples']} an epoch in a.png" in shown.stderr
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_doctor(deepmat, source):
    shutil.copytree(source / "Training_set" / "Other", "mine")
    sorted(Path("mine/alpha").iterdir())[0].unlink()
    shown = deepmat("doctor", "mine", "--fix", "a", "--json")
    *findings, summary = map(json.loads, shown.stdout.splitlines())
    work = doctor("mine", fix="b")
    assert work.total and not Path("b").exists()
    report = work.run()
    assert report["findings"] == findings and report["summary"] == summary
    assert files("a") == files("b") and report["left_out"]
    assert shown.exit_code == 0  # all errors are mended
    assert deepmat("doctor", "mine", "--write-checksums", "a.sum").exit_code == 1
    doctor("mine", write_checksums="b.sum").run()
    assert Path("a.sum").read_bytes() == Path("b.sum").read_bytes()
