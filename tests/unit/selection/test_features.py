"""Features: what is compared of texts, pictures and embeddings, and what counts as nearly the same."""

from __future__ import annotations

import io
from base64 import b64encode
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from console.demo.items import digits
from labelloop.selection import likeness
from labelloop.selection.features import Features, read, split

in_its_time = settings(deadline=None)
"""A busy machine is no fault."""
TEXTS = [
    "How long does a transfer to another bank take?",
    "My card has not arrived yet, where is it?",
    "Why was I charged a fee for taking out cash?",
    "Can I change the PIN of my card abroad?",
    "What currencies can I hold in my account?",
    "The app shows a payment that I did not make.",
    "I would like to close my account for good.",
    "Do you offer cards for children under sixteen?",
]


def of_texts(*texts: object) -> Features:
    known = read("text", "text", [{"text": text} for text in texts])
    assert known is not None
    return known


def png(array: object, kind: str = "PNG", **options: int) -> str:
    file = io.BytesIO()
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{b64encode(file.getvalue()).decode()}"


def same(known: Features) -> list[set[int]]:
    """The groups of more than one, as positions."""
    groups = [set(np.flatnonzero(known.groups == group).tolist()) for group in dict.fromkeys(known.groups.tolist())]
    return [group for group in groups if len(group) > 1]


@pytest.mark.slow
@in_its_time
@given(st.lists(st.text(max_size=30), max_size=12), st.randoms())
def test_any_texts_can_be_read_in_any_order(texts: list[str], random: Random) -> None:
    known = of_texts(*texts)
    assert known.readable.all()
    assert np.isfinite(known.vectors).all()
    order = list(range(len(texts)))
    random.shuffle(order)
    turned = of_texts(*(texts[i] for i in order))
    assert np.array_equal(turned.vectors, known.vectors[order])
    assert np.array_equal(turned.groups, known.groups[order])
    assert len(np.unique(known.groups)) <= len(set(texts))


def test_case_blanks_and_punctuation_make_no_difference() -> None:
    assert same(of_texts("Where is my card?", "  where is,\tMY card ", "Where are you?")) == [{0, 1}]
    # Where a text has neither letters nor digits, its signs are all there is.
    assert same(of_texts("👍", "👎", " 👍", "???", "!")) == [{0, 2}]


def test_a_text_with_a_typing_error_is_nearly_the_same_and_another_question_is_not() -> None:
    random = Random(0)
    texts = [*TEXTS]
    for text in TEXTS:
        place = random.randrange(len(text))
        texts.append(text[:place] + random.choice("aeiou") + text[place + random.randrange(2) :])
    assert same(of_texts(*texts)) == [{i, i + len(TEXTS)} for i in range(len(TEXTS))]


def test_near_duplicates_are_those_whose_runs_of_letters_overlap_by_the_threshold() -> None:
    random = Random(1)
    words = [random.choice("card cash fee bank app pin pay loan rate".split()) for _ in range(600)]
    texts = sorted({" ".join(words[i : i + 8]) for i in range(0, 590, 2)})
    groups = likeness.duplicates(texts)
    runs = [{f" {text} "[i : i + 3] for i in range(len(text))} for text in texts]
    leaders: list[int] = []
    for i, own in enumerate(runs):
        alike = [j for j in leaders if len(own & runs[j]) / len(own | runs[j]) >= likeness.ALIKE]
        if not alike:
            leaders.append(i)
        assert groups[i] == (alike[0] if alike else i)
    assert 1 < len(leaders) < len(texts)


def test_texts_about_one_thing_are_nearer_than_others() -> None:
    known = of_texts(*TEXTS, "how long do transfers to other banks take", "where is my card, it has not arrived")
    near = known.vectors @ known.vectors.T
    assert near[8, :8].argmax() == 0
    assert near[9, :8].argmax() == 1
    assert np.allclose(np.linalg.norm(known.vectors, axis=1), 1, atol=1e-4)


