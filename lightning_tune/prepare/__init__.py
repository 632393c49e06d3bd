"""Raw text to clean, private, leak-free, labelled splits: functions over tables."""
