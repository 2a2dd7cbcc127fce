"""What an answer is worth: parse, verify, score. Standard library only."""
