"""The commands, and the code that they run: cli, demo, doctor, simulate, local."""
