"""The sections of the HTML report, one idea a file."""
