"""remove.bg's API: the fields, answers and errors that its clients know."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from serving import encoded, studio

URL = "/v1.0/removebg"


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def error_of(response):
    (error,) = response.json()["errors"]
    assert set(error) == {"title", "code", "detail"}
    return response.status_code, error["code"]


def test_a_picture_in_each_way(client, photo):
    expected = opened(client.post("/v1/cutout", files={"image": photo}).content)
    text = base64.b64encode(photo).decode()
    for given in (
        {"files": {"image_file": photo}},
        {"data": {"image_file_b64": text, "size": "auto"}},
        {"json": {"image_file_b64": f"data:image/png;base64,{text}", "type": "product", "crop": False}},
    ):
        response = client.post(URL, **given)
        assert response.status_code == 200, response.text
        np.testing.assert_array_equal(opened(response.content), expected)
        assert (response.headers["x-width"], response.headers["x-height"]) == ("120", "80")
        assert response.headers["x-type"] == "other" and response.headers["x-foreground-left"] == "30"
    answer = client.post(URL, files={"image_file": photo}, headers={"Accept": "application/json"}).json()["data"]
    np.testing.assert_array_equal(opened(base64.b64decode(answer["result_b64"])), expected)
    assert answer["foreground_top"] == 20 and answer["foreground_width"] == 60


def test_options(client, photo):
    def ask(**fields):
        response = client.post(URL, files={"image_file": photo}, data=fields)
        assert response.status_code == 200, response.text
        return opened(response.content)

    assert ask(bg_color="81d4fa", format="png")[0, 0].tolist() == [0x81, 0xD4, 0xFA]
    assert ask(format="jpg")[0, 0].tolist() == [255, 255, 255]
    assert ask(channels="alpha").ndim == 2
    assert ask(crop="true", crop_margin="10px").shape == (60, 80, 4)
    assert not ask(roi="0% 0% 50% 100%")[:, 60:, 3].any()
    large = client.post(URL, files={"image_file": encoded(studio(800, 1000))}, data={"size": "preview"})
    height, width, _ = opened(large.content).shape
    assert 200_000 < height * width <= 250_000


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"image_url": "http://example.org/a.png"}, 400, "invalid_parameters"),
        ({"bg_image_url": "http://example.org/a.png"}, 400, "invalid_parameters"),
        ({}, 400, "invalid_parameters"),
        ({"image_file_b64": "!"}, 400, "invalid_file_type"),
        ({"image_file_b64": base64.b64encode(b"text").decode()}, 400, "invalid_file_type"),
        ({"image_file_b64": base64.b64encode(encoded(studio()[:1, :1])).decode()}, 400, "unknown_foreground"),
        ({"image_file_b64": base64.b64encode(encoded(studio())).decode(), "scale": "50%"}, 400, "invalid_parameters"),
        ({"image_file_b64": base64.b64encode(encoded(studio())).decode(), "roi": "1 2"}, 400, "invalid_parameters"),
        ({"image_file_b64": base64.b64encode(encoded(studio())).decode(), "size": "huge"}, 400, "invalid_parameters"),
    ],
)
def test_errors(client, fields, status, code):
    assert error_of(client.post(URL, json=fields)) == (status, code)


def test_its_statuses_are_described(client):
    responses = client.get("/openapi.json").json()["paths"][URL]["post"]["responses"]
    assert {"200", "400", "403", "429", "503"} <= set(responses) and "auth_failed" in responses["403"]["description"]


def test_errors_of_the_service(serving, photo, tmp_path):
    (tmp_path / "keys").write_text("key\n")
    client = serving(api_key_file=tmp_path / "keys", max_upload=1)
    assert error_of(client.post(URL, files={"image_file": photo})) == (403, "auth_failed")
    key = {"X-Api-Key": "key"}
    assert client.post(URL, files={"image_file": photo}, headers=key).status_code == 200
    assert error_of(client.post(URL, files={"image_file": b"0" * 1_000_001}, headers=key)) == (400, "file_too_large")
    client.service.workers.places = 0
    busy = client.post(URL, files={"image_file": photo}, headers=key)
    assert error_of(busy) == (429, "rate_limit_exceeded") and busy.headers["retry-after"]
