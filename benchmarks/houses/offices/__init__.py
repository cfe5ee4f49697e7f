"""The offices that House Rules is played in: a back office, and a library desk."""
