import re

import numpy as np
import pytest
from onnx_files import mean_of_colours

from deepmat.errors import ConfigError, DataError, NoSubject
from deepmat.subject.finders import Found, Prompts, choice
from deepmat.subject.finders.choice import FINDERS, find, list_finders, settings_for
from deepmat.subject.finders.known import NETWORKS
from deepmat.subject.finders.settings import Settings
from deepmat.subject.seeking import Seeker, prepare

BOX = Prompts(box=(1, 1, 5, 5))
PHOTO = np.zeros((8, 12, 3), np.uint8)
PHOTO[2:6, 3:9] = 255
SHAPE = PHOTO[:, :, 0].copy()


def answer(level):
    return lambda image, prompts: Found(np.full(image.shape[:2], level, np.uint8), 0.9, 12, [])


@pytest.fixture(autouse=True)
def finders(monkeypatch):
    """Finders whose masks tell them apart, and no file of a network."""

    def plain(image, prompts):
        """Find the subject before a plain backdrop."""
        if image[0, 0, 0]:
            raise NoSubject("the border is not plain", ("box",))
        return answer(2)(image, prompts)

    monkeypatch.setitem(FINDERS, "plain", plain)
    monkeypatch.setitem(FINDERS, "prompts", answer(1))


@pytest.fixture
def network(monkeypatch, tmp_path):
    """The file of every network known by name."""
    path = mean_of_colours(tmp_path / "n.onnx", (1, 3, "h", "w"))
    monkeypatch.setattr(choice, "obtain", lambda name, **options: path)
    return path


@pytest.mark.parametrize(
    ("prompts", "alpha", "name", "level"),
    [
        (None, SHAPE, "alpha", 255),
        (BOX, SHAPE, "alpha", 255),
        (BOX, None, "prompts", 1),
        (BOX, np.full_like(SHAPE, 255), "prompts", 1),
        (BOX, np.zeros_like(SHAPE), "prompts", 1),
        (Prompts(points=((1, 1),)), None, "prompts", 1),
        (Prompts(not_points=((1, 1),)), None, "plain", 2),
        (None, None, "plain", 2),
    ],
    ids=["alpha", "alpha before prompts", "prompts", "opaque", "empty", "points", "not points", "plain"],
)
def test_a_finder_is_chosen_by_what_there_is(prompts, alpha, name, level):
    chosen = find(PHOTO, prompts, own_alpha=alpha)
    assert chosen.name == name and chosen.found.mask[3, 5] == level and chosen.why
    assert bool(chosen.found.notices) == (name == "alpha" and prompts is not None)


def test_a_network_comes_last_by_itself(network):
    pytest.importorskip("onnxruntime")
    chosen = find(255 - PHOTO)
    assert chosen.name == "u2netp" and chosen.why == "the border is not plain"
    assert chosen.found.mask[0, 0] > 200 > 50 > chosen.found.mask[4, 6]


def test_with_prompts_a_network_comes_first(network):
    pytest.importorskip("onnxruntime")
    chosen = find(255 - PHOTO, Prompts(points=((0, 0),), not_points=((5, 4),)))
    assert chosen.name == "u2netp" and chosen.why == "a box or points are given"
    assert chosen.found.mask[0, 0] > 200 > 50 > chosen.found.mask[4, 6]


def test_with_prompts_colours_are_the_last_resort(network):
    pytest.importorskip("onnxruntime")
    chosen = find(np.zeros_like(PHOTO), BOX)
    assert chosen.name == "prompts" and chosen.found.mask[3, 5] == 1
    assert chosen.why == "a box or points are given; n.onnx finds no subject"


def test_with_prompts_what_the_network_lacks_is_said():
    pytest.importorskip("onnxruntime")
    chosen = find(PHOTO, BOX)
    assert chosen.name == "prompts"
    assert re.match("a box or points are given; .*u2netp.onnx: is not there, and fetching is off", chosen.why)


def test_where_none_fits_the_ways_on_are_named(monkeypatch):
    monkeypatch.setenv("DEEPMAT_OFFLINE", "1")
    with pytest.raises(NoSubject) as error:
        find(255 - PHOTO)
    assert error.value.missing == "no finder finds the subject: the border is not plain"
    message = str(error.value)
    for part in ("not plain", "u2netp.onnx: is not there", "https://", "--trimaps", "--masks", "--box", "--finder"):
        assert part in message
    assert "\n" not in message


def test_the_network_that_found_nothing_is_not_what_helps(monkeypatch):
    def nothing(*arguments, **named):
        raise NoSubject("u2netp.onnx finds no subject", ("box",))

    monkeypatch.setattr(choice, "obtain", lambda name, **options: "u2netp.onnx")
    monkeypatch.setattr(choice.network, "find", nothing)
    with pytest.raises(NoSubject, match=r"finds no subject; give .* or another finder \(--finder list names all\)$"):
        find(255 - PHOTO)


def test_the_finder_asked_for_is_used_whatever_there_is(network):
    pytest.importorskip("onnxruntime")
    assert find(PHOTO, BOX, "plain", SHAPE).name == "plain"
    for finder in (network, str(network), "u2netp"):
        chosen = find(PHOTO, None, finder, SHAPE)
        assert chosen.name == str(finder) and chosen.found.detail == 12 and chosen.why == "asked for"
        assert chosen.found.mask[4, 6] > 200 > 50 > chosen.found.mask[0, 0]


def test_settings_change_those_of_the_network():
    u2netp = NETWORKS["u2netp"].settings
    assert settings_for("u2netp", ["side=640"]) == settings_for(None, ["side=640"]) == u2netp._replace(side=640)
    assert settings_for("model.onnx", ["side=640"]) == Settings(640)
    assert settings_for("u2netp", []) is None


def test_settings_that_do_not_fit_the_network_are_no_reason_to_go_on_without_it(monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    fixed = mean_of_colours(tmp_path / "fixed.onnx", (1, 3, 12, 12))
    monkeypatch.setattr(choice, "obtain", lambda name, **options: fixed)
    with pytest.raises(ConfigError, match="side 640: .* takes 12 pixels"):
        find(PHOTO, BOX, settings=Settings(640))
    with pytest.raises(ConfigError, match="side 640: .* takes 12 pixels"):  # before any picture
        prepare(Seeker(finder=str(fixed), settings=Settings(640)))


def test_wrong_finders_are_refused():
    with pytest.raises(ConfigError, match="finder .*'plian': unknown, did you mean plain"):
        find(PHOTO, finder="plian")
    with pytest.raises(DataError, match="gone.onnx: no such file"):
        find(PHOTO, finder="gone.onnx")
    with pytest.raises(ConfigError, match="'plain': is no network"):
        find(PHOTO, finder="plain", settings=Settings())


def test_every_finder_is_listed():
    records = {record["name"]: record for record in list_finders()}
    assert set(records) == {*FINDERS, *NETWORKS}
    plain, u2netp = records["plain"], records["u2netp"]
    assert plain["finds"] == "Find the subject before a plain backdrop." and not plain["megabytes"]
    shown = [u2netp[key] for key in ("megabytes", "licence", "trained_on", "path")]
    assert shown == [4.6, "Apache-2.0", "DUTS", ""]
