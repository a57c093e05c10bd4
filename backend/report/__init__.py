"""Reports of loops, runs and versions, model cards, and the export to MLflow."""
