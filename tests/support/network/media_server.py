"""A web server of media for tests: `/<ways>/<file>`. The ways say what it does wrong, the file what it sends.

Ways are joined by `+`. `cors` and `echo` allow the page, `plain` allows none, `wrongorigin` another one. A number is
the status. `slow`, `hang` and `drip` take time; the last one sends the head in single bytes. `norange`, `nolength` and
`short` spoil the body. `html` sends a page under any name, `astext` the type of a text. `login` redirects to a page,
`hop` to the same file at `Media.redirect_to`, and `loop` to itself.
"""

from __future__ import annotations

import io
import json
import struct
import threading
import time
import wave
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

MB = 1_000_000


def png(width: int = 60, height: int = 40) -> bytes:
    file = io.BytesIO()
    picture = Image.new("RGB", (width, height))
    picture.putdata([(x * 4 % 256, y * 6 % 256, (x * y) % 256) for y in range(height) for x in range(width)])
    picture.save(file, "PNG")
    return file.getvalue()


def wav(seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"".join(struct.pack("<h", (i * 400) % 20_000) for i in range(int(8000 * seconds))))
    return file.getvalue()


def csv(rows: int = 50) -> bytes:
    return ("time,value\n" + "".join(f"{i},{i * i % 17}\n" for i in range(rows))).encode()


def dialogue() -> bytes:
    return json.dumps([{"author": "A", "text": "Hello there"}, {"author": "B", "text": "Good evening"}]).encode()


