"""A web server of pictures for tests: what each path answers, and how often it was asked."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


def jpeg(shade: int, width: int = 640, height: int = 480) -> bytes:
    """A picture that is dark on the left, by `shade` (0 to 255), and white on the right, with a little noise."""
    pixels = np.random.default_rng(shade).integers(0, 20, (height, width)).astype(np.uint8) + 235
    pixels[:, : width // 2] = shade
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def coloured(colours: str, side: int = 160) -> bytes:
    """A square of one colour, such as `200-60-60` for red, on white paper with a little noise."""
    rgb = [int(one) for one in colours.split("-")]
    pixels = np.random.default_rng(rgb).integers(0, 20, (side, side, 3)).astype(np.uint8) + 235
    pixels[side // 4 : -side // 4, side // 4 : -side // 4] = rgb
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Pictures:
    """`/<shade>.jpg` and `/<red>-<green>-<blue>.png` are pictures; other paths are what servers do wrong."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.redirect_to = ""


@contextmanager
def pictures() -> Iterator[Pictures]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:  # what a storage is asked first
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            served.asked[path] += 1
            served.headers.append(dict(self.headers))
            name = path.rpartition("/")[2]
            if name == "redirect":
                self.send_response(302)
                self.send_header("Location", served.redirect_to)
                self.end_headers()
            elif name.endswith(".jpg"):
                self._send(jpeg(int(name.removesuffix(".jpg"))), "image/jpeg")
            elif name.endswith(".png") and "-" in name:
                self._send(coloured(name.removesuffix(".png")), "image/png")
            elif name == "page":
                self._send(b"<html>", "text/html")
            elif name == "broken":
                self._send(b"no picture", "image/png")
            elif name == "endless":
                self._endless(0)
            elif name == "slow":
                self._endless(0.2)
            else:
                self.send_error(404)

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _endless(self, pause_s: float) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * (1 if pause_s else 1 << 20))
                    time.sleep(pause_s)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Pictures(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
