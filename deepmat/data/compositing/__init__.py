"""Foregrounds over backgrounds: fit the background, blend, plan and build a whole data set."""

from deepmat.data.compositing.build import FORMATS, LAYOUTS, build_composites, fitted, preview
from deepmat.data.compositing.manifest import MANIFEST, Entry, changed_source, is_unchanged, read_manifest
from deepmat.data.compositing.plan import BACKGROUNDS_PER_FOREGROUND, plan_adobe, plan_folders
from deepmat.imaging.blend import COMPOSITORS

__all__ = [
    "BACKGROUNDS_PER_FOREGROUND",
    "COMPOSITORS",
    "FORMATS",
    "LAYOUTS",
    "MANIFEST",
    "Entry",
    "changed_source",
    "build_composites",
    "fitted",
    "is_unchanged",
    "plan_adobe",
    "plan_folders",
    "preview",
    "read_manifest",
]
