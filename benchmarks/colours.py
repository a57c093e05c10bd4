"""`python -m benchmarks.colours`: accuracy of the pretrained network on fetched pictures, in colour against grey.

The pictures are planted: a square or a disc of one of four colours that are equally bright in grey, on noisy paper. The
label is the shape with its colour, so grey alone tells four of the eight labels from the others at best by their shape.
"""

from __future__ import annotations

import io

import click
import numpy as np
from PIL import Image

from backend.learners import make
from labelloop.pictures.kept import _reduced, _uri

HUES = {"red": (70, -36, 0), "green": (-70, 36, 0), "blue": (0, -21, 108), "yellow": (20, 10, -105)}
"""Changes of red, green and blue that change no grey: 0.299 red + 0.587 green + 0.114 blue stays within one level."""
SHAPES = ("square", "disc")
SIDE, TEST = 256, 400
ANSWERS = (50, 200)


@click.command()
@click.option("--seeds", default=5, show_default=True, help="Orders of the answers.")
def main(seeds: int) -> None:
    """Print the mean accuracy on a test set in %, and the mean size of a kept picture."""
    rng = np.random.default_rng(0)
    made = [picture(rng) for _ in range(max(ANSWERS) + TEST)]
    labels = [label for _, label in made]
    click.echo("kept | kB | " + " | ".join(f"{n} answers" for n in ANSWERS))
    for colour in (False, True):
        kept = [_reduced(raw, colour=colour) for raw, _ in made]
        learner = make("images", {"field": "image", "features": "pretrained", "colour": colour})
        uris = [_uri(one, None) if colour else _uri(None, one) for one in kept]
        features = learner.featurize([{"image": uri} for uri in uris])  # type: ignore[attr-defined]
        shares = [[_accuracy(learner, features, labels, n, seed) for seed in range(seeds)] for n in ANSWERS]
        size = sum(map(len, kept)) / len(kept) / 1000
        means = " | ".join(f"{100 * float(np.mean(one)):.0f} %" for one in shares)
        click.echo(f"{'colour' if colour else 'grey'} | {size:.0f} | {means}")


def picture(rng: np.random.Generator) -> tuple[bytes, str]:
    """Return a PNG and its label."""
    shape, hue = SHAPES[rng.integers(len(SHAPES))], [*HUES][rng.integers(len(HUES))]
    pixels = rng.integers(200, 256, (SIDE, SIDE, 3)).astype(np.float64)
    size, bright = rng.integers(40, 90), rng.integers(110, 140)
    y, x = rng.integers(size, SIDE - size, 2)
    down, across = np.mgrid[:SIDE, :SIDE]
    inside = np.maximum(abs(down - y), abs(across - x)) < size * 0.886  # with the area of the disc
    if shape == "disc":
        inside = np.hypot(down - y, across - x) < size
    pixels[inside] = np.asarray(HUES[hue]) + bright + rng.normal(0, 10, (int(inside.sum()), 1))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue(), f"{hue} {shape}"


def _accuracy(learner: object, features: object, labels: list[str], n: int, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(labels))
    test, taught = order[:TEST], order[TEST : TEST + n]
    given, truth = np.asarray(features), np.asarray(labels)
    model = learner.classifier(given[taught], seed)  # type: ignore[attr-defined]
    return float(np.mean(model.fit(given[taught], truth[taught]).predict(given[test]) == truth[test]))


if __name__ == "__main__":
    main()
