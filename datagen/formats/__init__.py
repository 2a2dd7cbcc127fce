"""What other tools read: one file a format, and an explicit registry of them."""
