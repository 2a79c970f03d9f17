"""Pillow's decoders without Pillow's size guard.

`PIL.Image.MAX_IMAGE_PIXELS` belongs to the whole process: `Image.open` warns of pictures over it and refuses those over
twice of it, and to change it would change it for the rest of the program. So pictures are opened here by Pillow's
plugins directly; the callers check the size themselves.
"""

import struct
from typing import IO

from PIL import Image, ImageFile, UnidentifiedImageError

from deepmat.runtime.formats import HEAD, format_of, has_heif


def open_picture(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open a picture file as `Image.open` does, whatever its size. Only the header is read.

    HEIC is read by pillow-heif where that is installed. Raises UnidentifiedImageError if no plugin of Pillow takes it.
    """
    prefix = file.read(HEAD)
    file.seek(0)
    if format_of(prefix) == "HEIC" and has_heif():
        # The module that pillow-heif has for this would register it with Pillow, for the whole program.
        from pillow_heif.as_plugin import HeifImageFile

        return HeifImageFile(file, "")
    prefix = prefix[:16]
    tried = set()
    for register in (Image.preinit, Image.init):  # the common formats first: importing all plugins takes 0.1 s
        register()
        for name in Image.ID:
            if name in tried:
                continue
            tried.add(name)
            factory, accepts = Image.OPEN[name]
            try:
                answer = accepts(prefix) if accepts else True
                if answer and not isinstance(answer, str):  # text: it knows the format, but its library is missing
                    file.seek(0)
                    return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # not of this format
                continue
    raise UnidentifiedImageError("no known picture format")


def load_pixels(picture: ImageFile.ImageFile) -> None:
    """Decode an opened picture, as `picture.load`. Raises whatever its decoder raises for a damaged file."""
    if picture.format == "TIFF" and picture.mode != "P" and picture.tile:
        # The plugin for TIFF applies the guard again when it allocates the pixels, unless they are there already.
        picture.im = Image.core.new(picture.mode, getattr(picture, "_tile_size", picture.size))
    picture.load()
