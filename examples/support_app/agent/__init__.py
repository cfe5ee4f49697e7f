"""The agent of the support desk."""
