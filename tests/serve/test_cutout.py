"""POST /v1/cutout: what is answered, and what is refused with which status."""

import asyncio
import io
import json
import struct
import tempfile
import threading
import zlib

import numpy as np
import pytest
from PIL import Image
from serving import encoded, studio

import deepmat
from deepmat.inference.outputs import make_cutout
from deepmat.inference.subjects import see_subject
from deepmat.serve import guards, making
from deepmat.serve.workers import Stop
from deepmat.subject.finders import Prompts


def opened(response):
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def refused(response, status, code, *words):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code and "\n" not in error["detail"] and "--" not in error["detail"]
    for word in words:
        assert word in error["detail"], error["detail"]


def cut(client, image, more=None, **fields):
    return client.post("/v1/cutout", files={"image": image, **(more or {})}, data=fields)


def test_the_answer_is_that_of_cut(client, photo):
    response = cut(client, photo)
    expected = deepmat.cut(photo, finder="plain", weights="closed-form", device="cpu")
    np.testing.assert_array_equal(opened(response), expected.rgba)
    assert response.headers["x-finder"] == "plain" and response.headers["x-width"] == "120"
    assert json.loads(response.headers["x-notices"]) == []


def test_outputs(client, photo):
    assert opened(cut(client, photo, output="alpha")).shape == (80, 120)
    assert set(np.unique(opened(cut(client, photo, output="trimap")))) == {0, 128, 255}
    over = opened(cut(client, photo, output="composite", background="#0000ff", format="png"))
    assert over[0, 0].tolist() == [0, 0, 255] and over[40, 60].tolist() == [200, 30, 40]
    behind = {"background_image": encoded(np.full((5, 5, 3), (0, 255, 0), np.uint8))}
    assert opened(cut(client, photo, behind, output="composite"))[0, 0].tolist() == [0, 255, 0]
    cropped = opened(cut(client, photo, crop="2", square="true"))
    assert cropped.shape == (64, 64, 4)
    refused(cut(client, photo, crop="99999999"), 413, "too_large", "image: crop: ", "smaller margin")
    webp = cut(client, photo, format="webp")
    assert webp.headers["content-type"] == "image/webp" and Image.open(io.BytesIO(webp.content)).format == "WEBP"


def test_a_trimap_a_mask_a_box_or_points_show_the_subject(client, photo, monkeypatch):
    """The trimaps of all but the first are those of rough masks, which prediction narrows."""
    asked = []

    def recorded(network, image, subject, **options):
        asked.append(subject.loose)
        return see_subject(network, image, subject, **options)

    monkeypatch.setattr(making, "see_subject", recorded)
    mask = np.zeros((80, 120), np.uint8)
    mask[20:60, 30:90] = 255
    trimap = mask.copy()
    trimap[18:22], trimap[58:62] = 128, 128
    for more, fields, finder in (
        ({"trimap": encoded(trimap)}, {}, "trimap"),
        ({"mask": encoded(mask)}, {}, "mask"),
        ({}, {"box": "25,15,95,65"}, "plain"),
        ({}, {"points": ["60,40", "50,30"], "not_points": "5,5;110,70"}, "plain"),
        ({"mask": encoded(mask)}, {"box": "25,15,95,65", "points": "60,40"}, "mask"),
    ):
        response = cut(client, photo, more, output="alpha", **fields)
        alpha = opened(response)
        assert response.headers["x-finder"] == finder and alpha[40, 60] == 255 and alpha[2, 2] == 0
    assert asked == [False, True, True, True, True]
    for more, fields in (({"mask": encoded(mask)}, {}), ({}, {"box": "0,0,9,9"}), ({}, {"points": "60,40"})):
        answer = cut(client, photo, {"trimap": encoded(trimap), **more}, **fields)
        refused(answer, 400, "bad_request", "trimap: shows the subject itself; leave out mask, box and points")


def test_a_picture_that_is_cut_out_comes_back_as_it_is():
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[15:45, 20:60] = np.random.default_rng(0).integers(40, 256, (30, 40, 4))
    maker = making.Maker(None, None, 10**6)
    read = making.read_image(encoded(rgba), maker.max_pixels)
    subject = making.subject_in(maker, read, None, None, Prompts())
    made, notices = making.matte(maker, read, subject, Stop())
    np.testing.assert_array_equal(make_cutout(made), rgba)
    assert subject.finder == "alpha" and not notices


