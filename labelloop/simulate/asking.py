"""What each variant asks next: the product's own utilities and selection, on a replay's moment."""

from __future__ import annotations

import numpy as np

from labelloop import strategies
from labelloop.simulate.labelled import Labelled
from labelloop.simulate.learning import Codes
from labelloop.simulate.options import Variant
from labelloop.simulate.replay import Ask, Moment


def asker(variant: Variant, labelled: Labelled) -> Ask:
    def ask(moment: Moment, n: int) -> Codes:
        utilities = strategies.utilities(variant.strategy, moment.proba[moment.waiting], moment.rng)
        best = np.argsort(-utilities, kind="stable")
        return moment.waiting[best[:n]]

    return ask
