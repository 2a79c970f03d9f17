"""Composite a data set: plan which foreground goes over which background, write the pictures and a manifest."""

from deepmat.data.compositing.build import FORMATS, Built, build_composites, check_plan
from deepmat.data.compositing.making import LAYOUTS, fitted, preview
from deepmat.data.compositing.manifest import MANIFEST, Entry, asked_once, changed_source, is_unchanged, read_manifest
from deepmat.data.compositing.plan import BACKGROUNDS_PER_FOREGROUND, plan_adobe, plan_folders
from deepmat.imaging.blend import COMPOSITORS

__all__ = [
    "BACKGROUNDS_PER_FOREGROUND",
    "COMPOSITORS",
    "FORMATS",
    "LAYOUTS",
    "MANIFEST",
    "Built",
    "Entry",
    "asked_once",
    "build_composites",
    "changed_source",
    "check_plan",
    "fitted",
    "is_unchanged",
    "plan_adobe",
    "plan_folders",
    "preview",
    "read_manifest",
]
