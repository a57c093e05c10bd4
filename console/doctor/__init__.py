"""Doctor: checks everything a loop depends on, changes nothing, and prints the cause and repair of each fault."""

from console.doctor.examine import examine
from console.doctor.findings import Finding, Level, exit_status, summary

__all__ = ["Finding", "Level", "examine", "exit_status", "summary"]
