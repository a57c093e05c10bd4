"""Formats: what the first bytes of a file are, and which of them a browser shows. Pure.

The media type in the header does not decide: Label Studio's editor shows an image of the type text/plain, and none of a
page that is called image/png. Formats by their signatures: https://mimesniff.spec.whatwg.org
"""

from __future__ import annotations

import re

from labelloop.labeling.media import Medium

HEAD = 65_536
"""Bytes from the beginning of a file that are enough to tell its format."""
PAGE = "a web page"
ERROR = "an error message in XML"
POINTER = "a pointer of Git LFS"
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"ID3", "MP3"),
    (b"#!AMR", "AMR"),
    (b"caff", "CAF"),
    (b"FLV\x01", "FLV"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMV or WMA"),
    (b"\x00\x00\x01\xba", "MPEG-1 or -2"),
    (b"\x00\x00\x01\xb3", "MPEG-1 or -2"),
    (b"%PDF-", "PDF"),
    (b"version https://git-lfs", POINTER),
)
_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"qt  ": "QuickTime",
}
"""Formats of the ISO base media family by their brand; any other brand is MP4."""
_IN_RIFF = {b"WAVE": "WAV", b"AVI ": "AVI", b"WEBP": "WebP"}
_IMAGES = frozenset({"PNG", "JPEG", "GIF", "BMP", "ICO", "WebP", "AVIF", "SVG"})
_SOUNDS = frozenset({"WAV", "MP3", "Ogg", "FLAC", "MP4", "WebM or Matroska", "AAC"})
_VIDEOS = frozenset({"MP4", "WebM or Matroska", "Ogg"})
SHOWN = {Medium.IMAGE: _IMAGES, Medium.AUDIO: _SOUNDS, Medium.VIDEO: _VIDEOS, Medium.PDF: frozenset({"PDF"})}
"""Formats that Chromium and Firefox show, by medium."""
UNSHOWN_ENDINGS = {"avi": "AVI", "mov": "QuickTime", "qt": "QuickTime"}
"""Endings of a path for which the editor's Video tag asks the browser, which refuses, and then loads nothing at all."""
_DATA = frozenset({PAGE, ERROR, POINTER})
H265 = "H.265"


def format_of(head: bytes) -> str | None:
    """Return the name of the format whose files begin so; None if it is not known, such as a plain text."""
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF":
        return _IN_RIFF.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "MP4")
    if head[:4] == b"\x1aE\xdf\xa3":
        return "WebM or Matroska"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return "MP3"
    if head[:1] == b"G" and head[188:189] == b"G":
        return "MPEG transport stream"
    if head[128:132] == b"DICM":
        return "DICOM"
    return _markup(head)


def _markup(head: bytes) -> str | None:
    text = re.sub(rb"^(\xef\xbb\xbf)?(\s+|<\?xml[^>]*>|<!--.*?-->)*", b"", head[:4096], flags=re.DOTALL).lower()
    if text.startswith((b"<svg", b"<!doctype svg")):
        return "SVG"
    if re.match(rb"<(!doctype html|html|head|body|script|title|meta)\b", text):
        return PAGE
    return ERROR if re.match(rb"<error\b", text) else None


def unshown(medium: Medium, head: bytes, *, page_is_wanted: bool) -> str | None:
    """Return the name of a format that the medium cannot be; None if the beginning may be the medium.

    `page_is_wanted`: whether the tag shows web pages. A sound of an unknown format is let through, because some have no
    signature; an image has one.
    """
    found = format_of(head)
    if medium in (Medium.TEXT, Medium.TABLE):  # a text may begin with the letters of a signature, such as BM
        return found if found in (_DATA - {PAGE} if page_is_wanted else _DATA) else None
    if found is None:
        return "no known format" if medium in (Medium.IMAGE, Medium.PDF) else None
    return None if found in SHOWN[medium] else found


def codec(head: bytes) -> str | None:
    """Return the codec of an MP4 that not every browser plays, if its beginning names one."""
    return H265 if head[4:8] == b"ftyp" and (b"hvc1" in head or b"hev1" in head) else None
