"""What the page asks for: pictures kept in memory, strokes, undo, files."""

import gzip
import io
import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from serving import encoded, studio

from deepmat.errors import NoSubject
from deepmat.serve import editing, previews
from deepmat.serve.pictures import Held, Pictures
from deepmat.serve.refusals import Refusal, refusal_of, worded


def added(client, photo):
    response = client.post("/v1/pictures", files={"image": photo})
    assert response.status_code == 200, response.text
    return response.json()


def pixels(client, name):
    return np.frombuffer(client.get(f"/v1/pictures/{name}/pixels").content, np.uint8).reshape(80, 120, 4)


def trimap(client, name):
    return np.frombuffer(client.get(f"/v1/pictures/{name}/trimap").content, np.uint8).reshape(80, 120)


def paint(client, name, levels, left, top, alpha=None):
    height, width = levels.shape
    files = {"trimap": levels.tobytes()} | ({} if alpha is None else {"alpha": alpha.tobytes()})
    fields = {"left": left, "top": top, "width": width, "height": height}
    return client.post(f"/v1/pictures/{name}/trimap", files=files, data=fields)


def test_a_stroke_and_its_undo(client, photo):
    told = added(client, photo)
    name = told["id"]
    assert (told["width"], told["height"], told["finder"], told["problem"]) == (120, 80, "plain", None)
    before, levels = pixels(client, name), trimap(client, name)
    response = paint(client, name, np.full((10, 20), 255, np.uint8), 2, 3)
    left, top, right, bottom = map(int, response.headers["x-rectangle"].split(","))
    assert left == top == 0 and right < 120
    part = np.frombuffer(response.content, np.uint8).reshape(bottom - top, right - left, 4)
    assert (part[3:13, 2:22, 3] == 255).all()
    after = pixels(client, name)
    np.testing.assert_array_equal(after[top:bottom, left:right, 3], part[..., 3])
    assert (trimap(client, name)[3:13, 2:22] == 255).all()
    back = paint(client, name, levels[:, :right], 0, 0, before[:, :right, 3])
    assert back.status_code == 204
    np.testing.assert_array_equal(pixels(client, name), before)
    np.testing.assert_array_equal(trimap(client, name), levels)


def test_only_what_is_around_a_stroke_changes(client):
    wide = studio(80, 600, 30)
    wide[20:60, 500:560] = (200, 30, 40)
    name = added(client, encoded(wide))["id"]

    def alpha():
        return np.frombuffer(client.get(f"/v1/pictures/{name}/pixels").content, np.uint8).reshape(80, 600, 4)[..., 3]

    before = alpha()
    assert paint(client, name, np.full((10, 10), 128, np.uint8), 50, 15).status_code == 200
    np.testing.assert_array_equal(alpha()[:, 200:], before[:, 200:])


@pytest.mark.parametrize(
    ("levels", "left", "word"),
    [(np.full((5, 5), 7, np.uint8), 0, "0, 128 and 255"), (np.zeros((5, 5), np.uint8), 118, "outside")],
)
def test_strokes_that_cannot_be(client, photo, levels, left, word):
    name = added(client, photo)["id"]
    for undone in (None, levels):
        response = paint(client, name, levels, left, 0, undone)
        assert response.status_code == 400 and word in response.json()["error"]["detail"]
    assert set(np.unique(trimap(client, name))) == {0, 128, 255}


def test_a_picture_without_a_subject_is_kept_for_a_hand(client):
    noise = np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    told = added(client, encoded(noise))
    assert told["problem"] and not pixels(client, told["id"])[..., 3].any()
    assert paint(client, told["id"], np.full((10, 20), 255, np.uint8), 30, 30).status_code == 200
    assert pixels(client, told["id"])[35, 35].tolist() == [*noise[35, 35], 255]


def test_clicks_show_the_subject(client, photo):
    name = added(client, photo)["id"]
    found = client.post(f"/v1/pictures/{name}/subject", data={"points": "60,40", "not_points": "5,5"}).json()
    assert found["finder"] == "plain" and pixels(client, name)[40, 60, 3] == 255
    outside = client.post(f"/v1/pictures/{name}/subject", data={"points": "600,40"})
    assert outside.status_code == 422 and "outside the picture" in outside.json()["error"]["detail"]


def test_a_preview_comes_first_where_the_whole_takes_long(client, photo, monkeypatch):
    expected = pixels(client, added(client, photo)["id"])
    wanted = {"preview": "true"}
    assert not client.post("/v1/pictures", files={"image": photo}, data=wanted).json()["preview"]  # it is fast enough
    monkeypatch.setattr(previews, "LARGE", 1000)
    monkeypatch.setattr(previews, "PIXELS", 2400)
    first = client.post("/v1/pictures", files={"image": photo}, data=wanted).json()
    assert (first["preview"], first["finder"], first["width"], first["height"]) == (True, "plain", 120, 80)
    url = f"/v1/pictures/{first['id']}"
    seen = np.asarray(Image.open(io.BytesIO(client.get(f"{url}/preview").content)))
    assert seen.shape == (40, 60, 4) and seen[20, 30].tolist() == [200, 30, 40, 255] and not seen[5, 5, 3]
    assert not pixels(client, first["id"])[..., 3].any()
    whole = client.post(f"{url}/subject", data={"preview": "false"}).json()
    assert not whole["preview"] and client.get(f"{url}/preview").status_code == 404
    np.testing.assert_array_equal(pixels(client, first["id"]), expected)
    clicked = client.post(f"{url}/subject", data={"points": "88,58", **wanted}).json()  # at the block's lower right
    assert clicked["preview"] and clicked["finder"] == "plain"
    np.testing.assert_array_equal(pixels(client, first["id"]), expected)  # the cut-out stays until the whole is made
    noise = encoded(np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8))
    none = client.post("/v1/pictures", files={"image": noise}, data=wanted).json()
    assert not none["preview"] and "not plain" in none["problem"] and "give" not in none["problem"]


