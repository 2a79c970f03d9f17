"""Picture formats that are known by the first bytes of a file: most of them cannot be read, or not without an extra."""

import importlib
from contextlib import suppress
from pathlib import Path

HEAD = 64
"""Bytes that are enough to know a format."""
HEADS = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"II\xbc": "JPEG XR",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"#?RGBE": "Radiance HDR",
    b"8BPS": "Photoshop",
    b"FUJIFILMCCD-RAW": "camera raw",
    b"IIRO": "camera raw",
    b"IIRS": "camera raw",
    b"MMOR": "camera raw",
    b"IIU\0": "camera raw",
    b"FOVb": "camera raw",
    b"\0MRM": "camera raw",
}
BRANDS = {
    "camera raw": {b"crx "},
    "AVIF": {b"avif", b"avis"},
    "HEIC": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
}
"""Brands of files of ISO media (ISO/IEC 14496-12, 4.3)."""
TIFF = (b"II*\0", b"MM\0*")
READABLE = {b"\x89PNG\r\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", **dict.fromkeys(TIFF, ".tif")}
RAW = frozenset(".3fr .arw .cr2 .dcr .dng .erf .fff .iiq .kdc .mef .mos .nef .nrw .pef .rwl .sr2 .srf .srw".split())
"""Extensions of camera raw files that begin as TIFF does."""
SUFFIXES = RAW | frozenset(".heic .heif .hif .jxl .jxr .exr .psd .psb .cr3 .raf .orf .rw2 .x3f".split())
"""Extensions of all these formats, of files that are damaged."""
READERS = {
    "HEIC": "install pillow-heif (pip install 'deepmat[heif]'), or convert it to PNG or JPEG",
    "AVIF": "install a newer Pillow (pip install -U pillow), or convert it to PNG or JPEG",
}


def format_of(data: bytes, suffix: str = "") -> str | None:
    """Return the format of a picture file by its first bytes, HEAD of them or more, if it is one of this module's.

    suffix: of the file's name; it tells camera raw files from TIFF.
    """
    if data.startswith(TIFF):
        return "camera raw" if suffix.lower() in RAW or data[8:10] == b"CR" else None
    if data[4:8] == b"ftyp":
        brands = {data[start : start + 4] for start in (8, *range(16, min(int.from_bytes(data[:4], "big"), HEAD), 4))}
        return next((name for name, known in BRANDS.items() if brands & known), None)
    return next((name for head, name in HEADS.items() if data.startswith(head)), None)


def is_foreign(path: Path) -> bool:
    """Return whether a regular file is a picture of one of this module's formats, by its first bytes or extension."""
    try:
        if not path.is_file() or path.suffix.lower() in SUFFIXES:
            return path.is_file()
        with open(path, "rb") as file:
            return format_of(file.read(HEAD), path.suffix) is not None
    except OSError:
        return False


def lacking_extension(path: Path) -> str:
    """Return the extension (".png") that a picture without any lacks, by its first bytes; "" for other files."""
    try:
        if path.suffix or not path.is_file():
            return ""
        with open(path, "rb") as file:
            data = file.read(HEAD)
    except OSError:
        return ""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for head, suffix in READABLE.items() if data.startswith(head)), "")


def how_to_read(name: str) -> str:
    """Return what is wrong with a picture of that format, and what to do."""
    return f"{name}, which cannot be read here; {READERS.get(name, 'convert it to PNG or TIFF')}"


def has_heif() -> bool:
    """Return whether HEIC pictures can be read."""
    with suppress(ImportError):
        return bool(importlib.import_module("pillow_heif"))
    return False
