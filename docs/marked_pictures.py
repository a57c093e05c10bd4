"""Pictures of forms in which people mark sounds and dialogues. docs/pictures.py calls it."""

from __future__ import annotations

import io
import math
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from photograph import photograph
from playwright.sync_api import Page

from labelloop.process.settings import Settings
from labelloop.reading.strict_json import dumps
from labelloop.spec.folder import parse

_YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  learner: none
  queue: {strategy: random, window: 10, audit: 0.0, holdout: 0.0}
"""
_SOUND = """<View>
  <Labels name="label" toName="audio"><Label value="speech"/><Label value="noise"/></Labels>
  <Audio name="audio" value="$audio"/>
  <TextArea name="words" toName="audio" perRegion="true" editable="true"/>
</View>"""
_DIALOGUE = """<View>
  <ParagraphLabels name="label" toName="turns"><Label value="person"/><Label value="place"/></ParagraphLabels>
  <Paragraphs name="turns" value="$turns" layout="dialogue"/>
</View>"""
_TURNS = [
    {"author": "Ana", "text": "Hello 😀 This is Ana Lima. I have not had my parcel yet."},
    {"author": "Bob", "text": "I am sorry to hear that. Which address did you give?"},
    {"author": "Ana", "text": "Since May I live in Berlin, so it may have gone to Porto."},
]
_MARKS = [
    {"start": [0, 16], "end": [0, 24], "label": "person"},
    {"start": [2, 20], "end": [2, 26], "label": "place"},
    {"start": [2, 51], "end": [2, 56], "label": "place"},
]
_SEGMENTS = [
    {"start": 0.4, "end": 1.5, "label": "speech", "with": {"words": "good morning"}},
    {"start": 2.1, "end": 2.6, "label": "noise"},
    {"start": 2.9, "end": 3.8, "label": "speech"},
]


def marked(page: Page, settings: Settings) -> None:
    """Photograph a task with segments of a sound and one with marks in a dialogue, as the pipeline's answer opens."""
    with _a_sound() as address:
        for name, form, data, label in (
            ("sound", _SOUND, {"audio": address}, _SEGMENTS),
            ("dialogue-marks", _DIALOGUE, {"turns": _TURNS}, _MARKS),
        ):
            line = dumps({"key": "one", "data": data, "label": label, "confidence": 0.5})
            photograph(page, settings, parse(name, _YAML, form), [line.encode()])


@contextmanager
def _a_sound() -> Iterator[str]:
    """The address of four seconds of a sound, from a server that a browser may read."""
    rate = 8000
    spoken = [(0.4, 1.5), (2.1, 2.6), (2.9, 3.8)]
    loud = [0.2 + sum(start <= i / rate < end for start, end in spoken) * 0.8 for i in range(4 * rate)]
    wave_of = [math.sin(i / 3) * math.sin(i / 700) for i in range(4 * rate)]
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(1)
            sound.setframerate(rate)
            sound.writeframes(bytes(int(128 + 120 * a * b) for a, b in zip(loud, wave_of, strict=True)))
        body = file.getvalue()

    class Sound(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "audio/wav")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sound)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/four-seconds.wav"
    finally:
        server.shutdown()
        server.server_close()
