"""Everything that is particular to one loop, from its loop.yaml and labels.xml."""
