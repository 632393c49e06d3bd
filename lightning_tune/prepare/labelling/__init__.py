"""Labels for texts that have none: which are worth a person's time, and rules that vote."""
