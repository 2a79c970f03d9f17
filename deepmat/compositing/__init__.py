"""Foregrounds over backgrounds: fit the background, blend, plan and build a whole data set."""

from deepmat.compositing.build import FORMATS, LAYOUTS, composite, preview
from deepmat.compositing.manifest import MANIFEST, Entry, read_manifest, stamps
from deepmat.compositing.pixels import COMPOSITORS
from deepmat.compositing.plan import BACKGROUNDS_PER_FOREGROUND, plan_adobe, plan_folders

__all__ = [
    "BACKGROUNDS_PER_FOREGROUND",
    "COMPOSITORS",
    "FORMATS",
    "LAYOUTS",
    "MANIFEST",
    "Entry",
    "composite",
    "plan_adobe",
    "plan_folders",
    "preview",
    "read_manifest",
    "stamps",
]
