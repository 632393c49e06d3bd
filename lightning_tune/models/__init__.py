"""Encoders and the classifier around them: torch only, no Lightning."""
