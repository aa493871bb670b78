"""The emulated machine and the kernel world in it."""
