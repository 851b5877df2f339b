"""Tables only, a source per row."""
