"""Formats of other tools: read and write items with the outputs of models and the answers of people. Pure.

Each module knows one format. What a format cannot hold is counted by its reason (`Tally`), so that it can be told.
"""