def test_pictures_are_compared_as_their_learner_sees_them() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (3, 8, 8))
    large = np.kron(small[0], np.ones((4, 4)))
    known = read("images", "image", [{"image": png(array)} for array in (*small, large)])
    assert known is not None
    assert same(known) == [{0, 3}]
    assert np.allclose(known.vectors[1], small[1].ravel() / 255 / 8, atol=1e-6)
    # The distance is the mean difference of the pixels: black and white are 1 apart.
    poles = read("images", "image", [{"image": png(np.full((8, 8), grey))} for grey in (0, 255)])
    assert poles is not None
    assert np.linalg.norm(poles.vectors[0] - poles.vectors[1]) == pytest.approx(1)


@pytest.mark.slow
def test_a_picture_saved_anew_is_nearly_the_same_and_different_digits_are_not() -> None:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(60, 190, (2, 4, 4)), np.ones((16, 16)))
    known = read(
        "images", "x", [{"x": png(smooth[0])}, {"x": png(smooth[0], "JPEG", quality=95)}, {"x": png(smooth[1])}]
    )
    assert known is not None
    assert same(known) == [{0, 1}]
    scans = read("images", "image", digits(0).data[:300])
    assert scans is not None
    assert same(scans) == []


def test_supplied_embeddings_are_taken_as_they_are_and_texts_say_what_is_nearly_the_same() -> None:
    data = [{"text": text} for text in (*TEXTS[:3], TEXTS[0].upper())]
    vectors = [[3.0, 4.0], [0.0, 2.0], None, [-1.0, 0.0]]
    known = read("text", "text", data, vectors)
    assert known is not None
    assert known.vectors == pytest.approx(np.array([[0.6, 0.8], [0, 1], [0, 0], [-1, 0]]))
    assert known.readable.tolist() == [True, True, False, True]
    assert same(known) == [{0, 3}]
    # Without texts the vectors say it.
    other = read("my-own", None, data, [[3.0, 4.0], [0.0, 2.0], None, [6.0, 8.0]])
    assert other is not None
    assert same(other) == [{0, 3}]


def test_embeddings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="vectors of 2 and of 3 numbers"):
        read("my-own", None, [{}, {}], [[1.0, 2.0], [1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="vector 1 has a number that is not finite"):
        read("my-own", None, [{}, {}], [[1.0, 2.0], [1.0, float("nan")]])


def test_an_unknown_learner_has_no_features() -> None:
    assert read("my-own", "text", [{"text": "a"}]) is None
    assert read("text", None, [{"text": "a"}]) is None
    assert split(None, 1, 2) == (None, None)


def test_what_cannot_be_read_is_like_nothing_else() -> None:
    known = of_texts("one", [7], "two", None)
    assert known.readable.tolist() == [True, False, True, False]
    assert len(set(known.groups.tolist())) == 4
    pictures = read("images", "image", [{"image": "data:image/png;base64,AAAA"}, {}, {"image": 3}])
    assert pictures is not None
    assert not pictures.readable.any()
    assert len(set(pictures.groups.tolist())) == 3


def test_nothing_can_be_read_too() -> None:
    empty = [
        of_texts(),
        of_texts(None, [1]),
        read("images", "x", []),
        read("own", None, [], []),
        read("own", None, [{}], [None]),
    ]
    for known in empty:
        assert known is not None
        assert not known.readable.any()
        assert len(known) == len(known.groups)


def test_a_reading_is_split_into_its_parts() -> None:
    known = of_texts(*TEXTS)
    parts = split(known, 5, 0, 3)
    assert [len(part or ()) for part in parts] == [5, 0, 3]
    assert np.array_equal(np.concatenate([part.vectors for part in parts if part]), known.vectors)
    with pytest.raises(ValueError, match=r"parts of 5 \+ 4 items, from a reading of 8"):
        split(known, 5, 4)
