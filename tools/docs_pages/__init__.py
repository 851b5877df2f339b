"""What writes the generated pages of the documentation site, and what checks its links."""
