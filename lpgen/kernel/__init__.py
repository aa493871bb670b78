"""Facts of a kernel: generations, layouts, offsets."""