HTML = b"<!doctype html><html><head><title>Sign in</title></head><body><p>Please sign in to go on.</p></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><rect width="60" height="40" fill="red"/></svg>'
TIFF = b"II*\x00" + b"\x08\x00\x00\x00" + b"\x00" * 200
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 200
AVI = b"RIFF\x24\x00\x00\x00AVI LIST" + b"\x00" * 400
MOV = b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + b"\x00" * 400
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"\x00" * 400
AIFF = b"FORM\x00\x00\x00\x40AIFFCOMM" + b"\x00" * 400
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
WEBM = Path(__file__).with_name("clip.webm")
"""Four seconds of one colour, 160 x 90, ten frames a second, VP8; the other videos are only headers.

ffmpeg -f lavfi -i color=c=0x406080:size=160x90:rate=10 -t 4 -c:v libvpx -b:v 20k -g 10 -fflags +bitexact clip.webm
"""
FILES: dict[str, tuple[str, Any]] = {
    "png": ("image/png", png),
    "svg": ("image/svg+xml", SVG),
    "tiff": ("image/tiff", TIFF),
    "heic": ("image/heic", HEIC),
    "wav": ("audio/wav", wav),
    "aiff": ("audio/aiff", AIFF),
    "avi": ("video/x-msvideo", AVI),
    "mov": ("video/quicktime", MOV),
    "mp4": ("video/mp4", MP4),
    "webm": ("video/webm", WEBM.read_bytes),
    "pdf": ("application/pdf", PDF),
    "csv": ("text/csv", csv),
    "html": ("text/html; charset=utf-8", b"<p>A page that people read.</p>"),
    "txt": ("text/plain; charset=utf-8", b"A text that people read."),
    "json": ("application/json", dialogue),
    "bin": ("application/octet-stream", png),
    "empty": ("image/png", b""),
    "untyped": ("", png),
    "broken": ("image/png", b"no picture at all" * 20),
    "lfs": ("image/png", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"),
    "denied": ("application/xml", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
}
"""Content type and body by the file's ending. `big` is besides them: 50 MB that begin as a PNG does."""


class Media:
    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.asked: Counter[str] = Counter()
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Path and headers of each request."""
        self.sent = 0
        """Bytes of bodies that were sent."""
        self.at_once = self.most_at_once = 0
        self.redirect_to = ""
        self.mended = False
        """Whether the server now answers every path as if its only way was `cors`."""

    def at(self, path: str) -> str:
        return f"{self.url}/{path}"


@contextmanager
def media(host: str = "127.0.0.1") -> Iterator[Media]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                served.asked[self.path] += 1
                served.seen.append((self.path, dict(self.headers)))
                served.at_once += 1
                served.most_at_once = max(served.most_at_once, served.at_once)
            try:
                with suppress(OSError):
                    self._answer()
            finally:
                with lock:
                    served.at_once -= 1

        def do_HEAD(self) -> None:  # what a storage is asked first
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_OPTIONS(self) -> None:  # a preflight; none of our ways allows more than a simple request
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self) -> None:
            first, _, name = self.path.partition("?")[0].lstrip("/").partition("/")
            ways = {"cors"} if served.mended else set(first.split("+"))
            if "slow" in ways:
                time.sleep(0.2)
            if "hang" in ways:
                time.sleep(30)
            if "drip" in ways:
                self._drip()
            if ways & {"login", "hop", "loop"}:
                return self._redirect(ways, name)
            status = next((int(way) for way in sorted(ways) if way.isdigit()), 200)
            if status != 200:
                return self._send(status, "text/plain", b"no" * 60, ways)
            ending = name.rpartition(".")[2]
            if ending == "big":
                return self._big(ways)
            if ending not in FILES:
                return self._send(404, "text/plain", b"no" * 60, ways)
            kind, made = FILES[ending]
            body = made() if callable(made) else made
            if "html" in ways:
                kind, body = "text/html", HTML
            if "astext" in ways:
                kind = "text/plain"
            return self._send(200, kind, body, ways)

        def _drip(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            for _ in range(600):
                self.wfile.write(b"x")
                time.sleep(0.05)

        def _redirect(self, ways: set[str], name: str) -> None:
            to = self.path if "loop" in ways else f"{served.url}/cors+html/in.html" if "login" in ways else None
            self.send_response(302)
            self.send_header("Location", to or f"{served.redirect_to}/{name}")
            self._cors(ways)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _cors(self, ways: set[str]) -> None:
            if "cors" in ways:
                self.send_header("Access-Control-Allow-Origin", "*")
            if "echo" in ways and "Origin" in self.headers:
                self.send_header("Access-Control-Allow-Origin", self.headers["Origin"])
            if "wrongorigin" in ways:
                self.send_header("Access-Control-Allow-Origin", "https://other.example")

        def _send(self, status: int, kind: str, body: bytes, ways: set[str]) -> None:
            wanted = self.headers.get("Range", "")
            if status == 200 and wanted.startswith("bytes=") and "norange" not in ways:
                start, _, end = wanted.removeprefix("bytes=").partition("-")
                whole = len(body)
                last = min(int(end or whole - 1), whole - 1)
                if int(start) >= whole:
                    return self._range_refused(whole, ways)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{last}/{whole}")
                body = body[int(start) : last + 1]
            else:
                self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            self._cors(ways)
            if "nolength" in ways:
                self.send_header("Connection", "close")
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(len(body) * (2 if "short" in ways else 1)))
            self.end_headers()
            self.wfile.write(body)
            served.sent += len(body)
            if "short" in ways:
                self.close_connection = True

        def _range_refused(self, whole: int, ways: set[str]) -> None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{whole}")
            self._cors(ways)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _big(self, ways: set[str]) -> None:
            """50 MB, written in pieces until the reader goes away; no ranges, as many file servers do it."""
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self._cors(ways)
            if "nolength" not in ways:
                self.send_header("Content-Length", str(50 * MB))
            self.send_header("Connection", "close")
            self.close_connection = True
            self.end_headers()
            piece = png() + b"\x00" * (64 << 10)
            left = 50 * MB
            while left > 0:
                self.wfile.write(piece[:left])
                served.sent += min(left, len(piece))
                left -= len(piece)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:  # a reader that goes away
            pass

    server = Server((host, 0), Handler)
    served = Media(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
