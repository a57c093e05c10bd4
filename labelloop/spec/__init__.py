"""All that is particular to one loop: loop.yaml and labels.xml."""
