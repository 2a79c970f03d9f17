import os
import pickle
import struct
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.fitting import unused_alpha
from deepmat.inference.jobs import Job, find_jobs, read_job
from deepmat.inference.predict import predict
from deepmat.inference.subjects import by_mask, by_trimap
from deepmat.scoring.cases import read_case
from deepmat.subject.band import parse_width


def touch(*paths):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def test_patterns_choose_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("in/a.jpg", "in/b.png", "in/shoes/a.jpg", "in/shoes/old/c.jpg", "in/masks/a.png", "single.jpg")

    def names(**options):
        jobs, _ = find_jobs([Path("in"), Path("single.jpg")], None, "mask", [Path("in/masks")], **options)
        return [job.name for job in jobs]

    assert names() == ["a", "b", "shoes/a", "shoes/old/c", "single"]
    assert names(include=["*.jpg"]) == ["a", "shoes/a", "shoes/old/c", "single"]
    assert names(include=["shoes/*"], exclude=["*/old/*"]) == ["shoes/a"]
    assert names(include=["shoes"], exclude=["old"]) == ["shoes/a"] and names(exclude=["shoe"]) == names()
    with pytest.raises(DataError, match="matches --include"):
        names(include=["*.tif"])


def test_patterns_do_not_change_what_goes_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(
        "in/shoes/1.png", "in/hats/1.png", "t/hats/1.png", "in/bags/2.png", "t/2.png", "in/coats/3.png", "t/old/3.png"
    )
    for options in ({}, {"include": ["shoes/*", "bags/*", "coats/*"]}):
        jobs = {job.name: job for job in find_jobs([Path("in")], Path("t"), "trimap", **options)[0]}
        assert "no trimap of that name" in jobs["shoes/1"].problem
        assert "no trimap of that name" in jobs["coats/3"].problem
        assert jobs["bags/2"].partner == Path("t/2.png")


def test_what_earlier_runs_made_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("in/a.jpg", "in/a_cutout.png", "in/sub/b.jpg", "in/sub/b_trimap.png", "in/c_alpha.png", "in/cutout/d.png")
    touch("in/out/log.jsonl", "in/out/composite/sub/b.jpg", "in/out/other/e.jpg", "in/alpha.png", "own/cutout/f.png")
    jobs, notices = find_jobs([Path("in")], None, "mask")
    assert [job.name for job in jobs] == ["a", "alpha", "c_alpha", "cutout/d", "out/other/e", "sub/b"]
    assert notices[-1].startswith("in/a_cutout.png and 2 more: left out, as made by earlier runs")
    touch("in/log.jsonl", "own/log.jsonl")
    assert "cutout/d" not in [job.name for job in find_jobs([Path("in")], None, "mask")[0]]
    assert [job.name for job in find_jobs([Path("own")], None, "mask")[0]] == ["cutout/f"]
    assert [job.name for job in find_jobs([Path("in/alpha.png")], None, "mask")[0]] == ["alpha"]
    (Path("all") / "x").mkdir(parents=True)
    touch("all/x/cutout/g.png", "all/x/log.jsonl")
    with pytest.raises(DataError, match="all/x/cutout/g.png: left out, as made by earlier runs"):
        find_jobs([Path("all")], None, "mask")
    assert [job.name for job in find_jobs([Path("in/a_cutout.png")], None, "mask")[0]] == ["a_cutout"]
    assert [job.name for job in find_jobs([Path("in/out/composite")], None, "mask")[0]] == ["sub/b"]


def test_trimaps_may_lie_beside_their_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("in/a.jpg", "in/a_trimap.png", "in/sub/b.jpg", "in/sub/b_trimap.png", "in/c.jpg")
    jobs = {job.name: job for job in find_jobs([Path("in")], Path("in"), "trimap")[0]}
    assert jobs["a"].partner == Path("in/a_trimap.png") and jobs["sub/b"].partner == Path("in/sub/b_trimap.png")
    assert len(jobs) == 3 and "no trimap of that name in in" in jobs["c"].problem
    touch("two/cat.jpg", "two/cat.png", "two/dog.jpg", "two/dog_mask.png", "pool/1.jpg", "two/cow_trimap.png")
    Path("two/cow.jpg").symlink_to("../pool/1.jpg")
    jobs, _ = find_jobs([Path("two")], Path("two"), "trimap")
    assert [(job.image.name, job.partner.name, job.problem) for job in jobs] == [
        ("cat.jpg", "cat.png", None),
        ("cow.jpg", "cow_trimap.png", None),
        ("dog.jpg", "dog_mask.png", None),
    ]


