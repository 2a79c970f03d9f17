"""The part of an evaluation that each process does: score pictures, keep alphas, make rows of the sheet."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepmat import imaging
from deepmat.runtime import distributed
from deepmat.runtime.cluster import LIVES
from deepmat.scoring.cases import Paths
from deepmat.scoring.pictures import Network, Picture, ScoredPicture, score_pictures
from deepmat.scoring.protocols import Protocol
from deepmat.scoring.records import Settings
from deepmat.scoring.results import Part, part_of

Row = tuple[str, list[np.ndarray]]
"""Caption and pictures of a row of the sheet."""


class Done(NamedTuple):
    """What a process hands on of a picture."""

    scored: ScoredPicture
    """From the worker of a cluster, without pixels."""
    part: Part
    row: Row | None = None


@dataclass(frozen=True)
class Scoring:
    """How pictures are scored."""

    networks: Callable[[], Mapping[str, Network]]
    """Opens the networks, by run."""
    first: str
    """The run that is shown and whose alphas are kept."""
    saved: Mapping[str, Paths]
    protocols: Mapping[str, Protocol]
    regions: Sequence[str]
    settings: Settings
    places: Mapping[str, Path]
    """Where alphas are kept, by picture; empty where none are."""
    shown: Set[str]
    """Pictures of the sheet."""
    show: Callable[[ScoredPicture], None] | None
    """Gets each scored picture, for a page."""
    workers: int | None
    remote: bool
    """Whether workers of a cluster do it."""

    def start(self) -> Callable[[Sequence[Picture]], Iterator[Done]]:
        """Open the networks. Returns the function that scores pictures."""
        networks = self.networks()
        return lambda pictures: self._score(networks, pictures)

    def _score(self, networks: Mapping[str, Network], pictures: Sequence[Picture]) -> Iterator[Done]:
        for scored in score_pictures(
            pictures,
            networks,
            self.saved,
            protocols=self.protocols,
            regions=self.regions,
            keep=self._keep,
            workers=self.workers or distributed.own_cores(),
        ):
            row = _row(scored, self.first) if scored.name in self.shown and self.first in scored.mattes else None
            part = part_of(scored, self.settings)
            yield Done(scored._replace(case=None, mattes={}) if self.remote else scored, part, row)

    def _keep(self, scored: ScoredPicture) -> None:
        if self.places and self.first in scored.mattes and self.first not in self.saved.get(scored.name, {}):
            imaging.write_image(self.places[scored.name], scored.mattes[self.first])
        if self.show:
            self.show(scored)


def lost(picture: Picture, why: str) -> Done:
    """Return what is known of a picture that ended its workers."""
    name = picture[0]
    error = f"{name}: its worker ended {LIVES} times ({why}); score it alone"
    return Done(ScoredPicture(name, [{"name": name, "error": error}]), Part(name, [{"name": name, "error": error}]))


def _row(scored: ScoredPicture, run: str) -> Row:
    assert scored.case
    case, scores = scored.case, next(record for record in scored.records if record["run"] == run)
    about = "no score" if "error" in scores else f"SAD {scores['sad']:.2f}  MSE {scores['mse']:.4f}"
    return f"{scored.name}   {about}", [case.image, case.trimap, case.alpha, scored.mattes[run]]
