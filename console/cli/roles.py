"""The list of commands in `labelloop --help`, by the role of the reader, with one line each."""

from __future__ import annotations

ROLES = {
    "Run it": {
        "up": "Start all services and keep them running until Ctrl-C",
        "down": "Stop an `up` or its leftovers; --purge deletes its data",
        "demo": "Play the whole loop on real input with simulated annotators",
        "doctor": "Find faults, and print the command that repairs each",
        "status": "Count waiting, in-review and answered outputs per loop",
        "loops": "Show all loops at a glance, and which need attention",
        "loop": "Archive a loop, restore it, or remove it for good",
        "push": "Push the most useful waiting outputs to Label Studio",
        "pull": "Pull new and changed answers from Label Studio",
        "project": "Recreate a loop's project in Label Studio",
        "token": "Create, rotate, list and revoke access tokens",
        "settings": "Show the settings in force, with secrets hidden",
        "migrate": "Update the database schema and register the loops",
        "spec": "Name every mistake in the files of the loops",
        "completion": "Print the script for completion on the tab key",
    },
    "Send outputs": {
        "init": "Make a loop from a template or from a file of outputs",
        "submit": "Submit the outputs or traces in a file",
        "backtest": "Tell what a changed rule would have sent",
        "try": "Tell which outputs of a file would be asked, and why",
        "consume": "Store the outputs that arrive in Kafka or RabbitMQ",
        "outbox": "Show refused rows of the table outbox, or retry them",
        "export": "Export the reviewers' feedback, or its changes",
        "callback": "Tell your programs of answers by signed web requests",
    },
    "Work with annotators": {
        "invite": "Print the link with which annotators sign up",
        "people": "Show each annotator's number of answers, speed, accuracy",
    },
    "Train and decide": {
        "retrain": "Train and evaluate a challenger, or stop a run",
        "runs": "List the runs, or show one run's verdict and its evidence",
        "versions": "List the model versions, or show one",
        "compare": "Compare two versions on the same held-out answers",
        "card": "Show a version's model card, or write it to a file",
        "lineage": "Trace a version to its answers, or answers to versions",
        "promote": "Make a version the champion",
        "refuse": "Refuse the version that a run proposes",
        "rollback": "Return to an earlier champion",
        "replay": "Train a run again and compare the bytes of both models",
        "rescore": "Recompute labels and utilities of waiting outputs",
        "accuracy": "Estimate the error rate of all outputs that came in",
        "control": "Measure whether active learning pays in a loop",
        "strategies": "List the query strategies",
        "simulate": "Compare query strategies on a labelled set",
    },
}
