import errno
import html
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser

import numpy as np
import pytest

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.report import Page, page, views

NAMES = ["</script><b>x", "<img src=x onerror=alert(1)>", "sub/dir/ünï & \"'", "__proto__", "\udcff", "{{data}}", "cat"]
RUNS = ["<i>a", "b/é"]
UNSCORED = "dog"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
# Runs behind the page's own script: what a reader would do, and what comes of it.
VISIT = """{
const after = (when) => new Promise((done) => {
  const wait = () => (when() ? done() : setTimeout(wait, 20));
  wait();
});
const loads = (src) => new Promise((done) => {
  const image = new Image();
  image.onload = () => done(image.naturalWidth > 0);
  image.onerror = () => done(false);
  image.src = src;
});
const sad = () => [...document.querySelectorAll("#table tbody tr")].map((row) => Number(row.cells[3].textContent) || 0);
const press = (key) => $("detail").dispatchEvent(new KeyboardEvent("keydown", { key }));
const visit = async () => {
  const seen = { open: $("detail").open && $("detail-name").textContent };
  seen.ground = getComputedStyle(document.body).backgroundColor;
  seen.panels = document.querySelectorAll("#stage img").length;
  press("ArrowRight");
  seen.next = $("detail-name").textContent;
  press(" ");
  press(" ");
  press("ArrowLeft");
  seen.flicker = [!document.querySelector(".cover").hidden];
  press(" ");
  seen.flicker.push(!document.querySelector(".cover").hidden);
  $("detail").close();
  await after(() => location.hash === "");
  seen.falling = sad();
  document.querySelector("[data-key=sad]").click();
  seen.rising = sad();
  seen.sort = document.querySelector("[aria-sort]").getAttribute("aria-sort");
  $("filter").value = "sad>2 A";
  $("filter").dispatchEvent(new Event("input"));
  seen.filtered = document.querySelectorAll("#table tbody tr").length;
  seen.worst = document.querySelectorAll(".cases > li").length;
  await after(() => document.querySelectorAll(".point").length);
  seen.points = document.querySelectorAll(".point").length;
  seen.bars = document.querySelectorAll("#histograms .plot").length;
  const views = pictures.flatMap((picture) => [...layers(picture).map((each) => each.src),
    ...[...picture.windows.keys()].map((run) => source(picture, "window.png", run))]);
  seen.views = (await Promise.all(views.map(loads))).filter(Boolean).length;
  seen.referenced = views.length;
  seen.told = $("differences").textContent;
  return seen;
};
after(() => "ready" in root.dataset).then(visit).then(
  (seen) => (root.dataset.seen = JSON.stringify(seen)),
  (error) => (root.dataset.error = error.stack),
).then(() => document.body.remove()); // what is no Unicode in it cannot be dumped
}"""


