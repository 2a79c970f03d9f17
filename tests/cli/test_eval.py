"""eval beyond one set of weights: mattes of any tool, protocols, regions, sweeps, the page."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from deepmat import imaging
from deepmat.inference import opening
from deepmat.inference.evaluation import evaluate
from deepmat.inference.sweeping import sweep
from deepmat.runtime.records import to_json
from deepmat.scoring.protocols import PROTOCOLS
from deepmat.scoring.sweeps import AXES


@pytest.fixture
def mattes(data, tmp_path):
    """Folders of mattes of the test set: near the truth, and further from it."""
    for path in (data / "test" / "alpha").iterdir():
        alpha = imaging.read_grey(path).astype(np.int16)
        trimap = imaging.read_grey(data / "test" / "trimap" / path.name)
        for name, off in (("near", 10), ("far", 60)):
            matte = np.where(trimap == 128, np.clip(alpha + off, 0, 255), trimap).astype(np.uint8)
            imaging.write_image(tmp_path / name / path.name, matte)
    return tmp_path


def test_mattes_of_any_tool_are_scored_without_weights(deepmat, data, mattes):
    result = deepmat("eval", "-p", "near", "--data", data, "-o", "scores", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert [each["run"] for each in summary["means"]] == ["near"] and summary["comparisons"] == []
    assert summary["settings"]["protocol"] == "matlab" and summary["settings"]["compositor"] == "adobe"
    assert not summary["comparable"] and "2 pictures, where Composition-1k has 1000" in summary["remarks"]
    rows = list(csv.DictReader(Path("scores/scores.csv").read_text().splitlines()))
    assert [float(row["sad"]) for row in rows] == [record["sad"] for record in summary["pictures"]]
    table = deepmat("eval", "-p", "near", "--data", data).stdout
    assert f"{summary['means'][0]['mean']['sad']['mean']:.3f}" in table
    assert f"checksum {summary['settings']['checksum']}" in table and "not comparable to published" in table


def test_where_nothing_is_unknown_there_is_no_score(deepmat, data, mattes):
    """Not a perfect one that makes the mean better."""
    for kind in ("image", "trimap", "alpha"):
        shutil.copytree(data / "test" / kind, Path("t", kind))
    known, other = sorted(Path("t/trimap").iterdir())
    alone = json.loads(deepmat("eval", "-p", "near", "--data", data, "--json").stdout)["pictures"][1]
    imaging.write_image(known, np.where(imaging.read_grey(known) == 0, 0, 255).astype(np.uint8))
    options = ["-o", "o", "--report", "r.html", "--sheet", "s.png"]
    result = deepmat("eval", "-p", "near", "-p", "far", "--data", "t", "--json", *options)
    said = f"{known.stem}: no pixel of its trimap is unknown, so there is no score; mark its edge as 128, or"
    assert result.exit_code == 1 and said in result.stderr
    summary = json.loads(result.stdout)
    assert [each["pictures"] for each in summary["means"]] == [1, 1]
    assert summary["means"][0]["mean"]["sad"]["mean"] == alone["sad"] and "1 picture not scored" in summary["remarks"]
    rows = list(csv.DictReader(Path("o/scores.csv").read_text().splitlines()))
    assert [(bool(row["sad"]), bool(row["error"])) for row in rows] == [(False, True)] * 2 + [(True, False)] * 2
    assert said in Path("r.html").read_text() and Path("s.png").is_file()
    table = deepmat("eval", "-p", "near", "--data", "t")
    assert "mean of 1" in table.stdout and known.stem not in table.stdout.replace(other.stem, "")
    whole = deepmat("eval", "-p", "near", "--data", "t", "--protocol", "whole", "--json")
    assert whole.exit_code == 0 and json.loads(whole.stdout)["means"][0]["pictures"] == 2
    both = deepmat("eval", "-p", "near", "--data", "t", "--protocol", "whole", "--protocol", "matlab", "--json")
    assert [each["pictures"] for each in json.loads(both.stdout)["means"]] == [1, 1]
    assert "means are over 1 of 2 pictures, those that all protocols have scores of" in both.stderr


def test_runs_are_compared(deepmat, data, mattes, weights):
    result = deepmat("eval", "-p", "near", "-p", "second=far", "-w", weights, "--data", data, "--json")
    summary = json.loads(result.stdout)
    assert [each["run"] for each in summary["means"]] == ["w", "near", "second"]
    pairs = {(each["run"], each["against"]) for each in summary["comparisons"]}
    assert pairs == {("near", "w"), ("second", "w")}
    table = deepmat("eval", "-p", "far", "-p", "near", "--data", data).stdout
    assert "near - far" in table and "p is 0.5 at least" in table
    clash = deepmat("eval", "-p", "near", "-p", "near", "--data", data)
    assert clash.exit_code == 1 and "two runs are called near; name mattes by --predictions NAME=DIR" in clash.stderr


def test_several_networks_are_compared(deepmat, data, weights):
    shutil.copy(weights, "second.safetensors")
    summary = json.loads(deepmat("eval", "-w", weights, "-w", "second.safetensors", "--data", data, "--json").stdout)
    assert [each["run"] for each in summary["means"]] == ["w", "second"]
    assert {each["difference"] for each in summary["comparisons"]} == {0} and summary["comparisons"][0]["p"] == 1
    assert len({each["sha256"] for each in summary["runs"]}) == 1


def test_the_precision_is_that_of_all_networks(data, weights, monkeypatch):
    monkeypatch.setattr(opening, "pick_precision", lambda asked, device: "bf16" if asked == "auto" else asked)
    monkeypatch.setattr(opening, "for_prediction", lambda model, precision: model)
    for given, precision in (([weights], "bf16"), ([weights, "closed-form"], "bf16, fp32")):
        assert evaluate(given, data=data, precision="auto").results.settings["precision"] == precision


def test_odd_mattes_are_told(deepmat, data, mattes):
    for path in Path("near").iterdir():
        imaging.write_image(path, 255 - imaging.read_grey(path))
    inverted = deepmat("eval", "-p", "near", "--data", data)
    assert inverted.exit_code == 0 and "where the trimap is known; check that it is not inverted" in inverted.stderr
    assert "check that it is not inverted" not in deepmat("eval", "-p", "far", "--data", data).stderr
    for path in list(Path("near").iterdir()):
        floats = imaging.read_grey(path) / np.float32(255)
        floats[0, 0] = np.nan
        path.unlink()
        cv2.imwrite(str(path.with_suffix(".tif")), floats)  # deepmat itself writes no such file
    broken = deepmat("eval", "-p", "near", "--data", data, "--protocol", "reference")
    assert broken.exit_code == 1 and "1 of its pixels are not finite numbers; make it again" in broken.stderr


def test_numbers_are_whole_however_long_names_are(deepmat, data, tmp_path, monkeypatch):
    name = "a" * 90
    for kind in ("image", "trimap", "alpha"):
        shutil.copytree(data / "test" / kind, tmp_path / "t" / kind)
        first, *others = sorted((tmp_path / "t" / kind).iterdir())
        first.rename(first.with_stem(f"{name}[red]"))
        [path.unlink() for path in others]
    piped = deepmat("eval", "-p", "x=t/alpha", "--data", "t").stdout
    monkeypatch.setenv("COLUMNS", "62")
    narrow = deepmat("eval", "-p", "x=t/alpha", "--data", "t").stdout
    assert f"{name}[red]" in piped and "…" not in piped + narrow and "0.00000" in narrow


def test_what_is_wrong_with_mattes_is_told_and_the_rest_goes_on(deepmat, data, mattes):
    names = sorted(path.name for path in Path("near").iterdir())
    Path("near", names[0]).unlink()
    result = deepmat("eval", "-p", "near", "-p", "far", "--data", data, "--json")
    assert result.exit_code == 1 and f"no prediction of that name in {Path('near')}" in result.stderr
    means = json.loads(result.stdout)["means"]
    assert [each["pictures"] for each in means] == [1, 1]  # those that both have
    assert "means are over 1 of 2 pictures, those that all runs have scores of" in result.stderr
    near = deepmat("eval", "-p", "near", "--data", data, "--json")
    assert json.loads(near.stdout)["settings"]["checksum"] == json.loads(result.stdout)["settings"]["checksum"]
    imaging.write_image(Path("near", names[0]), np.zeros((3, 4), np.uint8))
    result = deepmat("eval", "-p", "near", "--data", data)
    assert result.exit_code == 1 and f"{names[0]}: 4x3, but" in result.stderr.replace("near/", "")
    missing = deepmat("eval", "-p", "nowhere", "--data", data)
    assert missing.exit_code == 1 and "nowhere: no such folder; check --predictions" in missing.stderr


def test_all_protocols_in_a_table(deepmat, data, weights):
    result = deepmat("eval", "-w", weights, "--data", data, "--protocol", "all", "--json")
    means = {each["protocol"]: each["mean"]["sad"]["mean"] for each in json.loads(result.stdout)["means"]}
    assert list(means) == list(PROTOCOLS)
    assert means["reference"] != means["matlab"] == means["matlab-double"] != means["matlab-cut"]
    table = deepmat("eval", "-w", weights, "--data", data, "--protocol", "matlab", "--protocol", "whole").stdout
    assert "matlab" in table and "whole" in table and "=" in table
    wrong = deepmat("eval", "-w", weights, "--data", data, "--protocol", "mathlab")
    assert wrong.exit_code == 1 and "did you mean matlab?" in wrong.stderr
    refused = deepmat("eval", "-w", weights, "--data", data, "--protocol", "reference", "--fit", "keep")
    assert refused.exit_code == 1 and "--fit: protocol reference sets it; leave it out" in refused.stderr


def test_regions_have_a_table_of_their_own(deepmat, data, mattes):
    table = deepmat("eval", "-p", "near", "--data", data, "--regions").stdout
    assert "unknown" in table and "whole" in table and "fine" in table
    summary = json.loads(deepmat("eval", "-p", "near", "--data", data, "--regions", "--json").stdout)
    assert {"sad", "sad_fine", "sad_whole", "conn_fine"} <= set(summary["metrics"])
    assert summary["means"][0]["mean"]["mse_unknown"] == summary["means"][0]["mean"]["mse"]
    both = deepmat("eval", "-p", "near", "-p", "far", "--data", data, "--regions", "--protocol", "whole").stdout
    assert [line.split("│")[1].strip() for line in both.splitlines() if "fine" in line] == ["near", "far"]


def test_the_page_is_written_with_its_pictures(deepmat, data, mattes):
    result = deepmat("eval", "-p", "near", "-p", "far", "--data", data, "--report", "r/out.html", "--protocol", "all")
    assert result.exit_code == 0 and "see r/out.html" in result.stderr
    page = Path("r/out.html").read_text()
    assert page.count('"protocol": "matlab"') == 1 + 4 + 5 and '"protocol": "port"' not in page
    assert '"mattes": "near"' in page
    assert "near" in page and len(list(Path("r/out_files").rglob("error.jpg"))) == 4
    refused = deepmat("eval", "-p", "near", "--data", data, "--report", "out.pdf")
    assert refused.exit_code == 1 and "--report out.pdf: not the name of a page; write out.pdf.html" in refused.stderr


def test_sweeps_are_tables_and_drawn(deepmat, data, weights):
    pytest.importorskip("matplotlib")
    few = ["--set", "test.sweep.trimap=[2,8]", "--set", "test.sweep.jpeg=[50]", "--set", "test.sweep.noise=[9]"]
    every = ["--trimap-sweep", "--jpeg-sweep", "--noise-sweep"]
    result = deepmat("eval", "-w", weights, "--data", data, *every, *few, "-o", "out")
    assert result.exit_code == 0, result.output
    assert all(word in result.stdout for word in ("unchanged", "trimap", "jpeg", "noise"))
    assert len(Path("out/sweep.csv").read_text().splitlines()) == 1 + 2 * 5
    assert imaging.read_image("out/sweep.png").shape[1] > 1000
    summary = json.loads(deepmat("eval", "-w", weights, "--data", data, "--trimap-sweep", *few, "--json").stdout)
    assert [point["level"] for point in summary["curves"]] == [None, 2, 8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "near", "--trimap-sweep"], "--predictions: a sweep does not use it"),
        (["-w", "w", "--noise-sweep", "--report", "r.html"], "--report: a sweep does not use it"),
        (["-p", "near", "--save-alphas", "-o", "out"], "--save-alphas: give --weights once"),
        (["-p", "near", "--alphas", "nosuch"], "nosuch: no such folder; check test.alpha (eval: --alphas)"),
        (["-p", "x="], "--predictions x=: write NAME=DIR"),
        (["-p", "near", "--mode", "tile"], "--mode: saved mattes are scored unchanged"),
        (["-w", "w", "--jpeg-sweep", "--set", "test.sweep.jpeg=[101]"], "test.sweep.jpeg.0"),
    ],
)
def test_options_that_do_not_go_together(deepmat, data, mattes, options, message):
    result = deepmat("eval", "--data", data, *options)
    assert result.exit_code == 1 and message in result.stderr


def test_a_set_as_published_says_so(deepmat, source, monkeypatch):
    """With the numbers of Composition-1k brought down to those of a small set; its trimaps come from Adobe's layout."""
    monkeypatch.setattr("deepmat.scoring.identity.PICTURES", 4)
    monkeypatch.setattr("deepmat.scoring.identity.FOREGROUNDS", 2)
    made = deepmat("composite", source, "-o", "data", "--split", "test", "--per-foreground", 2)
    assert made.exit_code == 0, made.output
    shutil.copytree("data/test/alpha", "mattes")
    result = deepmat("eval", "-p", "mattes", "--data", "data")
    assert "\ncomparable to published Composition-1k: by the manifest's claims" in result.stdout
    other = deepmat("eval", "-p", "mattes", "--data", "data", "--protocol", "mmagic").stdout
    assert "not comparable to published Composition-1k: protocol mmagic, not matlab" in other
    image = sorted(Path("data/test/image").iterdir())[0]
    imaging.write_image(image, imaging.read_image(image) ^ 1)
    changed = deepmat("eval", "-p", "mattes", "--data", "data").stdout
    assert f"not comparable to published Composition-1k: 1 image changed since composited, {image.stem}" in changed


