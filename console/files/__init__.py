"""Files: the outputs in a file of any kind, and a loop made from a file or from a template."""
