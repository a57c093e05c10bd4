"""What every process of labelloop has: settings, logs, metrics, a sign of life."""
