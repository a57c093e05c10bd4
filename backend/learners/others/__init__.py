"""Models of others: a user's LabelStudioMLBase in a process of its own, and models that answer over HTTP."""
