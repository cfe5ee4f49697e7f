"""What the agent remembers: embedding, index, bank, and the distillers that fill it."""
