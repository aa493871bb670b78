"""One call step by step: what each instruction and each function changed, with the field's names for it.

``record`` runs the call and keeps its parts in order, ``names`` says what an address is called at that moment,
``build`` makes events of the parts, ``fold`` puts rows of alike ones together.
"""
