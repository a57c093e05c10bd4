"""The training hop: the cut of a run's answers, the fit in a child process, and the replay of a run."""
