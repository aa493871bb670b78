"""What the templates' ``{% when FEATURE %}`` asks: is the part there, does an #ifdef of its option stand around it?"""

from __future__ import annotations

from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, feature_texts


class Conditions:
    """The features of one kernel; with ``keep`` those that depend on an option are kept in the text as #ifdef.

    ``features`` are those whose text is there, ``kept`` those of them that an #ifdef stands around.
    """

    def __init__(self, kernel: Kernel, *, keep: bool = False) -> None:
        self.kernel = kernel
        self.features = kernel.features
        self.kept: frozenset[str] = frozenset()
        if keep:
            self.kept = frozenset(
                name for name, options in kernel.feature_options.items() if options or name in kernel.unless
            )
            self.features |= self.kept

    def _test(self, feature: str) -> str:
        options = self.kernel.feature_options[feature]
        if feature in self.kernel.unless:
            return f"ndef {self.kernel.unless[feature]}"
        if len(options) == 1:
            return f"def {options[0]}"
        return f" {' && '.join(f'defined({option})' for option in options)}"

    def shown(self, feature: str, wanted: bool) -> bool:
        """Say whether the part for a feature that is there (``wanted``), or for one that is not, is in the text."""
        if feature not in feature_texts():
            raise LpgenError(f"there is no feature {feature!r}", hint=f"there are {', '.join(feature_texts())}")
        return feature in self.kept or (feature in self.features) == wanted

    def opening(self, feature: str) -> str:
        """Return what stands before the part for a feature."""
        return f"#if{self._test(feature)}\n" if feature in self.kept else ""

    def middle(self, feature: str) -> str:
        """Return what stands between that part and the one for its absence."""
        return "#else\n" if feature in self.kept else ""

    def closing(self, feature: str) -> str:
        """Return what stands behind both."""
        return "#endif\n" if feature in self.kept else ""
