"""Source text to bytes, symbols and relocations."""