def picture(seed, height=50, width=70):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    alpha = rng.integers(0, 256, (height, width), np.uint8)
    trimap = np.full((height, width), 128, np.uint8)
    trimap[:, : width // 2] = 255
    predictions = {run: rng.integers(0, 256, (height, width), np.uint8) for run in RUNS}
    return image, trimap, alpha, predictions


def summary(names=NAMES):
    rng = np.random.default_rng(0)
    records = [
        {
            "name": name,
            "run": run,
            "height": 50,
            "width": 70,
            "sad": float(rng.uniform(1, 9)),
            "mse": float(rng.random()),
        }
        for name in names
        for run in RUNS
    ]
    records += [{"name": UNSCORED, "run": run, "error": "no trimap <b>"} for run in RUNS]
    interval = {"mean": 5.25, "low": 4.0, "high": 6.5}
    return {
        "title": "Scores & </title><script>alert(1)</script>",
        "comparable": False,
        "remarks": ["<b>own trimaps"],
        "metrics": ["sad", "mse"],
        "runs": [{"run": run, "mean": {"sad": interval, "mse": interval}, "settings": {"mode": run}} for run in RUNS],
        "comparisons": [
            {"run": RUNS[1], "against": RUNS[0], "metric": "sad", "difference": -1.25, "low": -2.0, "high": -0.5}
            | {"p": 0.003, "better": 5, "worse": 2},
            {"run": RUNS[1], "against": RUNS[0], "metric": "mse", "difference": math.nan, "low": None, "high": None}
            | {"p": None, "better": 0, "worse": 0},
        ],
        "pictures": records,
        "settings": {"command": "deepmat eval --report '<x>'", "precision": "fp32"},
    }


@pytest.fixture
def written(tmp_path):
    """A page of all names but one, whose views were not kept."""
    made = Page(tmp_path / "ünï out.html")
    for seed, name in enumerate(NAMES[:-1]):
        made.add(name, *picture(seed))
    made.write(summary())
    return made


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_numbers_come_back_and_names_do_no_harm(written):
    text = written.path.read_text()
    data, given = data_of(text), summary()
    given["comparisons"][1]["difference"] = None
    assert {key: data[key] for key in given} == given
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.feed(text)
    assert tags.count("script") == 2 and tags.count("title") == 1 and not {"img", "b", "i"} & set(tags)
    assert html.escape(given["title"]) in text
    assert not re.search(r"https?://", text.replace("http://www.w3.org/2000/svg", ""))  # a namespace, not an address


def test_every_name_has_its_own_files(written):
    kept = data_of(written.path.read_text())["kept"]
    assert len({each["id"] for each in kept.values()}) == len(kept) == len(NAMES) + 1
    assert all(re.fullmatch(r"[\w-]+", each["id"], re.ASCII) for each in kept.values())
    folders = {path.name: path for path in written.folder.iterdir()}
    assert folders.keys() == {kept[name]["id"] for name in NAMES[:-1]}
    for folder in folders.values():
        assert len([path for path in folder.rglob("*") if path.is_file()]) == 3 + 3 * len(RUNS)
    assert "thumbnail" not in kept["cat"] and UNSCORED in kept


@pytest.mark.parametrize("height, width", [(50, 70), (300, 5), (5, 300), (70, 2100), (64, 64)])
def test_the_window_is_where_the_error_is_and_exact(tmp_path, height, width):
    image, trimap, alpha, _ = picture(1, height, width)
    error = np.random.default_rng(2).integers(0, 99, (height, width), np.uint8)
    top, left, high, wide = views.worst_window(error)
    assert (high, wide) == (min(height, 64), min(width, 64))
    sums = np.lib.stride_tricks.sliding_window_view(error.astype(int), (high, wide)).sum((2, 3))
    assert sums[top, left] == sums.max()

    made = Page(tmp_path / "out.html")
    made.add("x", image, trimap, alpha, {"run": 255 - alpha})
    kept = made.kept["x"]
    top, left, high, wide = kept["windows"]["run"]
    (strip,) = (imaging.read_image(path) for path in made.folder.rglob("window.png"))
    panels = np.split(strip, 4, axis=1)
    part = np.s_[top : top + high, left : left + wide]
    np.testing.assert_array_equal(panels[0], image[part])
    np.testing.assert_array_equal(panels[1][..., 0], alpha[part])
    np.testing.assert_array_equal(panels[2][..., 0], 255 - alpha[part])
    for path in made.folder.rglob("*.jpg"):
        assert imaging.read_image(path).shape[:2] == tuple(kept["view"])
    assert max(kept["view"]) == min(max(height, width), page.LONGER)


def test_known_pixels_show_no_error():
    image, trimap, alpha, predictions = picture(3)
    error = views.error_map(predictions[RUNS[0]], alpha, trimap)
    unknown = trimap == 128
    expected = np.abs(predictions[RUNS[0]].astype(int) - alpha)
    np.testing.assert_array_equal(error, np.where(unknown, expected, 0))
    heat, nothing = views.heat_map(image, error), views.heat_map(image, np.zeros_like(error))
    np.testing.assert_array_equal(heat[~unknown], nothing[~unknown])
    assert (nothing == nothing[..., :1]).all() and nothing.max() < 128  # the picture, grey and dim
    large = error > 255 * views.VISIBLE
    np.testing.assert_array_equal(heat[large], views.COLOURS[error[large]])


def test_a_full_disk_leaves_what_was_there(written, monkeypatch):
    before = {path: path.read_bytes() for path in written.path.parent.rglob("*") if path.is_file()}

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        written.add("new", *picture(9))
    with pytest.raises(DataError, match="No space left"):
        written.write({**summary(), "title": "another"})
    assert {path: path.read_bytes() for path in written.path.parent.rglob("*") if path.is_file()} == before


def dump(address, scheme, folder):
    """The document as a browser leaves it, "" if it comes to nothing."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    command += ["--virtual-time-budget=20000", f"--user-data-dir={tempfile.mkdtemp(dir=folder)}"]
    command += [f"--blink-settings=preferredColorScheme={['dark', 'light'].index(scheme)}"]
    return subprocess.run([*command, address], capture_output=True, timeout=60).stdout.decode()


@pytest.fixture
def visit(written, tmp_path, monkeypatch):
    """visit(scheme, name) -> what a browser saw on the page of that picture."""
    if not BROWSER:
        pytest.skip("no browser")
    read = page._text
    monkeypatch.setattr(page, "_text", lambda *names: read(*names) + (VISIT if "page.js" in names else ""))
    written.write(summary())
    kept = data_of(written.path.read_text())["kept"]

    def look(scheme, name):
        address = f"{written.path.as_uri()}#{kept[name]['id']}"
        # Rarely a browser ends without output; then it is started again.
        dom = dump(address, scheme, tmp_path) or dump(address, scheme, tmp_path)
        errors = re.search(r'data-error="(.*?)"', dom, re.DOTALL)
        assert not errors, html.unescape(errors[1])
        if "data-seen" not in dom:
            trial = tmp_path / "trial.html"
            trial.write_text("<p>it works")
            if "it works" not in dump(trial.as_uri(), scheme, tmp_path):
                pytest.skip("no browser that opens files of this folder")
        assert "data-seen" in dom, dom[:1000]
        return json.loads(html.unescape(re.search(r'data-seen="(.*?)"', dom, re.DOTALL)[1]))

    return look


def test_in_a_browser(visit):
    seen = visit("light", NAMES[0])
    everything = len(NAMES) + 1
    assert seen["open"] == NAMES[0] and seen["panels"] == 3 + 2 * len(RUNS)
    assert seen["flicker"] == [False, True]
    assert len(seen["falling"]) == everything
    scored = [each for each in summary()["pictures"] if each["run"] == RUNS[1] and "sad" in each]
    scored.sort(key=lambda each: each["sad"], reverse=True)
    order, scores = [each["name"] for each in scored] + [UNSCORED], [each["sad"] for each in scored]
    assert seen["next"] == order[order.index(NAMES[0]) + 1]
    assert seen["falling"] == pytest.approx([*scores, 0], abs=1e-3)
    assert seen["rising"] == pytest.approx([*scores[::-1], 0], abs=1e-3) and seen["sort"] == "ascending"
    assert seen["filtered"] == sum(each["sad"] > 2 and "a" in each["name"].lower() for each in scored)
    assert seen["worst"] == seen["points"] == len(NAMES) and seen["bars"] == 2
    assert seen["views"] == seen["referenced"] == (len(NAMES) - 1) * (3 + 3 * len(RUNS))
    assert "b/é is lower than <i>a by 1.250 SAD [0.500, 2.000], p\xa0=\xa00.003, better on 5 of 7" in seen["told"]
    assert seen["ground"] == "rgb(247, 247, 245)"


@pytest.mark.slow
def test_dark_in_a_browser(visit):
    assert visit("dark", NAMES[0])["ground"] != visit("light", NAMES[0])["ground"]
