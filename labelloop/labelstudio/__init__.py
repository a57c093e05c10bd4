"""Every call to Label Studio; no other folder of labelloop talks to it."""
