"""Committee: several models that were taught differently; where they disagree there is something to learn.

By modAL. Each member has its own bootstrap of the answers (Breiman 1996, doi:10.1007/BF00058655), drawn within each
label so that all know all labels, and every second one is another kind of model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline

from backend.learners.modal import ActiveLearner
from backend.learners.modal import Committee as Members
from backend.learners.refit import weighing
from backend.learners.said import Said, of_proba
from backend.learners.through import Through

TREES = 50


class Committee(Through):
    """It says the mean of its members' probabilities, and as evidence what each of them says.

    So committee strategies rank by members of our own, and the pipeline need not bring any. `reads`: see Through.
    """

    name: ClassVar[str] = "committee"

    def __init__(
        self, field: str, reads: str = "text", members: Annotated[int, Field(ge=2, le=20)] = 6, **eyes: Any
    ) -> None:
        super().__init__(field, reads, eyes)
        self.members = members

    @property
    def params(self) -> Mapping[str, Any]:
        return {**super().params, "members": self.members}

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        """A member: the model of the learner whose eyes are used."""
        return self.eyes.classifier(features, seed)

    def learn(self, features: Sequence[Any], codes: Any, seed: int, weights: Sequence[float] | None) -> Any:
        rng = np.random.default_rng(seed)
        steps = [(name, step) for name, step in self.numbers(features)]
        numbers: Any = Pipeline(steps).fit_transform(features, codes) if steps else np.asarray(features)
        learners = []
        for member in range(self.members):
            drawn = _bootstrap(codes, rng)
            own = int(rng.integers(2**31))
            if member % 2:
                model = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=own)
            else:
                model = self.classifier([features[place] for place in drawn], own)
            weighed = weighing(model, None if weights is None else np.asarray(weights)[drawn].tolist())
            learner = ActiveLearner(model, X_training=numbers[drawn], y_training=codes[drawn], **weighed)
            learner.X_training = learner.y_training = None  # a version is the model, not what it was taught
            learners.append(learner)
        return Pipeline([*steps, ("committee", Members(learners))])

    def say(self, data: Sequence[Mapping[str, object]]) -> Said:
        if not data:
            return of_proba(self.classes, np.empty((0, len(self.classes))))
        features = self.see(data)
        numbers = self.estimator[:-1].transform(features) if len(self.estimator) > 1 else np.asarray(features)
        votes = self.estimator[-1].vote_proba(numbers)
        votes /= votes.sum(axis=2, keepdims=True)
        said = of_proba(self.classes, votes.mean(axis=1))
        evidence = [
            {"committee": [dict(zip(self.classes, member, strict=True)) for member in item]} for item in votes.tolist()
        ]
        return Said(said.labels, said.confidences, said.proba, evidence)


def _bootstrap(codes: Any, rng: np.random.Generator) -> Any:
    """Positions: as many as there are, drawn with replacement among those of each label."""
    drawn = [rng.choice(places, len(places)) for code in np.unique(codes) for places in [np.flatnonzero(codes == code)]]
    return np.sort(np.concatenate(drawn))
