"""Whom each command is for, and in one line what it does: the list that `labelloop --help` shows."""

from __future__ import annotations

ROLES = {
    "Run it": {
        "up": "Start everything and keep it up until Ctrl-C",
        "down": "End an `up`, or what a killed one left; --purge removes its data",
        "demo": "Play the whole loop on real input, with simulated people",
        "doctor": "Find what is wrong and the line that repairs it",
        "status": "Show what waits, is with people and is answered, by loop",
        "loops": "Show all loops at a glance, and what needs you",
        "loop": "Archive a loop, restore it, or remove it for good",
        "push": "Send the most useful outputs to Label Studio now",
        "pull": "Read people's answers back from Label Studio now",
        "project": "Make a loop's project in Label Studio anew",
        "token": "Add, list and revoke tokens of the review pages",
        "settings": "Show the settings in force, secrets hidden",
        "migrate": "Update the database's schema and register the loops",
        "completion": "Let your shell complete commands on the tab key",
    },
    "Send outputs": {
        "submit": "Submit the outputs in a file, one JSON object a line",
    },
    "Work with annotators": {
        "invite": "Print the link by which people sign up in Label Studio",
        "people": "Show how much, how fast and how accurately each answers",
    },
    "Train and decide": {
        "retrain": "Ask for a challenger and a verdict, or stop a run",
        "runs": "List the runs, or show one run's verdict and its evidence",
        "versions": "List the model versions, or show one",
        "compare": "Compare two versions on the same held-out answers",
        "card": "Show or write the model card of a version",
        "lineage": "Show the answers behind a version, and the way back",
        "promote": "Make a version the champion",
        "refuse": "Refuse the version that a run offers",
        "rollback": "Go back to an earlier champion",
        "replay": "Train a run again and compare the bytes",
        "rescore": "Recompute labels and utilities of what waits",
        "control": "Measure whether active learning pays in a loop",
        "strategies": "List the query strategies",
        "simulate": "Compare query strategies on a labelled set",
    },
}
