"""The contract's statements (shared contract, sections 3 to 8), one function each, in the contract's order.

A function looks at what one trip showed and reports what the statement does not allow. None compares with lpgen's own
trampolines. Statements that do not apply to a trip check nothing, and so do not count as exercised by it.
"""

from lpgen.contract import ftrace, livepatch, register, smaller

__all__ = ["STATEMENTS", "ftrace", "livepatch", "smaller"]

_ORDER = ("T", "X", "L", "S")
STATEMENTS = dict(sorted(register.STATEMENTS.items(), key=lambda item: (_ORDER.index(item[0][0]), item[0])))
