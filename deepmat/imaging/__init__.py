"""The only way for pixels in and out: files of any format are read as RGB or grey uint8, and written whole.

No other room of deepmat decodes a picture, or handles BGR, EXIF, palettes or colour profiles.
"""

from deepmat.imaging.colour import About, as_in, parse_colour
from deepmat.imaging.reading import (
    Header,
    check_same_size,
    count_pixels,
    describe,
    read_grey,
    read_image,
    read_levels,
    read_matte,
    read_picture,
    read_rgba,
    read_size,
)
from deepmat.imaging.unread import MAX_PIXELS, File, Unread
from deepmat.imaging.writing import (
    crc32,
    encode,
    encode_lossy,
    encode_png,
    through_jpeg,
    to_uint8,
    to_uint16,
    write_image,
)

__all__ = [
    "MAX_PIXELS",
    "About",
    "File",
    "Header",
    "Unread",
    "as_in",
    "check_same_size",
    "count_pixels",
    "crc32",
    "describe",
    "encode",
    "encode_lossy",
    "encode_png",
    "parse_colour",
    "read_grey",
    "read_image",
    "read_levels",
    "read_matte",
    "read_picture",
    "read_rgba",
    "read_size",
    "through_jpeg",
    "to_uint16",
    "to_uint8",
    "write_image",
]
