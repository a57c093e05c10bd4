"""The model card of a version: details, training data, metrics and limits.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting" (doi:10.1145/3287560.3287596). A card
may be given to other organisations, so the only person that it names is the one who promoted the version.
`labelloop lineage` shows the reviewers.
"""

from backend.report.card.facts import card
from backend.report.card.page import card_html

__all__ = ["card", "card_html"]
