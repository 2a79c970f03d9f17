"""For tests of the service: pictures, and a real server in a process of its own, on the loopback."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
from PIL import Image


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def studio(height=80, width=120, left=30):
    """A red block before a plain backdrop."""
    pixels = np.full((height, width, 3), (230, 230, 232), np.uint8)
    pixels[20:60, left : left + 60] = (200, 30, 40)
    return pixels


@contextmanager
def server(*options):
    """Yield (URL, process, lines that it printed); the process is ended if it still runs."""
    arguments = ["--weights", "closed-form", "--finder", "plain", "--device", "cpu", "--port", "0", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DEEPMAT_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "deepmat", "serve", *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )
    lines = []
    try:
        url = None
        while not url:
            line = process.stderr.readline()
            assert line, "".join(lines)
            lines.append(line)
            found = re.search(r"listening on (http://\S+:\d+)", line)
            url = found and found[1]
        threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True).start()
        yield url, process, lines
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(20)
        process.stderr.close()
