"""More training texts out of those there are: edits of words and letters, back-translation."""
