"""Exchange: memories to files and back, one format a file."""
