"""What an agent may touch: a browser, files in one folder, and any typed Python function."""
