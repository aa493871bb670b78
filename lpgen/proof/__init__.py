"""Proof for all inputs: symbolic execution of the trampolines, and a solver for what that leaves open."""
