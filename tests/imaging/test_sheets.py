from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from deepmat.imaging import sheets


@pytest.fixture
def dejavu(monkeypatch):
    """The font of Latin, Greek and Cyrillic that Matplotlib brings, as the only one."""
    font = Path(pytest.importorskip("matplotlib").get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    monkeypatch.setattr(sheets, "_fonts", lambda: [ImageFont.truetype(str(font), 14)])


def test_what_a_sheet_shows_is_spread_from_the_first_picture_to_the_last():
    assert sheets.spread(15, 8) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert sheets.spread(3, 8) == [0, 1, 2] and sheets.spread(9, 0) == sheets.spread(0, 8) == []


def label(text):
    return sheets._label(text, 26, 400)


def test_names_of_other_alphabets_are_drawn(dejavu):
    for name, same in (("caf\xe9", "cafe\u0301"), ("\u0434\u043e\u043c", None), ("\u03bb x", None)):
        drawn = label(name)
        assert (drawn > 128).any() and not np.array_equal(drawn, label(sheets._escaped(name, str.isascii)))
        assert same is None or np.array_equal(drawn, label(same))


def test_what_no_font_has_is_escaped(dejavu, monkeypatch):
    for name, shown in (("caf\xe9 \u5199", "caf\xe9 \\u5199"), ("caf\xe9\udce9\n", "caf\xe9\\udce9\\n")):
        np.testing.assert_array_equal(label(name), label(shown))
    np.testing.assert_array_equal(label("\u5199\udce9"), label("\\u5199\\udce9"))
    monkeypatch.setattr(sheets, "_fonts", list)
    np.testing.assert_array_equal(label("caf\xe9"), label("caf\\xe9"))
