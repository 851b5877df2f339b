"""What is told about a result: texts for people, from the same data as the JSON."""
