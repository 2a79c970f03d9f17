"""bytes_a_pixel, with which the memory planner counts, is what networks take: a process each, since a peak stays."""

import os
import subprocess
import sys

import pytest
import torch

MEASURE = """if True:
    import sys
    import numpy as np
    from deepmat.config import DIMConfig
    from deepmat.inference.predict import predict
    from deepmat.models import build_model, for_prediction, load_model

    def kilobytes(field):
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

    name, form, side = sys.argv[1], sys.argv[2], int(sys.argv[3])
    model = build_model(DIMConfig(refine=True)).eval() if name == "dim" else load_model(name)
    network = model if form == "plain" else for_prediction(model, form)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    trimap = np.full((side, side), 128, np.uint8)
    trimap[0], trimap[-1] = 0, 255
    predict(network, image[:64, :64], trimap[:64, :64], mode="whole", double=0, correct=False)
    before = kilobytes("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    predict(network, image, trimap, mode="whole", max_size=4096, double=0, correct=False)
    print((kilobytes("VmHWM") - before) * 1024 / side**2, network.bytes_a_pixel)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory as Linux gives it")
@pytest.mark.parametrize(
    ("name", "form", "side"),
    [
        ("lite", "fp32", 768),
        ("closed-form", "plain", 512),
        pytest.param("lite", "plain", 768, marks=pytest.mark.slow),
        pytest.param("lite", "bf16", 768, marks=pytest.mark.slow),
        pytest.param("dim", "plain", 640, marks=pytest.mark.slow),
        pytest.param("dim", "fp32", 640, marks=pytest.mark.slow),
        pytest.param("dim", "bf16", 640, marks=pytest.mark.slow),
    ],
)
def test_the_memory_that_a_network_takes_is_what_the_planner_counts_with(name, form, side):
    if form == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no units for bfloat16, and converts at a cost")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, form, str(side)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    measured, counted = map(float, done.stdout.split())
    assert measured <= counted <= 1.6 * measured, (measured, counted)
