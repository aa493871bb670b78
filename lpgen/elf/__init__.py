"""ELF files that a person hands in: objects and kernels, whatever their bytes are."""
