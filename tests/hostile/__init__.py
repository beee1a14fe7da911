"""The agent in hostile surroundings: signals and errors at every step, and other people's files."""
