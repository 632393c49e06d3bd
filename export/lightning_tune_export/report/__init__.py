"""The report of an export: its record, and the record as Markdown, HTML, figures and text."""
