"""The four networks of ACE++, with the keys and the arithmetic of their published implementations."""
