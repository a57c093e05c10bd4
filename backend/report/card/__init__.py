"""The model card of a version: what it is, what it learned from, what it is worth, and what it is not good for.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting" (doi:10.1145/3287560.3287596). A card
may leave the house, so it names nobody but who promoted the version: `labelloop lineage` says whose the answers are.
"""

from backend.report.card.facts import card
from backend.report.card.page import card_html

__all__ = ["card", "card_html"]
