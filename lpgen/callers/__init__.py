"""ELFv2 as data: prototypes, argument placement, the zoo of callers.

``types`` has the C types, ``placement`` says where a call's arguments and result are, ``values`` moves bytes there and
back, ``compare`` says in words what is wrong with them, ``variadic`` is the callee's side of an ellipsis. ``shape``,
``zoo`` and ``randoms`` make calls, ``c_prototype`` reads one from a C declaration, and ``cgen`` writes them as C::

    shape = random_shape(random.Random(1))
    values = random_values(shape, random.Random(2))
    image = encode(shape.placement, values)      # registers and parameter save area to set up at the call
    lines = mismatches(shape.placement, values, gpr, fpr, vr, read_mem)     # what the callee did not get
"""