def test_a_stopped_eval_goes_on_with_the_same_scores(deepmat, data, weights, monkeypatch):
    from deepmat.inference import predict as inference

    command = ["eval", "-w", weights, "--data", data, "-o", "out", "--save-alphas", "--json"]
    whole = json.loads(deepmat(*command[:-4], "-o", "whole", "--json").stdout)
    predict, asked = inference.predict_seen, []

    def stops(*arguments, **options):
        if len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(1)
        return predict(*arguments, **options)

    monkeypatch.setattr(inference, "predict_seen", stops)
    stopped = deepmat(*command)
    assert stopped.exit_code == 130
    assert "the alphas so far are kept, the same command with --skip-existing continues" in stopped.stderr
    assert not json.loads(stopped.stdout)["comparable"]
    assert len(list(Path("out/prediction").iterdir())) == 1 and not Path("out/scores.json").exists()
    asked.clear()
    again = deepmat(*command, "--skip-existing")
    assert again.exit_code == 0 and len(asked) == 1
    without = [{key: value for key, value in each.items() if key != "seconds"} for each in whole["pictures"]]
    found = json.loads(again.stdout)
    assert [{key: value for key, value in each.items() if key != "seconds"} for each in found["pictures"]] == without
    assert found["means"] == whole["means"] and found["settings"]["checksum"] == whole["settings"]["checksum"]
    for other, message in (
        (["--max-size", "64"], "its alphas are of other weights or settings"),
        (["--protocol", "reference"], "protocol reference needs other alphas than the 8-bit ones kept"),
    ):
        refused = deepmat(*command, "--skip-existing", *other)
        assert refused.exit_code == 1 and message in refused.stderr
    alone = deepmat("eval", "-w", weights, "--data", data, "--skip-existing")
    assert alone.exit_code == 1 and "--skip-existing: continues from alphas that --save-alphas wrote" in alone.stderr


