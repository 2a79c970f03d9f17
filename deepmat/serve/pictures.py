"""Pictures that the page works on, in memory by ids that nobody guesses; the least recently used are given up first."""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from deepmat.inference.outputs import CutOut
from deepmat.serve.making import Read
from deepmat.serve.previews import Preview
from deepmat.serve.refusals import Refusal

BYTES = 2_000_000_000
"""Memory that all pictures take together."""
LASTING = 3600.0
"""Seconds after its last use from which a picture is given up."""


@dataclass
class Held:
    """A picture that the page works on. Its arrays are replaced as a whole, or changed under its lock."""

    read: Read
    cut: CutOut
    preview: Preview | None = None
    """What is shown and worked on until the cut-out is there."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    used: float = field(default_factory=time.monotonic)

    @property
    def bytes(self) -> int:
        """Memory of its arrays."""
        cuts = [self.cut, *([self.preview.cut] if self.preview else [])]
        arrays = [self.read.photo.image, self.read.own]
        arrays += [each for cut in cuts for each in (cut.alpha, cut.trimap, cut.mask, cut.backdrop)]
        files = len(self.preview.file) if self.preview else 0
        return sum(each.nbytes for each in arrays if isinstance(each, np.ndarray)) + files


class Pictures:
    """The pictures in memory. Safe in several threads."""

    def __init__(self, most: int = BYTES, lasting: float = LASTING) -> None:
        self.most, self.lasting = most, lasting
        self.held: OrderedDict[str, Held] = OrderedDict()
        self.lock = threading.Lock()
        self.next_look: threading.Timer | None = None

    def add(self, held: Held) -> str:
        """Keep a picture. Returns its id."""
        name = secrets.token_urlsafe(24)
        with self.lock:
            self.held[name] = held
            self._give_up()
            self._look_later()
        return name

    def get(self, name: str) -> Held:
        """Return a picture. Raises Refusal if it is not there any more."""
        with self.lock:
            self._give_up()
            held = self.held.get(name)
            if held is None:
                raise Refusal("not_found", "this picture is not kept any more; send it again")
            self.held.move_to_end(name)
            held.used = time.monotonic()
            return held

    def remove(self, name: str) -> None:
        """Give a picture up."""
        with self.lock:
            self.held.pop(name, None)

    def bytes(self) -> int:
        """Return the memory that they take."""
        with self.lock:
            return sum(each.bytes for each in self.held.values())

    def _look_later(self) -> None:
        """Look again for pictures that are not used for long, though nobody asks for any."""
        if self.held and self.next_look is None:
            self.next_look = threading.Timer(self.lasting, self._look)
            self.next_look.daemon = True
            self.next_look.start()

    def _look(self) -> None:
        with self.lock:
            self.next_look = None
            self._give_up()
            self._look_later()

    def _give_up(self) -> None:
        """Give up what was not used for long, then the least recently used, but for the last one."""
        old = time.monotonic() - self.lasting
        for name in [name for name, each in self.held.items() if each.used < old]:
            del self.held[name]
        while len(self.held) > 1 and sum(each.bytes for each in self.held.values()) > self.most:
            self.held.popitem(last=False)