def test_a_trimap_that_misses_the_edge_gets_no_remedy_of_masks(client, photo):
    trimap = np.zeros((80, 120), np.uint8)
    trimap[30:50, 40:80] = 255  # well inside the block
    trimap[28:30, 40:80] = 128
    told = json.loads(cut(client, photo, {"trimap": encoded(trimap)}, output="alpha").headers["x-notices"])
    assert any("widen it or correct it" in notice for notice in told)
    assert not any("mask" in notice or "--" in notice for notice in told)


def test_points_correct_a_mask(client, photo):
    """The photo's block is at columns 30 to 90; the mask lacks its right half."""
    half = np.zeros((80, 120), np.uint8)
    half[20:60, 30:60] = 255
    assert not opened(cut(client, photo, {"mask": encoded(half)}, output="alpha"))[30:50, 75:85].any()
    assert opened(cut(client, photo, {"mask": encoded(half)}, output="alpha", points="80,40"))[30:50, 35:85].all()


def png_of(width, height):
    """A PNG file of that size in its header, with next to no pixels in it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_pictures_that_cannot_be_cut(client, photo):
    refused(cut(client, b"not a picture"), 415, "no_picture")
    refused(
        cut(client, ("photo.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/png")), 415, "no_picture"
    )
    refused(cut(client, b""), 415, "no_picture")
    for bomb in (png_of(30_000, 30_000), png_of(60_000, 60_000)):
        refused(cut(client, bomb), 413, "too_large", "50 megapixels")
    refused(cut(client, photo, {"mask": png_of(30_000, 30_000)}), 413, "too_large", "mask")
    behind = {"background_image": png_of(30_000, 30_000)}
    refused(cut(client, photo, behind, output="composite"), 413, "too_large", "background_image")
    refused(cut(client, photo[: len(photo) // 2]), 422, "unusable", "image")
    refused(cut(client, png_of(30, 30)), 422, "unusable", "image")
    refused(cut(client, encoded(studio()[:1, :1])), 422, "no_subject")
    busy = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    refused(cut(client, encoded(busy)), 422, "no_subject")


def test_a_mislabelled_picture_is_taken_for_what_it_is(client, photo):
    assert opened(cut(client, ("../../etc/passwd", photo, "image/jpeg"))).shape == (80, 120, 4)
    assert opened(cut(client, ("a.png", encoded(studio(), "JPEG"), "image/png"))).shape == (80, 120, 4)


def test_a_pixel_with_its_trimap(client):
    pixel = encoded(studio()[:1, :1])
    response = cut(client, pixel, {"trimap": encoded(np.full((1, 1), 255, np.uint8))}, output="alpha")
    assert opened(response).tolist() == [[255]]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"boxes": "1,2,3,4"}, "boxes: unknown field"),
        ({"box": "1,2,3"}, "LEFT,TOP"),
        ({"box": "9,9,1,1"}, "no area"),
        ({"points": "x"}, "X,Y"),
        ({"output": "sheets"}, "output"),
        ({"output": "alpha", "format": "jpg"}, ".png or .tif"),
        ({"output": "cutout", "background": "white"}, "composite"),
        ({"output": "composite", "background": "/etc/passwd"}, "not a colour"),
        ({"crop": "much"}, "crop"),
    ],
)
def test_fields_that_do_not_fit(client, photo, fields, word):
    refused(cut(client, photo, **fields), 400, "bad_request", word)


@pytest.mark.parametrize("name", ["box", "points", "not_points"])
def test_a_text_that_is_sent_as_a_file_is_a_text(client, photo, name):
    refused(cut(client, photo, {name: b"\xff\xd8"}), 400, "bad_request", f"{name}: Input should be a valid string")
    refused(cut(client, photo, {name: b"1,2,3"}), 400, "bad_request", f"{name} 1,2,3: give ")
    opened(cut(client, photo, {"points": b"60,40;50,30", "not_points": b"5,5"}))


def test_bodies_that_are_no_form(client, photo):
    refused(client.post("/v1/cutout", content=photo, headers={"Content-Type": "image/png"}), 400, "bad_request")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(client.post("/v1/cutout", content=b"nothing", headers=broken), 400, "bad_request")
    refused(client.post("/v1/cutout", data={"box": "1,2,3,4"}), 400, "bad_request", "image: is missing")
    assert client.get("/v1/cutout").status_code == 405 and client.get("/v1/nothing").status_code == 404


def stream(app, first, more):
    """Post a body that never ends. Returns the status and how many parts of it were read."""
    read, sent = [], []

    async def receive():
        read.append(first if not read else more)
        assert len(read) < 100
        return {"type": "http.request", "body": read[-1], "more_body": True}

    async def send(message):
        sent.append(message)

    headers = {"Host": "localhost", "Transfer-Encoding": "chunked", "Content-Type": "multipart/form-data; boundary=x"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/cutout",
        "query_string": b"",
        "scheme": "http",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], len(read)


def test_uploads_are_read_up_to_the_limit_and_no_further(serving, monkeypatch):
    client = serving(max_upload=1)
    assert client.post("/v1/cutout", content=b"x", headers={"Content-Length": "2000000"}).status_code == 413
    large = client.post("/v1/cutout", files={"image": b"\0" * 1_000_001})
    refused(large, 413, "too_large", "1 MB")
    assert large.headers["connection"] == "close"
    first = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    assert stream(client.app, first, b"x" * 100_000) == (413, 11)
    assert client.app.held == 0  # all that was read is given up
    monkeypatch.setattr(guards, "HELD", -client.service.workers.places)  # as if others held all that may be held
    assert stream(client.app, first, b"x" * 100_000) == (503, 1)


def test_uploads_stay_in_memory(serving, monkeypatch):
    def rollover(file):
        raise AssertionError("an upload is written to the disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    large = serving(max_upload=4).post("/v1/cutout", files={"image": b"\0" * 3_000_000})
    refused(large, 415, "no_picture")


def test_a_full_queue_refuses_and_what_fails_is_answered(serving, photo, monkeypatch):
    client = serving(queue=0)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*arguments):
        begun.set()
        assert go_on.wait(20)
        raise RuntimeError("a bug")

    monkeypatch.setattr("deepmat.serve.app.read_image", slow)
    answers = []
    one = threading.Thread(target=lambda: answers.append(cut(client, photo)))
    one.start()
    assert begun.wait(20)
    full = cut(client, photo)
    refused(full, 503, "busy")
    assert full.headers["retry-after"] == "2" and client.get("/readyz").status_code == 503
    go_on.set()
    one.join(20)
    refused(answers[0], 500, "failed")
    monkeypatch.undo()
    assert cut(client, photo).status_code == 200  # the worker goes on


def test_what_takes_too_long_is_answered(serving, photo, monkeypatch):
    client, go_on = serving(timeout=0.5), threading.Event()
    monkeypatch.setattr("deepmat.serve.app.read_image", lambda *_: go_on.wait(20))
    refused(cut(client, photo), 504, "timeout")
    go_on.set()


def test_a_service_that_is_being_stopped_refuses(client, photo):
    client.service.workers.close()
    refused(cut(client, photo), 503, "closing")
    assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200


def test_state(client, photo):
    cut(client, photo)
    models = client.get("/v1/models").json()
    assert models["finder"] == "plain" and models["networks"][0]["name"] == "closed-form"
    assert models["limits"]["megapixels"] == 50 and "cutout" in models["outputs"]
    text = client.get("/metrics").text
    assert 'deepmat_requests_total{route="/v1/cutout",status="200"} 1' in text
    assert 'deepmat_request_seconds_count{route="/v1/cutout"} 1' in text
    described = client.get("/openapi.json").json()["paths"]["/v1/cutout"]["post"]
    form = described["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["properties"]["image"]["format"] == "binary" and form["example"]
    assert {"400", "413", "415", "422", "503"} <= set(described["responses"])


def test_the_name_of_a_finder_may_be_in_any_script(client, photo, monkeypatch):
    from deepmat.serve import app

    plain = app.subject_in
    monkeypatch.setattr(app, "subject_in", lambda *given: plain(*given)._replace(finder="日本 2.onnx"))
    assert cut(client, photo).headers["x-finder"] == "%E6%97%A5%E6%9C%AC 2.onnx"


def test_a_form_of_an_unknown_charset_is_refused(client):
    kind = "multipart/form-data; boundary=BB; charset=undefined"
    body = b'--BB\r\nContent-Disposition: form-data; name="box"\r\n\r\n1,2,3,4\r\n--BB--\r\n'
    refused(client.post("/v1/cutout", content=body, headers={"Content-Type": kind}), 400, "bad_request", "charset")
