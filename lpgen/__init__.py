"""lpgen: generate, assemble and run the ppc64le ftrace entry and livepatch trampolines."""

__version__ = "0.1.0"
