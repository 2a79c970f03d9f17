"""The page of docs/export.md cuts a picture out in a browser.

Needs Chromium and `npm pack onnxruntime-web`, unpacked to build/onnxruntime-web.
"""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from doc_pages import DOCS, ROOT, blocks

from deepmat import imaging, predict
from deepmat.config import LiteConfig
from deepmat.inference.exporting import picture
from deepmat.models import build_model
from deepmat.models.exporting import to_onnx

playwright = pytest.importorskip("playwright.sync_api")
for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package)
DIST = ROOT / "build" / "onnxruntime-web" / "package" / "dist"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCRIPT = """async () => {
  await done;
  const canvas = document.getElementById("cutout");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.height, canvas.width, Array.from(data.filter((_, index) => index % 4 === 3))];
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder, and its address on the loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(not DIST.is_dir() or not CHROMIUM, reason="needs Chromium and onnxruntime-web")
def test_the_page_gives_the_alpha_of_predict(served):
    folder, address = served
    (page_text,) = (block.text for block in blocks(DOCS / "export.md") if block.language == "html")
    (folder / "index.html").write_text(page_text)
    (folder / "dist").symlink_to(DIST)
    model = build_model(LiteConfig(width=1 / 8)).eval()
    (folder / "lite.onnx").write_bytes(to_onnx(model, {}))
    image, trimap = picture(211, 163, seed=4)
    imaging.write_image(folder / "photo.png", image)
    imaging.write_image(folder / "trimap.png", trimap)
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/index.html")
        height, width, levels = page.evaluate(SCRIPT)
        browser.close()
    expected = predict(model, image, trimap, mode="whole", correct=False)
    assert (height, width) == trimap.shape
    np.testing.assert_allclose(np.reshape(levels, trimap.shape), expected * 255, atol=1.5)
