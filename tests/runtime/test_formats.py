"""Picture formats that are known by their first bytes."""

import pytest

from deepmat.errors import DataError
from deepmat.runtime import listing
from deepmat.runtime.formats import format_of

TIFF = b"II*\0\x08\0\0\0"
HEADS = [
    ("a.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ("a.heif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
    ("a.hif", b"\0\0\0\x14ftypheix\0\0\0\0heix", "HEIC"),
    ("a.avi_", b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1", "AVIF"),
    ("a.jxl", b"\xff\x0a\xfa\x7f", "JPEG XL"),
    ("b.jxl", b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ("a.exr", b"v/1\x01\2\0\0\0", "OpenEXR"),
    ("a.CR2", b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
    ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
    ("a.dng", TIFF, "camera raw"),
    ("a.NEF", b"MM\0*\0\0\0\x08", "camera raw"),
    ("a.raf", b"FUJIFILMCCD-RAW 0201", "camera raw"),
    ("a.orf", b"IIRO\x08\0\0\0", "camera raw"),
    ("a.psd", b"8BPS\0\1", "Photoshop"),
    ("a.tif", TIFF, None),
    ("a.mp4", b"\0\0\0\x18ftypisom\0\0\0\1isomavc1", None),
    ("a.txt", b"v is a letter", None),
    ("b.txt", b"", None),
]


@pytest.mark.parametrize(("name", "head", "expected"), HEADS)
def test_formats_by_their_first_bytes(tmp_path, name, head, expected):
    path = tmp_path / name
    path.write_bytes(head)
    assert format_of(head, path.suffix) == expected
    (tmp_path / "z.png").touch()
    found, notices = listing.find_pictures(tmp_path)
    assert (path in found) == (expected is not None or listing.is_picture(path))
    assert bool(notices) == (path not in found)


def test_a_picture_beside_its_raw_file_is_the_one(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.dng").write_bytes(TIFF)
    found, notices = listing.find_pictures(tmp_path)
    assert found == [tmp_path / "a.jpg"]
    assert notices == [f"{tmp_path / 'a.dng'}: skipped, since a.jpg lies beside it"]
    (tmp_path / "a.jpg").unlink()
    assert listing.find_pictures(tmp_path)[0] == [tmp_path / "a.dng"]
    (tmp_path / "a.dng").write_bytes(b"")  # damaged, but a photo that someone misses
    assert listing.find_pictures(tmp_path)[0] == [tmp_path / "a.dng"]
    (tmp_path / "a.dng").rename(tmp_path / "a.txt")
    with pytest.raises(DataError, match="holds no pictures"):
        listing.find_pictures(tmp_path)


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n", ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", ".webp"),
        (TIFF, ".tif"),
        (b"text", ""),
        (b"", ""),
    ],
)
def test_a_picture_without_an_extension_is_named(tmp_path, head, suffix):
    path = tmp_path / "scan"
    path.write_bytes(head)
    what = f"a picture without an extension; rename it to scan{suffix}" if suffix else "not a picture"
    with pytest.raises(DataError) as caught:
        listing.find_pictures(tmp_path)
    assert ("rename it" in str(caught.value)) == bool(suffix)
    (tmp_path / "z.png").touch()
    assert listing.find_pictures(tmp_path) == ([tmp_path / "z.png"], [f"{path}: skipped, {what}"])