def test_alphas_of_other_weights_are_never_mixed_in(deepmat, data, weights, mattes):
    command = ["eval", "-w", weights, "--data", data, "-o", "out", "--save-alphas"]
    assert deepmat(*command).exit_code == 0
    first = {path.name: path.read_bytes() for path in Path("out/prediction").iterdir()}
    tampered = [*command[:2], "other.safetensors", *command[3:]]
    content = bytearray(Path(weights).read_bytes())
    content[-4:] = b"\0\0\0\x3f"  # another last weight
    Path("other.safetensors").write_bytes(content)
    assert deepmat(*tampered, "--protocol", "mathlab").exit_code == 1  # ends before it begins
    assert {path.name: path.read_bytes() for path in Path("out/prediction").iterdir()} == first
    refused = deepmat(*tampered, "--skip-existing")
    assert refused.exit_code == 1 and "its alphas are of other weights or settings" in refused.stderr
    shutil.copytree("near", "out2/prediction")
    before = {path: path.read_bytes() for path in Path("out2/prediction").iterdir()}
    over = deepmat("eval", "-w", weights, "-p", "x=out2/prediction", "--data", data, "-o", "out2", "--save-alphas")
    assert over.exit_code == 1 and "would overwrite the input" in over.stderr
    assert {path: path.read_bytes() for path in before} == before
    compared = deepmat("eval", "-w", weights, "-p", "near", "--data", data, "-o", "out3", "--save-alphas")
    assert compared.exit_code == 0
    assert {path.name: path.read_bytes() for path in Path("out3/prediction").iterdir()} == first


