"""The page in a real browser: a Chromium of the system, driven by Playwright over the loopback."""

import io
import re
import shutil
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import encoded, server, studio

import deepmat

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")]
CONTROLS = (
    "button",
    "checkbox",
    "slider",
    "combobox",
    "textbox",
    "ColorWell",
    "application",
    "progressbar",
    "DisclosureTriangle",
)
play = pytest.importorskip("playwright.sync_api")
PATIENCE = 120_000
"""Milliseconds until what should come is missed, in a browser and a service that share two cores with other work."""
play.expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def url():
    with server("--timeout", "120") as (url, _, _):
        yield url


def is_wrong(message):
    """Whether a line of the console is an error; the browser itself reports requests that are refused."""
    return message.type == "error" and not re.search("status of (4|504)", message.text)


@contextmanager
def opened(url, **options):
    """A page; at its end nothing may have gone wrong in it, and no other host may have been asked."""
    wrong = []
    with play.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, **options})
            page.set_default_timeout(PATIENCE)
            page.on("console", lambda message: wrong.append(message.text) if is_wrong(message) else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda asked: None if asked.url.startswith((url, "blob:")) else wrong.append(asked.url))
            page.goto(url)
            yield page
        finally:
            browser.close()
    assert not wrong


def choose(page, *names):
    photo = encoded(studio(240, 360, 90))
    page.set_input_files("#files", [{"name": name, "mimeType": "image/png", "buffer": photo} for name in names])
    play.expect(page.locator("#status")).to_contain_text("Found by the plain backdrop")
    play.expect(page.locator("#list .state", has_text=re.compile("wait|work"))).to_have_count(0)
    return photo


