"""The queue: the outputs that people see, their order, and the reason that each task shows."""