def test_remarks_count_what_is_shrunk_odd_and_failed(deepmat, data, weights, tmp_path):
    for kind in ("image", "trimap", "alpha"):
        shutil.copytree(data / "test" / kind, tmp_path / "t" / kind)
    command = ["eval", "-w", weights, "--data", "t", "--json"]
    remarks = json.loads(deepmat(*command, "--max-size", 32).stdout)["remarks"]
    assert "2 pictures shrunk for the network; give a larger --max-size" in remarks
    before = json.loads(deepmat(*command).stdout)["pictures"][0]
    first, second = sorted(Path("t/trimap").iterdir())
    imaging.write_image(
        first, np.where(imaging.read_grey(first) == 128, 127, imaging.read_grey(first)).astype(np.uint8)
    )
    second.unlink()
    summary = json.loads(deepmat(*command).stdout)
    remarks, after = summary["remarks"], summary["pictures"][0]
    # A trimap of 127, which scores 0 where tools compare with 128 alone, is as good as one of 128.
    assert after["sad"] > 0 and all(after[metric] == before[metric] for metric in summary["metrics"])
    assert "1 trimap that is odd, as noted" in remarks and "1 picture not scored" in remarks
    assert not any("shrunk" in remark for remark in remarks)


def test_files_are_written_even_if_no_one_reads_the_table(deepmat, data, mattes, monkeypatch):
    from deepmat.report import tables

    def closed(*_):
        raise BrokenPipeError

    monkeypatch.setattr(tables, "format_score", closed)
    with pytest.raises((AssertionError, BrokenPipeError)):
        deepmat("eval", "-p", "near", "--data", data, "-o", "out")
    assert Path("out/scores.json").is_file()


