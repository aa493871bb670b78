"""A person's own kernel tree: what it is, putting the emitted text into it, and the way back."""
