"""A typed grammar of stdin programs: text, and the shape of the input that it reads, from a key."""
