"""Foregrounds over backgrounds: fit the background, blend, plan and build a whole data set."""

from deepmat.compositing.build import FORMATS, LAYOUTS, composite, fitted, preview
from deepmat.compositing.manifest import MANIFEST, Entry, changed_source, is_unchanged, read_manifest
from deepmat.compositing.pixels import COMPOSITORS
from deepmat.compositing.plan import BACKGROUNDS_PER_FOREGROUND, plan_adobe, plan_folders

__all__ = [
    "BACKGROUNDS_PER_FOREGROUND",
    "COMPOSITORS",
    "FORMATS",
    "LAYOUTS",
    "MANIFEST",
    "Entry",
    "changed_source",
    "composite",
    "fitted",
    "is_unchanged",
    "plan_adobe",
    "plan_folders",
    "preview",
    "read_manifest",
]
