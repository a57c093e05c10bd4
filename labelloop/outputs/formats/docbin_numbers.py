"""Numbers of spaCy 3 for words that are names of its own: attributes, parts of speech, kinds of entities, relations.

In a DocBin such a word has its number in the place of a hash. The numbers are part of the format (spacy/symbols.pyx).
"""

from __future__ import annotations

_FROM_1 = (
    "IS_ALPHA IS_ASCII IS_DIGIT IS_LOWER IS_PUNCT IS_SPACE IS_TITLE IS_UPPER LIKE_URL LIKE_NUM LIKE_EMAIL IS_STOP",
    "IS_OOV_DEPRECATED IS_BRACKET IS_QUOTE IS_LEFT_PUNCT IS_RIGHT_PUNCT IS_CURRENCY",
)
_FROM_64 = (
    "ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE HEAD SENT_START",
    "SPACY PROB LANG ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X EOL",
    "SPACE",
)
_FROM_380 = (
    "PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME PERCENT MONEY QUANTITY",
    "ORDINAL CARDINAL acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj cop csubj",
    "csubjpass dep det dobj expl hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num",
    "number oprd obj obl parataxis partmod pcomp pobj poss possessive preconj prep prt punct quantmod relcl rcmod",
    "root xcomp acl ENT_KB_ID MORPH ENT_ID IDX _",
)


def _words(lines: tuple[str, ...]) -> list[str]:
    return [word for line in lines for word in line.split()]


NAMES: dict[int, str] = {
    0: "",
    **dict(enumerate(_words(_FROM_1), start=1)),
    **{number: f"FLAG{number}" for number in range(19, 64)},
    **dict(enumerate(_words(_FROM_64), start=64)),
    **{number: f"DEPRECATED{number - 103:03}" for number in range(104, 380)},
    **dict(enumerate(_words(_FROM_380), start=380)),
}
