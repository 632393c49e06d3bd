"""Collecting: whatever the user names as input, as one table with the origin of each row."""
