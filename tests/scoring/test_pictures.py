import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from deepmat import imaging
from deepmat.config import TestConfig
from deepmat.data.pairs import pictures_to_score
from deepmat.errors import CheckpointError, DataError
from deepmat.scoring import pictures as scoring
from deepmat.scoring.metrics import METRICS
from deepmat.scoring.protocols import PROTOCOLS, score
from deepmat.scoring.results import summarise


@pytest.fixture
def test_set(data, tmp_path):
    """Six pictures: (name, files) of each."""
    for kind in ("image", "trimap", "alpha"):
        for copy in range(3):
            for path in (data / "test" / kind).iterdir():
                (tmp_path / kind).mkdir(exist_ok=True)
                shutil.copy(path, tmp_path / kind / f"{path.stem}-{copy}.png")
    return pictures_to_score(TestConfig(), tmp_path)[0]


def grey(image, trimap, geometry):
    alpha = np.where(trimap == 128, image.mean(axis=2) / 255, trimap / 255)
    return alpha.astype(np.float32)


def plain(scored):
    return [
        {key: value for key, value in record.items() if key != "seconds"} for each in scored for record in each.records
    ]


@pytest.fixture
def saved(test_set, tmp_path):
    """A run's mattes, all right."""
    folder = tmp_path / "mattes"
    for name, paths in test_set:
        alpha = grey(imaging.read_image(paths["image"]), imaging.read_grey(paths["trimap"]), {})
        imaging.write_image(folder / f"{name}.png", imaging.to_uint8(alpha))
    return folder


def test_files_score_as_the_network_that_made_them_on_any_number_of_threads(test_set, saved):
    names = [name for name, _ in test_set]
    mattes = scoring.find_mattes(names, {"files": saved})
    both = [list(scoring.score_pictures(test_set, {"net": grey}, mattes, workers=workers)) for workers in (1, 3)]
    assert plain(both[0]) == plain(both[1]) and [each.name for each in both[0]] == names
    for scored in both[0]:
        net, files = scored.records
        assert {key: net[key] for key in METRICS} == {key: files[key] for key in METRICS} and net["sad"] > 0
        assert "seconds" in net and "seconds" not in files
        assert np.array_equal(scored.mattes["net"], scored.mattes["files"]) and len(scored.digest) == 64
    assert len({scored.digest for scored in both[0]}) == 2  # three copies each


def test_a_matte_that_is_wrong_fails_its_run_alone(test_set, saved):
    names = [name for name, _ in test_set]
    (saved / f"{names[0]}.png").unlink()
    imaging.write_image(saved / f"{names[1]}.png", np.zeros((5, 7), np.uint8))
    (saved / f"{names[2]}.png").write_bytes(b"no picture")
    mattes = scoring.find_mattes(names, {"files": saved})
    scored = list(scoring.score_pictures(test_set, {"net": grey}, mattes, workers=2))
    assert all("sad" in each.records[0] for each in scored)
    errors = [each.records[1].get("error", "") for each in scored]
    assert "no prediction of that name" in errors[0] and "7x5, but" in errors[1] and "not a picture" in errors[2]
    assert not any(errors[3:])


def test_a_picture_that_cannot_be_used_fails_alone(test_set):
    test_set[1] = (test_set[1][0], DataError("why"))
    Path(test_set[3][1]["trimap"]).write_bytes(b"")
    scored = list(scoring.score_pictures(test_set, {"net": grey}, workers=2))
    assert [each.case is None for each in scored] == [False, True, False, True, False, False]
    assert scored[1].records == [{"name": test_set[1][0], "error": "why"}]


def test_a_network_is_asked_once_for_each_geometry(test_set):
    asked = []

    def network(image, trimap, geometry):
        asked.append(geometry)
        return grey(image, trimap, geometry)

    chosen = {name: PROTOCOLS[name] for name in ("matlab", "matlab-cut", "mmagic", "reference", "port")}
    list(scoring.score_pictures(test_set[:1], {"net": network}, protocols=chosen))
    assert asked == [{}, PROTOCOLS["mmagic"].geometry, PROTOCOLS["reference"].geometry]


def test_broken_weights_end_it_and_other_failures_do_not(test_set):
    def broken(image, trimap, geometry):
        raise CheckpointError("broken weights")

    def large(image, trimap, geometry):
        raise DataError("too large")

    with pytest.raises(CheckpointError):
        list(scoring.score_pictures(test_set, {"net": broken}))
    assert all(each.records[0]["error"] == "too large" for each in scoring.score_pictures(test_set, {"net": large}))


def test_files_of_more_than_8_bits_are_scored_as_the_protocol_says(test_set, tmp_path):
    name, paths = test_set[0]
    alpha = grey(imaging.read_image(paths["image"]), imaging.read_grey(paths["trimap"]), {})
    imaging.write_image(tmp_path / "f" / f"{name}.tif", alpha)
    imaging.write_image(tmp_path / "d" / f"{name}.png", imaging.to_uint16(alpha))
    mattes = scoring.find_mattes([name], {"f": tmp_path / "f", "d": tmp_path / "d"})
    chosen = {name: PROTOCOLS[name] for name in ("matlab", "matlab-cut", "matlab-float")}
    (scored,) = scoring.score_pictures(test_set[:1], {"net": grey}, mattes, protocols=chosen)
    by_run = {(record["run"], record["protocol"]): record["sad"] for record in scored.records}
    for protocol in chosen:
        assert by_run["f", protocol] == by_run["net", protocol]
        assert by_run["d", protocol] == pytest.approx(by_run["net", protocol], rel=1e-2)
    assert len({by_run["net", protocol] for protocol in chosen}) == 3


