"""Adapters: predictions of other frameworks become outputs, ready for `Client.submit`. One module each.

    from labelloop import adapters
    client.submit(adapters.sklearn.outputs(model, model.predict_proba(X), keys, frame))

No module imports its framework: objects are read by their attributes. The light client has all of them.
"""

from __future__ import annotations

from labelloop.adapters import conversation, mlflow, openai, otlp, sklearn, spacy, transformers

__all__ = ["conversation", "mlflow", "openai", "otlp", "sklearn", "spacy", "transformers"]
