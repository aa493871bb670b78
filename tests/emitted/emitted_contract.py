"""What the contract (sections 6 to 8) says of symbols and names, generation by generation, written down by hand.

On purpose not taken from lpgen/kernel/data: that is what it is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping

Config = Mapping[str, bool | int]

GRAPH = "CONFIG_FUNCTION_GRAPH_TRACER"
PATCHABLE = "CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY"
KPROBES = "CONFIG_KPROBES_ON_FTRACE"
OUT_OF_LINE = "CONFIG_PPC_FTRACE_OUT_OF_LINE"
CALL_OPS = "CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS"
DIRECT_CALLS = "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"

ONE_ENTRY = {"G1", "G2", "G3"}
TWO_ENTRIES = {"G4", "G5", "G6", "G7", "G8", "G9", "G10"}
GRAPH_HOOK = {"G1", "G2", "G3", "G4", "G5"}
LIVEPATCH = dict.fromkeys(GRAPH_HOOK, "CONFIG_LIVEPATCH")
LIVEPATCH |= dict.fromkeys(("G6", "G7", "G8", "G9", "G10"), "CONFIG_LIVEPATCH_64")

# Data: name -> its section, type, size in bytes (None: the number of stubs times FTRACE_OOL_STUB_SIZE), alignment.
TRAMPS = {
    "ftrace_tramp_text": (".tramp.ftrace.text", "notype", 32, 4),
    "ftrace_tramp_init": (".tramp.ftrace.init", "notype", 32, 4),
}
STUBS = {
    "ftrace_ool_stub_text_count": (".rodata", "object", 4, 4),
    "ftrace_ool_stub_text": (".text", "notype", None, 8),
}


def at_least(version: str, first: str) -> bool:
    numbers, wanted = ([int(word) for word in text.split(".")] for text in (version, first))
    return numbers[:2] >= wanted


def has_livepatch(generation: str, config: Config) -> bool:
    return bool(config[LIVEPATCH[generation]])


def call_labels(generation: str, config: Config) -> set[str]:
    """The calls that ftrace patches."""
    if config.get(CALL_OPS):
        return set()
    return {"ftrace_call", "ftrace_regs_call"} if generation in TWO_ENTRIES else {"ftrace_call"}


def graph_hook(generation: str, config: Config) -> bool:
    return generation in GRAPH_HOOK and bool(config[GRAPH])


def functions(generation: str, version: str, config: Config) -> set[str]:
    """The global functions."""
    assert generation in ONE_ENTRY | TWO_ENTRIES
    found = {"ftrace_caller", "ftrace_stub"}
    if generation in TWO_ENTRIES:
        found |= {"ftrace_regs_caller", "ftrace_no_trace"}
    if has_livepatch(generation, config):
        found.add("livepatch_handler")
    if graph_hook(generation, config):
        found |= {"ftrace_graph_stub", "ftrace_graph_caller"}
    if at_least(version, "6.6"):
        if mcount(version, config):
            found |= {"mcount", "_mcount"}
        if config[GRAPH]:
            found.add("return_to_handler")
    if config.get(DIRECT_CALLS):
        found.add("ftrace_stub_direct_tramp")
    return found


def labels(generation: str, config: Config) -> set[str]:
    """The global labels inside of functions, which ftrace patches."""
    return call_labels(generation, config) | ({"ftrace_graph_call"} if graph_hook(generation, config) else set())


def data(version: str, config: Config) -> dict[str, tuple[str, str, int | None, int]]:
    found: dict[str, tuple[str, str, int | None, int]] = {}
    if at_least(version, "6.6"):
        found |= TRAMPS
    if config.get(OUT_OF_LINE):
        found |= STUBS
    return found


def undefined(generation: str, version: str, config: Config) -> set[str]:
    """What the rest of the kernel gives."""
    found = set() if config.get(CALL_OPS) else {"function_trace_op"}
    if graph_hook(generation, config):
        found.add("prepare_ftrace_return")
    if generation == "G3" and config[KPROBES] and config["CONFIG_LIVEPATCH"]:
        found.add("is_current_kprobe_addr")
    if at_least(version, "6.6") and config[GRAPH]:
        found.add("ftrace_return_to_handler")
    return found


def mcount(version: str, config: Config) -> bool:
    """Call sites of patchable function entries lead nowhere before they are patched (contract section 8)."""
    return at_least(version, "6.6") and not config[PATCHABLE]


def exports(version: str, config: Config) -> list[str]:
    return ["_mcount"] if mcount(version, config) else []


def offset_names(version: str, config: Config) -> set[str]:
    """The asm-offsets names that not every kernel has, of those that the text may use with this configuration."""
    found = {"PACATOC"}
    if at_least(version, "4.18"):
        found.add("PACA_FTRACE_ENABLED")
    if at_least(version, "5.1"):
        found.add("PACA_THREAD_INFO")
    for option, name in (
        (CALL_OPS, "FTRACE_OPS_FUNC"),
        (DIRECT_CALLS, "FTRACE_OPS_DIRECT_CALL"),
        (OUT_OF_LINE, "FTRACE_OOL_STUB_SIZE"),
    ):
        if config.get(option):
            found.add(name)
    return found
