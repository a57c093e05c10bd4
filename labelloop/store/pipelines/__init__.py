"""Statements about tables that exist for the ways of pipelines alone; one file for each table."""
