"""Keys as real pipelines have them."""

from __future__ import annotations

KEYS = (
    "https://shop.example/p?id=1&x=%20#top",
    "s3://bucket/a folder/scan 1.png",
    "<CAF+message.id@mail.example>",
    "Grüße aus Köln",
    "日本語/1",
    "../..//a\\b;c",
    "x" * 500,
)
