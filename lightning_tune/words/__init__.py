"""Texts as words, edits of words, and words of the same meaning: for attacks and augmentation."""
