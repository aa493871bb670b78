"""ELFv2 as data: prototypes, argument placement, the zoo of callers."""
