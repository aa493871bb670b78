"""Templates to source text, with the way back from a rendered line to its template line."""

from lpgen.source.render import Rendered, render

__all__ = ["Rendered", "render"]
