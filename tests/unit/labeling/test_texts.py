"""Texts: their canonical form, edit distances, what people agree on, and error rates by their definitions."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.consensus import consensus
from labelloop.answers.measures import measured, rows
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.kinds import edits, text
from labelloop.labeling.kinds.edits import distance, similarity, words_of

FORM = '<View><Audio name="sound" value="$sound"/><TextArea name="heard" toName="sound"/></View>'
CONFIG = LabelingConfig.parse(FORM)
CONTROL = CONFIG.answer
LETTERS = st.text("abc ", max_size=12)


def table(one: str, other: str) -> int:
    """The edit distance by its table, cell by cell."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        above, row = row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@given(LETTERS, LETTERS)
def test_the_distance_is_that_of_the_table(one: str, other: str) -> None:
    assert distance(one, other) == table(one, other) == distance(other, one)
    assert distance(one.split(), other.split()) <= max(len(one.split()), len(other.split()))
    assert 0 <= similarity(one, other) <= 1
    assert (similarity(one, other) == 1) == (one == other)


@given(st.text("ab ", max_size=60), st.text("ab ", max_size=60), st.integers(0, 60), st.integers(1, 20))
def test_the_distance_is_the_same_in_a_narrow_band(one: str, other: str, most: int, narrow: int) -> None:
    right = table(one, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edits, "_NARROW", narrow)
        assert distance(one, other) == right
        found = distance(one, other, most)
    assert found == right if right <= most else found > most


def test_a_million_characters_take_seconds_and_are_near_their_distance() -> None:
    chance = random.Random(1)
    words = [str(chance.randrange(10_000)) for _ in range(200_000)]
    changed = [word for i, word in enumerate(words) if i % 50]
    began = time.process_time()
    assert distance(words, changed) == 4_000
    assert 0 <= similarity(" ".join(words), " ".join(reversed(words))) < 0.5
    assert time.process_time() - began < 30


def test_ten_thousand_characters_take_a_second_at_most() -> None:
    chance = random.Random(1)
    one, other = ("".join(chance.choices("abcdefgh ", k=10_000)) for _ in range(2))
    began = time.process_time()
    assert 5_000 < distance(one, other) < 10_000
    assert time.process_time() - began < 1


def test_longer_texts_are_compared_by_words_in_about_the_same_measure() -> None:
    words = ["word"] * 30_000
    changed = ["else" if i % 10 == 0 else word for i, word in enumerate(words)]
    one, other = " ".join(words), " ".join(changed)
    assert len(one) > edits.LONGEST
    assert similarity(one, other) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    ("given_", "written"),
    [
        ("  hello  ", "hello"),
        ("one  \r\ntwo\t\r\n", "one\ntwo"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("a\n\n b", "a\n\n b"),
        ("שלום 😀", "שלום 😀"),
    ],
)
def test_equal_looking_texts_are_equal(given_: str, written: str) -> None:
    assert text.canonical(CONTROL, given_) == written


@pytest.mark.parametrize("given_", ["", " \n ", 3, None, ["a"]])
def test_nothing_is_no_text(given_: object) -> None:
    with pytest.raises(ValueError, match="must be a text"):
        text.canonical(CONTROL, given_)


@pytest.mark.parametrize(
    ("answer", "said", "cer", "wer"),
    [
        ("the cat sat", "the cat sat", 0, 0),
        ("the cat sat", "the bat sat", 1 / 11, 1 / 3),
        ("the cat sat", "cat sat", 4 / 11, 1 / 3),
        ("a b", "a b c d", 4 / 3, 1),  # an error rate may be above 1 where too much was written
        ("今日は良い", "今日は悪い", 1 / 5, None),
        ("안녕 하세요", "안녕 하세", 1 / 6, 1 / 2),
    ],
)
def test_error_rates_are_edits_by_the_length_of_the_answer(
    answer: str, said: str, cer: float, wer: float | None
) -> None:
    found = text.measures(CONTROL, answer, said)
    assert found.get("cer") == pytest.approx(cer)
    assert found.get("wer") == (None if wer is None else pytest.approx(wer))
    assert text.score(CONTROL, answer, said) == pytest.approx(max(0, 1 - cer))


@pytest.mark.parametrize("written", ["สวัสดีครับ", "ជំរាបសួរ", "မင်္ဂလာပါ", "今日は"])
def test_no_words_are_counted_where_there_are_no_blanks_between_them(written: str) -> None:
    assert words_of(written) is None


def test_the_error_rate_of_several_texts_is_all_edits_by_all_characters() -> None:
    found = measured(CONFIG, [("a", "b"), ("the cat sat", "the cat sat"), ("the", None)])
    assert found["cer"] == {"value": pytest.approx(1 / 12), "items": 2}
    assert found["wer"] == {"value": pytest.approx(1 / 4), "items": 2}
    [cer, wer] = rows({"champion": found, "challenger": {}})
    assert cer == {
        "name": "Character error rate (CER)",
        "champion": "8.3 % (2 items)",
        "challenger": "not measured",
    }
    assert wer["champion"] == "25.0 % (2 items)"


def agreed(*texts: str) -> tuple[Any, ...]:
    found = consensus(texts, len(texts), CONTROL)
    assert found is not None
    return found.label, found.agreement


def test_people_agree_on_the_text_that_most_gave() -> None:
    assert agreed("good day", "good day", "god day") == ("good day", pytest.approx((2 + 7 / 8) / 3))


def test_without_one_the_text_nearest_to_all_counts() -> None:
    label, agreement = agreed("the cat sat here", "the cat sat her", "the bat sat here")
    assert label == "the cat sat here"
    assert agreement == pytest.approx((1 + 2 * 15 / 16) / 3)


def test_two_who_nearly_agree_give_the_longer_text_and_others_none() -> None:
    assert agreed("the cat sat here", "the cat sat her") == ("the cat sat here", pytest.approx((1 + 15 / 16) / 2))
    assert agreed("a dog on a lawn", "two children play") == (None, None)
    assert agreed("one", "another", "a third thing") == (None, None)


@given(st.text("abcdefgh", min_size=6, max_size=12), st.lists(st.text("abc", max_size=3), min_size=1, max_size=6))
def test_the_medoid_is_the_one_of_all_similarities(base: str, ends: list[str]) -> None:
    texts = [base + end for end in ends] + [base[:4]] * (len(ends) > 3)
    counts = {one: texts.count(one) for one in texts}
    most = max(counts.values())
    usual = [one for one in counts if counts[one] == most]
    sums = {one: sum(1 - table(one, other) / max(len(one), len(other)) for other in texts) for one in counts}
    medoid = max(sums, key=lambda one: (round(sums[one], 9), len(one), one))
    right = usual[0] if most > 1 and len(usual) == 1 else medoid
    close = sum(1 - table(right, other) / max(len(right), len(other)) >= text.CLOSE for other in texts)
    assert text.agreed(CONTROL, texts, None)[0] == (right if 2 * close > len(texts) else None)


@given(st.lists(st.text("ab ", min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5), st.randoms())
def test_the_order_of_the_people_does_not_matter(texts: list[str], chance: random.Random) -> None:
    written = [text.canonical(CONTROL, one) for one in texts]
    mixed = chance.sample(written, len(written))
    found, other = (text.agreed(CONTROL, one, None) for one in (written, mixed))
    assert found[0] == other[0]
    assert found[1] == pytest.approx(other[1])
    if found[0] is not None:
        assert found[0] in written
        assert 0 < found[1] <= len(written)
