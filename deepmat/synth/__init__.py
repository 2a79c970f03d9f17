"""Procedural, licence-free matting data: foregrounds with exact alpha, photo-like backgrounds; as files or a stream.

Every picture is a function of one numpy Generator: the same seed gives the same bytes.
"""

from deepmat.synth.backgrounds import PLACES, background
from deepmat.synth.foregrounds import KINDS, foreground
from deepmat.synth.scenes import scene

__all__ = ["KINDS", "PLACES", "background", "foreground", "scene"]
