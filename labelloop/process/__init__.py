"""Parts of every process of labelloop: settings, logs, metrics, and the runtimes of services and workers."""
