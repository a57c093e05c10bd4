"""The commands that tell what happened: audit, lineage."""