def test_what_is_kept_of_a_picture_is_made_in_threads_and_its_failure_is_told(test_set):
    threads = set()

    def keep(scored):
        threads.add(threading.current_thread().name)

    list(scoring.score_pictures(test_set, {"net": grey}, keep=keep, workers=2))
    assert threading.current_thread().name not in threads and threads

    def full(scored):
        raise DataError("out.html: cannot be written (disk full)")

    with pytest.raises(DataError, match="disk full"):
        list(scoring.score_pictures(test_set, {"net": grey}, keep=full, workers=2))


def test_regions_add_their_scores(test_set):
    (scored,) = scoring.score_pictures(test_set[:1], {"net": grey}, regions=["fine", "whole"])
    record, case = scored.records[0], scored.case
    apart = score(PROTOCOLS["matlab"], scored.mattes["net"], case.alpha, case.trimap, region="fine")
    assert {f"{key}_fine": value for key, value in apart.items()}.items() <= record.items()
    assert record["sad_fine"] <= record["sad"] <= record["sad_whole"] + 1e-12


def test_a_picture_without_fine_parts_has_no_score_of_them_in_the_mean():
    records = [{"name": name, "run": "a", "protocol": "matlab", "sad": 1.0} for name in "xy"]
    records[0]["sad_fine"] = 4.0
    (means,), _ = summarise(records, ["sad", "sad_fine", "sad_none"], ["a"], {})
    mean = means["mean"]
    assert mean["sad_fine"]["mean"] == 4 and mean["sad"]["mean"] == 1 and np.isnan(mean["sad_none"]["mean"])


def test_p_and_intervals_of_a_comparison_go_by_foregrounds():
    records = [
        {"name": f"{fg}_{k}", "run": run, "protocol": "matlab", "sad": off + fg + k}
        for run, off in (("a", 0.0), ("b", -1.0))
        for fg in range(3)
        for k in range(4)
    ]
    foregrounds = {f"{fg}_{k}": str(fg) for fg in range(3) for k in range(4)}
    _, (compared,) = summarise(records, ["sad"], ["a", "b"], foregrounds)
    assert compared["p"] == 2 / 8 and compared["foregrounds"] == 3 and compared["better"] == 12
    _, (alone,) = summarise(records, ["sad"], ["a", "b"], {})
    assert alone["p"] == 2 / 2**12
    assert compared["low"] == compared["high"] == compared["difference"] == -1


def test_a_digest_is_of_image_trimap_and_alpha(test_set):
    def digest():
        return next(scoring.score_pictures(test_set[:1], {"net": grey})).digest

    before = {digest()}
    for kind in ("image", "trimap", "alpha"):
        path = test_set[0][1][kind]
        kept = path.read_bytes()
        pixels = imaging.read_grey(path) if kind != "image" else imaging.read_image(path)
        changed = np.where(pixels == pixels[0, 0], 255 - pixels, pixels) if kind == "trimap" else pixels ^ 1
        imaging.write_image(path, changed)
        before.add(digest())
        path.write_bytes(kept)
    assert len(before) == 4


def test_what_a_protocol_saves_is_what_is_kept(test_set):
    (rounded,) = scoring.score_pictures(test_set[:1], {"net": grey})
    (cut,) = scoring.score_pictures(test_set[:1], {"net": grey}, protocols={"port": PROTOCOLS["port"]})
    assert (rounded.mattes["net"] >= cut.mattes["net"]).all() and (rounded.mattes["net"] > cut.mattes["net"]).any()


def test_a_memory_that_runs_out_fails_a_picture_alone(test_set):
    def huge(image, trimap, geometry):
        raise MemoryError("9 TB")

    scored = list(scoring.score_pictures(test_set[:2], {"net": huge}))
    assert all("too large for the memory (9 TB)" in each.records[0]["error"] for each in scored)


def test_runs_are_compared_on_the_pictures_that_both_have():
    def record(run, name, sad, protocol="matlab"):
        return {"name": name, "run": run, "protocol": protocol, "sad": sad}

    records = [record("a", name, value) for name, value in zip("wxyz", (1.0, 2.0, 3.0, 100.0), strict=True)]
    records += [record("b", name, value) for name, value in zip("wxy", (0.5, 2.5, 1.0), strict=True)]
    records += [{"name": "z", "run": "b", "error": "why"}, {"name": "w", "run": "c", "error": "why"}]
    means, (compared,) = summarise(records, ["sad"], ["a", "b", "c"], {})
    assert [(each["run"], each["pictures"]) for each in means] == [("a", 3), ("b", 3)]
    assert means[0]["mean"]["sad"]["mean"] == 2
    assert compared["difference"] == pytest.approx((-0.5 + 0.5 - 2) / 3)
    assert (compared["better"], compared["worse"], compared["foregrounds"]) == (2, 1, 3)
    assert compared["p"] == pytest.approx(6 / 8)  # |sum| is 2 or more for 6 of the 8 combinations of signs
    together, _ = summarise(records, ["sad"], ["a", "b"], dict.fromkeys("wxyz", "one foreground"))
    assert together[0]["mean"]["sad"] == {"mean": 2, "low": 2, "high": 2}
    assert summarise([{"name": "w", "error": "why"}], ["sad"], ["a"], {}) == ([], [])
