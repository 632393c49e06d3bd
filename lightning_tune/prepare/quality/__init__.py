"""How far labels can be trusted: suspects, outliers, balance, agreement, and their review."""
