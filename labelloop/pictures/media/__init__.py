"""Media: whether the annotator's browser can load what an item's addresses name, looked at as the browser would."""
