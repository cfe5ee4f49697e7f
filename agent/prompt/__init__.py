"""Better prompts out of what failed."""
