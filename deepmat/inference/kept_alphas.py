"""The alphas of a network that an evaluation keeps in OUT/prediction, to continue from them after a stop."""

from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import Any

from deepmat.errors import ConfigError
from deepmat.runtime import distributed
from deepmat.runtime.files import existing, write_text


class KeptAlphas:
    """The files of the alphas, and a note beside their folder of what they are made with.

    names: of the pictures. made_with: settings and weights that alphas depend on. continued: whether alphas that exist
    are taken instead of predicted; raises ConfigError if they are of other settings.
    """

    def __init__(self, out: Path, names: list[str], made_with: Mapping[str, Any], continued: bool) -> None:
        self.folder = out / "prediction"
        self.places = {name: self.folder / f"{name}.png" for name in names}
        self._note = out / "prediction.json"
        self._text = dumps(made_with)
        self._continued = continued
        if continued and self.existing() and not self._same():
            raise ConfigError(f"{self.folder}: its alphas are of other weights or settings; leave --skip-existing out")

    def existing(self) -> dict[str, Path]:
        """The files that exist, by picture."""
        there = existing([self.folder], len(self.places))
        return {name: place for name, place in self.places.items() if there(place)}

    def _same(self) -> bool:
        return self._note.is_file() and self._note.read_text(encoding="utf-8") == self._text

    def claim(self) -> dict[str, Path]:
        """Remove alphas of other settings and write the note. Returns the files to continue from, by picture.

        Every process of a job must call it; the first one works.
        """
        if not distributed.rank() and not self._same():
            for place in self.existing().values():
                place.unlink()
            write_text(self._note, self._text)
        distributed.gather(None)
        return self.existing() if self._continued else {}
