"""The commands about what is stored: audit and lineage; loops, backup, restore and forget."""