def taken(page, button="#download"):
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def picture(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def done(page):
    play.expect(page.locator("#progress")).to_be_hidden()
    play.expect(page.locator("#status")).to_contain_text("Done")


def at(page, x, y, size=(360, 240)):
    """Point of the page at a pixel of the picture of (width, height), which fills the canvas."""
    box, (width, height) = page.locator("#canvas").bounding_box(), size
    scale = min(box["width"] / width, box["height"] / height, 8) * 0.96
    return box["x"] + box["width"] / 2 + (x - width / 2) * scale, box["y"] + box["height"] / 2 + (
        y - height / 2
    ) * scale


def test_upload_brush_undo_click_and_download(url):
    with opened(url) as page:
        photo = choose(page, "block.png")
        name, data = taken(page)
        expected = deepmat.cut(photo, finder="plain", weights="closed-form", device="cpu").rgba
        assert name == "block_cutout.png"
        np.testing.assert_array_equal(picture(data), expected)
        page.click("[data-tool=foreground]")
        page.mouse.move(*at(page, 250, 150))
        page.mouse.down()
        page.mouse.move(*at(page, 320, 150), steps=4)
        page.mouse.up()
        done(page)
        painted = picture(taken(page)[1])
        assert expected[150, 280, 3] == 0 and painted[150, 280, 3] == 255 and painted[20, 20, 3] == 0
        page.click("#undo")
        play.expect(page.locator("#redo")).to_be_enabled()
        np.testing.assert_array_equal(picture(taken(page)[1]), expected)
        page.keyboard.press("Control+y")
        play.expect(page.locator("#undo")).to_be_enabled()
        np.testing.assert_array_equal(picture(taken(page)[1])[..., 3], painted[..., 3])
        page.click("[data-tool=add]")
        page.mouse.click(*at(page, 120, 40))
        done(page)
        assert picture(taken(page)[1])[40, 120, 3] == 255


def film(page, x, y):
    """Level of the trimap at a pixel, as it is taken home."""
    page.select_option("#what", "trimap.png")
    return picture(taken(page)[1])[y, x]


def stroke(page, tool, begin, end, size=(360, 240)):
    page.click(f"[data-tool={tool}]")
    page.mouse.move(*at(page, *begin, size))
    page.mouse.down()
    page.mouse.move(*at(page, *end, size), steps=3)
    page.mouse.up()
    done(page)


def test_strokes_stay_over_a_click_and_the_eraser_knows_what_was_found(url):
    with opened(url) as page:
        choose(page, "block.png")
        stroke(page, "foreground", (300, 200), (320, 200))
        page.click("[data-tool=add]")
        page.mouse.click(*at(page, 120, 40))
        done(page)
        assert film(page, 310, 200) == 255 and film(page, 30, 200) == 0
        page.keyboard.press("Control+z")
        play.expect(page.locator("#redo")).to_be_enabled()
        page.keyboard.press("Control+z")
        play.expect(page.locator("#undo")).to_be_disabled()
        assert film(page, 310, 200) == 0
        page.keyboard.press("Control+y")
        page.keyboard.press("Control+y")
        play.expect(page.locator("#redo")).to_be_disabled()
        assert film(page, 310, 200) == 255
        stroke(page, "eraser", (300, 200), (320, 200))
        assert film(page, 310, 200) == 0
        stroke(page, "background", (300, 100), (310, 100))
        page.click("#again")
        done(page)
        stroke(page, "unknown", (20, 20), (22, 20))
        assert film(page, 20, 20) == 128


def test_a_preview_comes_first_and_strokes_on_it_are_kept(url):
    with opened(url) as page:
        photo, whole = encoded(studio(700, 900, 300)), []
        page.route("**/subject", lambda route: whole.append(route))  # the whole waits
        page.set_input_files("#files", [{"name": "large.png", "mimeType": "image/png", "buffer": photo}])
        play.expect(page.locator("#status")).to_contain_text("preview")
        play.expect(page.locator("#progress")).to_be_visible()
        colour = page.evaluate("document.querySelector('#list canvas').getContext('2d').getImageData(94, 8, 1, 1).data")
        assert colour[:3] == [200, 30, 40]  # the block is there
        page.click("[data-tool=foreground]")
        page.mouse.move(*at(page, 700, 500, (900, 700)))
        page.mouse.down()
        page.mouse.move(*at(page, 760, 500, (900, 700)), steps=3)
        with page.expect_response("**/trimap"):  # it is shown meanwhile
            page.mouse.up()
        assert page.is_disabled("#undo")  # not computed yet
        whole[0].continue_()
        done(page)
        expected = deepmat.cut(photo, finder="plain", weights="closed-form", device="cpu").rgba
        painted = picture(taken(page)[1])
        assert painted[500, 730, 3] == 255 and expected[500, 730, 3] == 0
        np.testing.assert_array_equal(painted[:300, :, 3], expected[:300, :, 3])
        page.click("#undo")
        play.expect(page.locator("#redo")).to_be_enabled()
        np.testing.assert_array_equal(picture(taken(page)[1]), expected)


def test_a_click_stops_the_whole_that_it_replaces(url):
    with opened(url) as page:
        photo, held, failed = encoded(studio(700, 900, 300)), [], []
        page.on("requestfailed", lambda request: failed.append(request.url))
        page.route("**/subject", lambda route: route.continue_() if held else held.append(route))
        page.set_input_files("#files", [{"name": "large.png", "mimeType": "image/png", "buffer": photo}])
        play.expect(page.locator("#status")).to_contain_text("preview")
        expected = deepmat.cut(photo, finder="plain", weights="closed-form", device="cpu").rgba
        page.click("[data-tool=foreground]")
        page.mouse.click(*at(page, 730, 500, (900, 700)))
        page.click("[data-tool=add]")
        page.mouse.click(*at(page, 330, 40, (900, 700)))
        done(page)
        assert len(failed) == 1 and failed[0].endswith("/subject")
        clicked = picture(taken(page)[1])
        assert clicked[40, 330, 3] == 255 and clicked[500, 730, 3] == 255
        page.click("#undo")  # to a picture that was never computed
        play.expect(page.locator("#undo")).to_be_disabled()
        np.testing.assert_array_equal(picture(taken(page)[1]), expected)
        page.click("#redo")
        play.expect(page.locator("#redo")).to_be_disabled()
        np.testing.assert_array_equal(picture(taken(page)[1])[..., 3], clicked[..., 3])


def test_a_preview_is_kept_where_the_whole_fails(url):
    with opened(url) as page:
        failed = {"error": {"code": "timeout", "detail": "not done after 1 seconds"}}
        page.route("**/subject", lambda route: route.fulfill(status=504, json=failed))
        photo = {"name": "large.png", "mimeType": "image/png", "buffer": encoded(studio(700, 900, 300))}
        page.set_input_files("#files", [photo])
        told = "Not done after 1 seconds. The preview is kept."
        play.expect(page.locator("#problem")).to_have_text(told)
        kept = picture(taken(page)[1])
        assert kept[40, 330, 3] == 255 and not kept[300, 100, 3]
        stroke(page, "foreground", (100, 300), (105, 300), (900, 700))
        assert picture(taken(page)[1])[300, 100, 3] == 255


def test_pictures_larger_than_an_upload_may_be():
    with server("--max-upload", "1", "--timeout", "120") as (url, _, _), opened(url) as page:
        photo = encoded(studio(1100, 1200, 500))  # 1.3 MP in a few kB
        page.set_input_files("#files", [{"name": "large.png", "mimeType": "image/png", "buffer": photo}])
        play.expect(page.locator("#status")).to_contain_text("Found by the plain backdrop")
        found = picture(taken(page)[1])
        page.click("[data-tool=background]")
        page.mouse.move(*at(page, 1190, 1, (1200, 1100)))
        page.mouse.down()
        page.mouse.move(*at(page, 2, 1098, (1200, 1100)))
        page.mouse.up()
        done(page)
        page.keyboard.press("Control+z")
        play.expect(page.locator("#undo")).to_be_disabled()
        assert page.is_hidden("#problem")
        np.testing.assert_array_equal(picture(taken(page)[1]), found)


def test_a_picture_over_the_limit_is_refused_beside_one_that_is_made():
    with server("--max-megapixels", "1", "--timeout", "120") as (url, _, _), opened(url) as page:
        # The browser is slow to decode a file.
        page.evaluate(
            "() => { const make = createImageBitmap; "
            "window.createImageBitmap = file => file instanceof File ? new Promise(() => null) : make(file); }"
        )
        photos = [("small.png", studio(600, 900, 300)), ("large.png", studio(1100, 1200, 500))]
        for name, pixels in photos:
            page.set_input_files("#files", [{"name": name, "mimeType": "image/png", "buffer": encoded(pixels)}])
        page.locator("#list button").last.click()
        play.expect(page.locator("#problem")).to_have_text("1200x1100 is over 1 megapixels; shrink it.")
        play.expect(page.locator("#list .state").last).to_have_text("failed")


def test_of_clicks_that_wait_the_last_one_finds_the_subject_by_all(url):
    with opened(url) as page:
        choose(page, "block.png")
        found, asked = picture(taken(page)[1]), []
        page.route("**/trimap", lambda route: asked.append(route))  # a stroke that takes long
        page.click("[data-tool=unknown]")
        page.mouse.click(*at(page, 300, 200))
        page.on("request", lambda request: asked.append(request.post_data) if "/subject" in request.url else None)
        for tool, place in (("add", (120, 40)), ("drop", (20, 20))):
            page.click(f"[data-tool={tool}]")
            page.mouse.click(*at(page, *place))
        asked.pop(0).continue_()
        page.unroute("**/trimap")
        done(page)
        (sent,) = asked
        assert sent.count('name="points"') == sent.count('name="not_points"') == 1
        page.keyboard.press("Control+z")
        page.keyboard.press("Control+z")
        play.expect(page.locator("#undo")).to_be_disabled()
        again = picture(taken(page)[1])
        np.testing.assert_array_equal(again[..., 3], found[..., 3])
        # Undo brings levels of alpha back, not the steps between them, on which estimated colours depend a little.
        assert np.abs(again[..., :3].astype(int) - found[..., :3]).max() <= 1


def test_where_nothing_is_found_the_page_waits_for_a_click(url):
    with opened(url) as page:
        noise = encoded(np.random.default_rng(0).integers(0, 255, (240, 360, 3), np.uint8))
        page.set_input_files("#files", [{"name": "noise.png", "mimeType": "image/png", "buffer": noise}])
        play.expect(page.locator("#list .state")).to_have_text("needs a hand")
        assert page.locator("[data-tool=add]").get_attribute("aria-pressed") == "true"
        assert page.is_disabled("#download")
        stroke(page, "foreground", (100, 100), (140, 100))
        play.expect(page.locator("#download")).to_be_enabled()
        page.keyboard.press("Control+z")
        play.expect(page.locator("#list .state")).to_have_text("needs a hand")
        page.click("#remove")
        play.expect(page.locator("#list li")).to_have_count(0)
        play.expect(page.locator("#start")).to_be_visible()


def test_a_list_and_what_is_taken_home(url):
    with opened(url) as page:
        choose(page, "a.png", "b.png")
        name, data = taken(page, "#all")
        assert name == "deepmat.zip" and len(zipfile.ZipFile(io.BytesIO(data)).namelist()) == 2
        page.click("[data-tool=unknown]")
        assert page.is_checked("#film")
        page.select_option("#show", "colour")
        assert not page.is_checked("#film")  # it would be over the colour
        page.fill("#colour", "#00ff00")
        for what, size in (("alpha.png", (60, 40)), ("trimap.png", (60, 40)), ("cutout.webp", (60, 40))):
            page.select_option("#what", what)
            page.check("#crop")
            assert Image.open(io.BytesIO(taken(page)[1])).size == size
        page.uncheck("#crop")
        page.select_option("#what", "composite.png")
        assert picture(taken(page)[1])[0, 0].tolist() == [0, 255, 0]


def test_with_keys_alone(url):
    with opened(url) as page:
        choose(page, "keys.png")
        page.locator("#canvas").focus()
        page.keyboard.press("g")
        for _ in range(2):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        done(page)
        assert page.locator("[data-tool=background]").get_attribute("aria-pressed") == "true"
        page.keyboard.press("Control+z")
        play.expect(page.locator("#redo")).to_be_enabled()
        page.keyboard.press("b")
        page.keyboard.press("Escape")
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id"))
        assert {"files", "undo", "again", "canvas", "show", "film", "what", "download"} - {"undo"} <= reached


BLOCK = """() => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 360, height: 240 });
    const context = canvas.getContext("2d");
    for (const [colour, ...at] of [["#e6e6e8", 0, 0, 360, 240], ["#c81e28", 90, 60, 180, 120]]) {
        context.fillStyle = colour;
        context.fillRect(...at);
    }
    return new Promise((done) => canvas.toBlob(done));
}"""


def test_pictures_are_pasted_and_dropped(url):
    with opened(url) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        block = page.evaluate_handle(BLOCK)
        page.evaluate("block => navigator.clipboard.write([new ClipboardItem({ 'image/png': block })])", block)
        page.keyboard.press("Control+v")
        play.expect(page.locator("#status")).to_contain_text("Found by the plain backdrop")
        dropped = page.evaluate_handle(
            "block => { const all = new DataTransfer(); all.items.add(new File([block], 'd.png')); return all; }", block
        )
        page.dispatch_event("#stage", "drop", {"dataTransfer": dropped})
        play.expect(page.locator("#list li")).to_have_count(2)
        play.expect(page.locator("#all")).to_be_enabled()
        assert page.locator("#list li").all_inner_texts()[1].strip() == "d.png"


def test_two_fingers_zoom_and_what_the_first_one_painted_is_given_up(url):
    with opened(url, has_touch=True) as page:
        choose(page, "block.png")
        page.click("[data-tool=foreground]")
        fingers = page.context.new_cdp_session(page)

        def touch(kind, *places):
            points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        def scale():
            return int(page.inner_text("#zoom").split()[0])

        (x, y), before = at(page, 320, 40), scale()
        touch("touchStart", (x - 20, y))
        touch("touchStart", (x - 20, y), (x + 20, y))
        for apart in (30, 40):
            touch("touchMove", (x - apart, y), (x + apart, y))
        touch("touchEnd")
        play.expect(page.locator("#zoom")).not_to_have_text(f"{before} %")
        assert 1.8 * before < scale() < 2.2 * before
        assert page.is_disabled("#undo") and page.is_hidden("#progress")
        touch("touchStart", (x, y))  # one finger paints
        touch("touchEnd")
        done(page)
        assert page.is_enabled("#undo")


def test_all_controls_have_names(url):
    with opened(url) as page:
        choose(page, "named.png")
        page.check("#wipe")
        for show in ("colour", "picture"):
            page.select_option("#show", show)
            tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
            controls = [each for each in tree if not each["ignored"] and each["role"]["value"] in CONTROLS]
            assert len(controls) > 25
            assert not [each["role"]["value"] for each in controls if not each.get("name", {}).get("value", "").strip()]


def test_errors_stand_beside_their_picture(url):
    with opened(url) as page:
        text = {"name": "text.png", "mimeType": "image/png", "buffer": b"no picture"}
        page.set_input_files("#files", [text])
        play.expect(page.locator("#problem")).to_contain_text("Not a picture")
        play.expect(page.locator("#list .state")).to_have_text("failed")


def test_pictures_that_met_no_key_are_sent_again_with_it(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    with server("--api-key-file", str(keys)) as (url, _, _), opened(url) as page:
        play.expect(page.locator("#keybox")).to_be_visible()
        photo = {"name": "block.png", "mimeType": "image/png", "buffer": encoded(studio())}
        page.set_input_files("#files", [photo])
        play.expect(page.locator("#list .state")).to_have_text("failed")
        page.fill("#key", "secret")
        page.keyboard.press("Enter")
        play.expect(page.locator("#download")).to_be_enabled()
        play.expect(page.locator("#keybox")).to_be_hidden()


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (400, "dark"), (2000, "light")])
def test_widths_and_colours(url, width, scheme):
    with opened(url, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        choose(page, "wide.png")
        for each in page.locator("button:visible, select:visible, #canvas").all():
            box = each.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, each.inner_text()
        back = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", back))) < 200) == (scheme == "dark")
