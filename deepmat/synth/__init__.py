"""Procedural, licence-free matting data: foregrounds with exact alpha, and photo-like backgrounds.

Every picture is a function of one numpy Generator: the same seed gives the same bytes. `dataset` writes a data set,
`scenes` draws training samples on demand, `sheet` draws a sheet of everything.
"""

from deepmat.synth.backgrounds import PLACES, background
from deepmat.synth.foregrounds import KINDS, foreground
from deepmat.synth.scenes import scene

__all__ = ["KINDS", "PLACES", "background", "foreground", "scene"]
