"""Removal of the data of outputs and of people's names, with a proof that stays."""