def test_a_picture_that_is_named_twice_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("in/a.jpg", "in/b.jpg")
    for beside in (False, True):
        jobs, _ = find_jobs([Path("in"), Path("in/a.jpg"), Path("in/../in")], None, "mask", beside=beside)
        assert [(job.name, job.problem) for job in jobs] == [("a", None), ("b", None)]
    for link in ("p.png", "q.png"):
        Path(link).symlink_to("in/a.jpg")
    for beside in (False, True):
        assert [job.name for job in find_jobs([Path("p.png"), Path("q.png")], None, "mask", beside=beside)[0]] == [
            "p",
            "q",
        ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_by_name_is_told_from_a_broken_link(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("gone")
    jobs, _ = find_jobs([tmp_path / "pipe.jpg", tmp_path / "link.jpg"], None, "mask")
    assert "a pipe or a device" in jobs[0].problem and "a broken link" in jobs[1].problem


def test_partners_by_name_and_their_absence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("in/a.jpg", "in/b.jpg", "other/a.jpg", "t/a.png")
    jobs, _ = find_jobs([Path("in"), Path("other"), Path("none.jpg")], Path("t"), "trimap")
    assert jobs[0] == Job("a", Path("in/a.jpg"), Path("t/a.png"))
    problems = {job.name: job.problem for job in jobs if job.problem}
    assert "no trimap of that name in t; add t/b.png" in problems["b"]
    assert "would overwrite those of in/a.jpg" in problems["other/a.jpg"]
    assert "none.jpg: no such file" in problems["none"]
    with pytest.raises(DataError, match="tt: no such folder or file of trimaps"):
        find_jobs([Path("in")], Path("tt"), "trimap")
    with pytest.raises(DataError, match="4 pictures need a folder of masks"):
        find_jobs([Path("in"), Path("other"), Path("none.jpg")], Path("t/a.png"), "mask")


def test_an_alpha_channel_beside_a_trimap_or_mask_gets_a_notice(tmp_path):
    levels = np.repeat(np.array([[0, 128, 255]], np.uint8), 20, axis=1).repeat(60, axis=0)
    hard = np.where(levels == 255, 255, 0).astype(np.uint8)
    for name, pixels in (("trimap", levels), ("mask", hard)):
        imaging.write_image(tmp_path / f"{name}.png", pixels)
    for kind, alpha in (("used", hard), ("opaque", np.full_like(hard, 255))):
        path = tmp_path / f"{kind}.png"
        imaging.write_image(path, np.dstack((*[levels] * 3, alpha)))
        for name, guide in (("trimap", by_trimap()), ("mask", by_mask(parse_width("2")))):
            partner = tmp_path / f"{name}.png"
            notices = read_job(Job("a", path, partner), guide).notices
            told = f"{path}: its own alpha channel is not used, since {partner} is given; colours where"
            assert [notice.startswith(told) for notice in notices] == ([True] if kind == "used" else [])
        paths = {"image": path, "trimap": tmp_path / "trimap.png", "alpha": tmp_path / "mask.png"}
        told = unused_alpha(alpha, path, paths["trimap"])
        assert len(told) == (kind == "used") and read_case("a", paths, {}).doubts == told
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            predict(None, path, tmp_path / "mask.png")
            predict(None, imaging.read_rgba(path)[0], hard)
            predict(None, np.asarray(Image.open(path)), hard)
        about = [str(each.message) for each in caught if "own alpha" in str(each.message)]
        assert [each[: each.index(":")] for each in about] == ([str(path), "image"] if kind == "used" else [])
    assert not read_job(Job("a", tmp_path / "used.png"), by_mask(parse_width("2"))).notices
    with pytest.raises(DataError, match="opaque.png: has an alpha channel that is 255 nearly everywhere"):
        read_job(Job("a", tmp_path / "opaque.png"), by_mask(parse_width("2")))


def test_a_grey_photo_of_another_gamma_is_converted_with_a_notice(tmp_path):
    """As `imaging.read_picture` reads it, whatever else is asked of the file here."""
    marks = PngInfo()
    marks.add(b"gAMA", struct.pack(">I", 100_000))
    Image.fromarray(np.full((20, 60), 100, np.uint8)).save(tmp_path / "a.png", pnginfo=marks)
    imaging.write_image(
        tmp_path / "t.png", np.repeat(np.array([[0, 128, 255]], np.uint8), 20, axis=1).repeat(20, axis=0)
    )
    read = read_job(Job("a", tmp_path / "a.png", tmp_path / "t.png"), by_trimap())
    image, _, _, notices = imaging.read_picture(tmp_path / "a.png")
    assert image[0, 0, 0] != 100 and np.array_equal(read.image, image)
    assert notices and read.notices[: len(notices)] == notices


def test_a_job_takes_few_bytes(tmp_path, monkeypatch):
    """A million of them fit into memory: 180 bytes each for short names, with trimaps or without."""
    monkeypatch.chdir(tmp_path)
    for folder, end in (("in/a", ".png"), ("t/a", ".png"), ("u/a", "_trimap.png")):
        Path(folder).mkdir(parents=True)
        for number in range(2000):
            Path(folder, f"picture_{number:07d}{end}").touch()
    for partners, end in ((None, ""), (Path("t"), ".png"), (Path("u"), "_trimap.png")):
        tracemalloc.start()
        try:
            jobs, _ = find_jobs([Path("in")], partners, "trimap")
            held = tracemalloc.get_traced_memory()[0]
            assert len(jobs) == 2000 and jobs[7].image == Path("in/a/picture_0000007.png")
            assert jobs[7].partner == (partners / f"a/picture_0000007{end}" if partners else None)
            assert pickle.loads(pickle.dumps(jobs[7])) == jobs[7]._replace(data=None)
            del jobs  # not what is left of tables of Python itself
            assert held - tracemalloc.get_traced_memory()[0] < 2000 * 200
        finally:
            tracemalloc.stop()


def test_a_picture_that_is_cut_out_keeps_its_alpha_unless_a_width_is_given(tmp_path):
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 20:40], alpha[9, 20:40] = 255, 100
    picture = np.where(alpha[..., None] > 0, 200, 0).astype(np.uint8).repeat(3, 2)
    imaging.write_image(tmp_path / "a.png", np.dstack((picture, alpha)))
    read = read_job(Job("a", tmp_path / "a.png"), by_mask())
    np.testing.assert_array_equal(read.subject.alpha, alpha / np.float32(255))
    assert "is cut out already" in read.subject.why and not read.notices
    assert read_job(Job("a", tmp_path / "a.png"), by_mask(parse_width("3"))).subject.alpha is None
