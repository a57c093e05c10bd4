"""The report of a loop's progress: the learning curve, its continuation, and the stopping criteria."""
