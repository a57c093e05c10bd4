"""The hop that trains: a run's cut of the answers, its fit in a child process, and its replay."""
