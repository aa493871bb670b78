"""gdb on the emulated call: a remote stub on a loopback port. ``serve`` of lpgen.debugger.serve is the way in."""
