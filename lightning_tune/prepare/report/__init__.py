"""The report of prepared data: its record, and the record as Markdown and in the terminal."""
