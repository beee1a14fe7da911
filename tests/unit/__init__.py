"""Each part of the package by itself, the walls between them, and the golden vectors."""
