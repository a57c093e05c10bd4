"""Postgres: plain functions on a connection.

A function does one thing in the caller's transaction, mostly with one statement.
"""