def test_nothing_scored_is_no_page(deepmat, data, mattes):
    for path in Path("near").iterdir():
        path.write_bytes(b"junk")
    result = deepmat("eval", "-p", "near", "--data", data, "--report", "out.html")
    assert result.exit_code == 1 and "0 pictures scored\n" in result.stderr and not Path("out.html").exists()


def test_a_run_stopped_in_anothers_folder_goes_on_with_its_own_alphas_alone(deepmat, data, weights, monkeypatch):
    from deepmat.inference import predict as inference
    from deepmat.models.checkpoint import load_weights, save_weights

    kept = load_weights(Path(weights))
    save_weights(Path("other.safetensors"), {k: v * 1.5 for k, v in kept.state.items()}, kept.about["model"])
    command = ["eval", "--data", data, "-o", "out", "--save-alphas", "--json", "-w"]
    assert deepmat(*command, weights).exit_code == 0
    alone = json.loads(deepmat("eval", "--data", data, "--json", "-w", "other.safetensors").stdout)
    predict, asked = inference.predict_seen, []

    def stops(*arguments, **options):
        if asked:
            raise KeyboardInterrupt
        asked.append(1)
        return predict(*arguments, **options)

    monkeypatch.setattr(inference, "predict_seen", stops)
    assert deepmat(*command, "other.safetensors").exit_code == 130
    assert len(list(Path("out/prediction").iterdir())) == 1  # none of the first weights' is left
    asked.clear()
    resumed = json.loads(deepmat(*command, "other.safetensors", "--skip-existing").stdout)
    assert resumed["means"] == alone["means"]


