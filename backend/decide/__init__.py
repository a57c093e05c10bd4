"""The hop that decides: a run's verdict, and which version is champion."""
