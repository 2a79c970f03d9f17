"""deepmat: build matting data sets, train, score and cut out.

    import deepmat
    model = deepmat.load_model()  # the network that deepmat ships; load_model("best.safetensors") loads your own
    alpha = deepmat.predict(model, "photo.jpg", "trimap.png")

The public names are listed in __init__.pyi, each imported from its module when first used: importing deepmat is fast.
"""

import os

import lazy_loader

# Read by torch when it first allocates: large pages, without which page faults take a tenth of the network's time.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