def test_strokes_on_a_preview_are_shown_until_the_whole_is_made(client, photo, monkeypatch):
    monkeypatch.setattr(previews, "LARGE", 1000)
    monkeypatch.setattr(previews, "PIXELS", 2400)
    name = client.post("/v1/pictures", files={"image": photo}, data={"preview": "true"}).json()["id"]
    found = trimap(client, name)
    assert found[40, 60] == 255 and not found[5, 5]  # known before the whole is
    at = {"left": 2, "top": 3, "width": 20, "height": 10, "preview": "true"}
    url, levels = f"/v1/pictures/{name}", {"packed": gzip.compress(b"\xff" * 200)}
    shown = client.post(f"{url}/trimap", files=levels, data=at)
    left, top, right, bottom = map(int, shown.headers["x-rectangle"].split(","))
    part = np.frombuffer(shown.content, np.uint8).reshape(bottom - top, right - left, 4)
    assert (part[3:13, 2:22, 3] == 255).all() and part[30, 50, 3] == 255  # the stroke, and the block beside it
    assert (trimap(client, name)[3:13, 2:22] == 255).all()
    client.post(f"{url}/subject", data={"preview": "false"})
    assert not trimap(client, name)[3:13, 2:22].any()  # the page sends the stroke again
    assert client.post(f"{url}/trimap", files=levels, data=at).status_code == 400


def test_packed_strokes(client, photo):
    name = added(client, photo)["id"]
    at = {"left": 2, "top": 3, "width": 20, "height": 10}

    def sent(**files):
        return client.post(f"/v1/pictures/{name}/trimap", files=files, data=at)

    assert sent(packed=gzip.compress(b"\xff" * 200)).status_code == 200
    assert (trimap(client, name)[3:13, 2:22] == 255).all()
    for wrong in (gzip.compress(b"\0" * 10**6), gzip.compress(b"\0"), b"\0" * 200, b""):
        assert sent(packed=wrong).status_code == 400
    assert sent(packed=gzip.compress(b"\0" * 200), trimap=b"\0" * 200).status_code == 400
    assert (trimap(client, name)[3:13, 2:22] == 255).all()


def test_what_takes_long_depends_on_what_the_network_sees():
    network = SimpleNamespace(enlarge_up_to=1024)
    assert previews.is_slow(network, (500, 400)) and not previews.is_slow(network, (300, 400))
    assert previews.is_slow(network, (500, 1100)) and not previews.is_slow(SimpleNamespace(enlarge_up_to=0), (500, 900))


def test_files_and_an_archive(client, photo, monkeypatch):
    name = added(client, photo)["id"]
    same = client.post("/v1/cutout", files={"image": photo}).content
    assert client.post(f"/v1/pictures/{name}/output", data={"output": "cutout"}).content == same
    names = ["../../a", "../../a", "ä b"]
    packed = client.post("/v1/archive", data={"ids": [name] * 3, "names": names, "output": "alpha", "crop": "0"})
    archive = zipfile.ZipFile(io.BytesIO(packed.content))
    assert archive.namelist() == ["______a.png", "______a-2.png", "ä b.png"]
    assert Image.open(io.BytesIO(archive.read("ä b.png"))).size == (60, 40)
    monkeypatch.setattr(editing, "ARCHIVE", 100)
    large = client.post("/v1/archive", data={"ids": [name], "names": "a"})
    assert large.status_code == 413 and "take fewer pictures" in large.json()["error"]["detail"]


def test_ids_are_not_guessed_and_pictures_are_given_up(client, photo):
    names = {added(client, photo)["id"] for _ in range(3)}
    assert len(names) == 3 and all(len(name) >= 32 for name in names)
    one = names.pop()
    assert client.delete(f"/v1/pictures/{one}").status_code == 204
    gone = client.get(f"/v1/pictures/{one}/pixels")
    assert gone.status_code == 404 and gone.json()["error"]["code"] == "not_found"


def test_memory_of_pictures_is_bounded(client, photo):
    added(client, photo)
    held = next(iter(client.service.pictures.held.values()))
    pictures = Pictures(most=2 * held.bytes)
    names = [pictures.add(Held(held.read, held.cut)) for _ in range(2)]
    pictures.get(names[0])
    pictures.add(Held(held.read, held.cut))
    assert pictures.get(names[0]) and pictures.bytes() <= 2 * held.bytes
    with pytest.raises(Refusal, match="not kept"):
        pictures.get(names[1])
    short = Pictures(lasting=0.05)
    short.add(held)
    assert short.held
    held.used -= 1
    short.next_look.join(5)
    assert not short.held and short.next_look is None  # though nobody asked


def test_clients_are_told_nothing_of_this_machine():
    why = "no finder finds the subject: it has a texture"
    ways = ("trimap", "mask", "box", "point", "finder")
    error = NoSubject(why, ways, "/root/.cache/x/u2netp.onnx: is not there", "image")
    assert "--masks" in str(error) and "u2netp.onnx: is not there" in str(pickle.loads(pickle.dumps(error)))
    refusal = refusal_of(error)
    assert refusal.code == "no_subject"
    assert refusal.detail == f"image: {why}; give a trimap, a mask, a box or points"
    assert worded("/home/me/my.onnx: cannot run (--finder x)") == "my.onnx: cannot run"
    assert worded("1/2 of --point 1,2: lies outside") == "1/2 of points 1,2: lies outside"
