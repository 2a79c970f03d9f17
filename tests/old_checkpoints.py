"""Checkpoints as other tools, old ones and hostile people write them."""

import io
import os
import pickle
import pickletools

import numpy as np


def python_2(data):
    """A torch file as Python 2 wrote it: the same pickles with byte strings in place of unicode."""
    source, out = io.BytesIO(data), io.BytesIO()
    for _ in range(5):  # magic number, protocol, system, the object, storage keys; raw numbers follow
        start = source.tell()
        operations = list(pickletools.genops(source))
        pickled = data[start : source.tell()]
        ends = [place - start for _, _, place in operations[1:]] + [len(pickled)]
        for (operation, argument, place), end in zip(operations, ends, strict=True):
            if operation.name == "BINUNICODE":
                text = argument.encode("latin1")
                short = b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + len(text).to_bytes(4, "little")
                out.write(short + text)
            else:
                out.write(pickled[place - start : end].replace(b"numpy._core", b"numpy.core"))
    return out.getvalue() + source.read()


class Python2Pickler(pickle._Pickler):
    """numpy floats with their bytes as a string, as Python 2 had them."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, np.float64):
            scalar, (dtype, _) = obj.__reduce__()
            return self.save_reduce(scalar, (dtype, obj.tobytes().decode("latin1")))
        return super().save(obj, save_persistent_id)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("pwned",)
