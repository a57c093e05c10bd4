"""Doctor: checks everything a loop depends on, changes nothing, and prints the cause and repair of each fault."""

from console.doctor.deepest import examine_deep
from console.doctor.examine import examine
from console.doctor.findings import Finding, Level, exit_status, summary
from console.doctor.media import examine_media
from console.doctor.safe import fix_safe

__all__ = ["Finding", "Level", "examine", "examine_deep", "examine_media", "exit_status", "fix_safe", "summary"]
