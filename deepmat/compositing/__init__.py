"""Foregrounds over backgrounds: fit the background, blend, plan and build a whole data set."""

from deepmat.compositing.build import composite
from deepmat.compositing.pixels import COMPOSITORS
from deepmat.compositing.plan import ADOBE_FOLDERS, BACKGROUNDS_PER_FOREGROUND, plan_adobe, plan_folders

__all__ = [
    "ADOBE_FOLDERS",
    "BACKGROUNDS_PER_FOREGROUND",
    "COMPOSITORS",
    "composite",
    "plan_adobe",
    "plan_folders",
]
