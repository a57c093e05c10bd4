"""Review: the reports of loops, runs and versions, as pages for people and as JSON for programs; and who may decide."""
