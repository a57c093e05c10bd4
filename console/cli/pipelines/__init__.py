"""Commands around pipelines: their outputs, the rule, callbacks and access."""
