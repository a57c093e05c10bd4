"""Room one: outputs in, tasks to Label Studio, answers back. An application, not in the wheel."""
