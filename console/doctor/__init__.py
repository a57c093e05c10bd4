"""Doctor: looks at all that a loop stands on, changes nothing, and says of each fault its cause and its repair."""

from console.doctor.examine import examine
from console.doctor.findings import Finding, Level, exit_status, summary

__all__ = ["Finding", "Level", "examine", "exit_status", "summary"]
