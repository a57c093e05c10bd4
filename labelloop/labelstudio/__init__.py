"""The gateway to Label Studio: nothing else in labelloop talks to it."""
