"""Backup and restore: both databases, the models, Label Studio's files, the loops and the settings, in one folder."""