def test_the_function_does_what_the_command_does(deepmat, data, mattes, weights):
    """Same numbers, same files."""
    options = ["--data", data, "--protocol", "all", "--regions", "--sheet", "sheet.png", "-o", "scores"]
    shown = json.loads(deepmat("eval", "-w", weights, "-p", "near", *options, "--json").stdout)
    work = evaluate(
        weights, ["near"], data=data, protocol="all", regions=True, sheet="again.png", out="again", save_alphas=True
    )
    assert work.total == 2 and not Path("again").exists()  # nothing is written before it is asked for
    summary = json.loads(to_json(work.run()))

    def timeless(found):
        pictures = [{key: value for key, value in each.items() if key != "seconds"} for each in found["pictures"]]
        return {**found, "pictures": pictures}

    assert timeless(summary) == timeless(shown) == timeless(json.loads(Path("scores/scores.json").read_text()))
    assert timeless(json.loads(Path("again/scores.json").read_text())) == timeless(shown)
    assert Path("again.png").read_bytes() == Path("sheet.png").read_bytes()
    assert sorted(path.name for path in Path("again/prediction").iterdir()) == sorted(
        path.name for path in (data / "test" / "alpha").iterdir()
    )
    rows = [list(csv.DictReader(Path(folder, "scores.csv").read_text().splitlines())) for folder in ("scores", "again")]
    assert [{**row, "seconds": ""} for row in rows[0]] == [{**row, "seconds": ""} for row in rows[1]]


def test_an_evaluation_can_be_followed_stopped_and_begun_again(data, mattes, monkeypatch):
    monkeypatch.chdir(mattes)
    work = evaluate((), {"a": "near", "b": "far"}, data=data, out="scores", report="out.html")
    first, *_ = (scored for scored in work)
    assert first.case.image.dtype == np.uint8 and [record["run"] for record in first.records] == ["a", "b"]
    assert work.complete and work.written == [Path("scores"), Path("out.html")]
    whole = work.summary
    assert whole["means"][0]["pictures"] == 2 and json.loads(Path("scores/scores.json").read_text())["means"]
    shutil.rmtree("scores")
    for _ in work:
        break
    assert not work.complete and not Path("scores").exists()  # files are of whole sets
    assert [each["name"] for each in work.summary["pictures"]] == [first.name] * 2
    assert work.run() == whole and Path("scores/scores.csv").is_file()


def test_scores_are_shown_even_if_they_cannot_be_written(deepmat, data, mattes):
    Path("out").write_text("a file")
    full = deepmat("eval", "-p", "near", "--data", data, "--json", "-o", "out")
    assert full.exit_code == 1 and "out" in full.stderr
    assert json.loads(full.stdout)["means"]


def test_every_axis_of_a_sweep_has_an_option(deepmat):
    text = deepmat("eval", "--help").stdout
    assert all(f"--{axis}-sweep" in text for axis in AXES)


def test_protocols_in_the_help_are_those_of_the_table(deepmat):
    text = deepmat("eval", "--help").stdout.replace("\n", "").replace(" ", "")
    assert "|".join([*(name for name in PROTOCOLS if "-" not in name), "all"]) in text


def test_a_sweep_by_the_function_is_that_of_the_command(deepmat, data, weights):
    levels = "test.sweep.jpeg=[90,50]"
    shown = json.loads(deepmat("eval", "-w", weights, "--data", data, "--jpeg-sweep", "--set", levels, "--json").stdout)
    assert json.loads(to_json(sweep(weights, axes=["jpeg"], data=data, settings=[levels]).run())) == shown


@pytest.mark.skipif(sys.platform != "linux", reason="file systems of other platforms refuse such names")
def test_names_that_are_no_utf8(deepmat, data, weights):
    """They are escaped in tables, sheets and CSV; weights and states are read from such folders."""
    odd = Path(os.fsdecode(b"caf\xe9"))
    for kind in ("image", "trimap", "alpha"):
        (odd / kind).mkdir(parents=True)
        shutil.copy(next((data / "test" / kind).iterdir()), odd / kind / f"{odd}.png")
    shutil.copy(weights, odd / "w.safetensors")
    torch.save(load_file(weights), odd / "w.pth")
    result = deepmat(
        "eval", "-w", odd / "w.safetensors", "--data", odd, "-o", odd, "--sheet", "s.png", "--report", "r.html"
    )
    assert result.exit_code == 0, result.stderr
    assert "caf\\udce9," in (odd / "scores.csv").read_text() and Path("s.png").is_file()
    assert deepmat("info", odd / "w.pth").exit_code == 0
