"""Templates to source text, with the way back from a rendered line to its template line."""
