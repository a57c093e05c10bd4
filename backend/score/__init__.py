"""The hop that scores what waits: labels of the champion, utilities of the newest version."""
