"""Records of what a run reached, and their rendering: Markdown, HTML, terminal, figures."""
