"""Sentence vectors in Postgres: the vectors by text, and which waiting outputs still need one."""
