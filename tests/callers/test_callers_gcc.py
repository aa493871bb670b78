"""lpgen.callers against gcc: one side of each call is compiled, the other one is lpgen's placement."""

from __future__ import annotations

from callers_guest import R1, STACK, STOP, Guest, reg

from lpgen.callers.cgen import BUFFER_SIZE, Call, received_values
from lpgen.callers.compare import mismatches, result_mismatches
from lpgen.callers.types import round_up
from lpgen.callers.values import ArgumentImage, decode, decode_result, encode, encode_result, without_padding
from lpgen.callers.variadic import VariadicReader

RESULT = STACK + 0x800


def test_gcc_callees_find_what_encode_placed_and_results_decode(calls: list[Call], callees: Guest) -> None:
    wrong = []
    for number, call in enumerate(calls):
        placement = call.shape.placement
        image = encode(placement, call.values, RESULT)
        callees.uc.mem_write(callees.symbols["received"], bytes(BUFFER_SIZE))
        callees.enter(f"callee_{number}", image)
        received = received_values(placement, callees.read(callees.symbols["received"], BUFFER_SIZE))
        if received != list(call.values):
            wrong.append(f"{call.shape.name}: {call.shape.c_prototype()}: {received} != {call.values}")
        gpr, fpr, vr = callees.gpr(), callees.fpr(), callees.vr()
        result = decode_result(placement, gpr, fpr, vr, callees.read)
        if result != call.result:
            wrong.append(f"{call.shape.name}: {call.shape.c_prototype()}: result {result.hex()} != {call.result.hex()}")
        wrong += result_mismatches(placement, call.result, gpr, fpr, vr, callees.read, RESULT)
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong[:10])


def test_gcc_callers_place_what_decode_finds(calls: list[Call], callers: Guest) -> None:
    wrong = []
    for number, call in enumerate(calls):
        placement = call.shape.placement
        callers.enter(f"call_{number}", ArgumentImage(), until=callers.symbols["probe"])
        state = callers.gpr(), callers.fpr(), callers.vr()
        decoded = decode(placement, *state, callers.read_frame)
        differences = mismatches(placement, call.values, *state, callers.read_frame)
        if decoded != list(call.values) or differences:
            wrong.append(f"{call.shape.name}: {call.shape.c_prototype()}: {differences or decoded}")
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong[:10])


def test_gcc_callers_take_the_result_that_encode_result_placed(calls: list[Call], callers: Guest) -> None:
    wrong = []
    for number, call in enumerate(calls):
        placement = call.shape.placement
        callers.uc.mem_write(callers.symbols["returned"], bytes(BUFFER_SIZE))
        callers.enter(f"call_{number}", ArgumentImage(), until=callers.symbols["probe"])
        image = encode_result(placement, call.result, callers.uc.reg_read(reg.UC_PPC_REG_3))
        for address, data in image.memory.items():
            callers.uc.mem_write(address, data)
        callers.scramble(image)
        callers.run(callers.uc.reg_read(reg.UC_PPC_REG_LR), STOP)
        returned = callers.read(callers.symbols["returned"], len(call.result))
        if without_padding(returned, placement.result_mask) != call.result:
            wrong.append(f"{call.shape.name}: {call.shape.c_prototype()}: {returned.hex()} != {call.result.hex()}")
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong[:10])


def test_variadic_reader_walks_through_gccs_frames(calls: list[Call], callers: Guest) -> None:
    walked = 0
    for number, call in enumerate(calls):
        if not call.shape.prototype.variadic:
            continue
        callers.enter(f"call_{number}", ArgumentImage(), until=callers.symbols["probe"])
        reader = VariadicReader(call.shape.placement)
        frame = callers.uc.reg_read(reg.UC_PPC_REG_1)
        for offset, data in reader.spill(callers.gpr()):
            callers.uc.mem_write(frame + offset, data)
        fixed = len(call.shape.prototype.params)
        assert reader.read_all(callers.read_frame) == list(call.values[fixed:]), call.shape.c_prototype()
        walked += 1
    assert walked > 40


def test_gccs_callees_write_to_the_parameter_save_area_only_if_the_placement_has_one(
    calls: list[Call], plain_callees: Guest
) -> None:
    wrote = 0
    wrong = []
    for number, call in enumerate(calls):
        placement = call.shape.placement
        image = encode(placement, call.values, RESULT)
        plain_callees.enter(f"callee_{number}", image, until=plain_callees.symbols[f"callee_{number}"])
        before = plain_callees.read(R1, 0x3000)
        plain_callees.run(plain_callees.symbols[f"callee_{number}"], STOP)
        after = plain_callees.read(R1, 0x3000)
        received = received_values(placement, plain_callees.read(plain_callees.symbols["received"], BUFFER_SIZE))
        if received != list(call.values):
            wrong.append(f"{call.shape.name}: {call.shape.c_prototype()}: {received}")
        changed = [i for i in range(32, 0x3000) if before[i] != after[i]]
        wrote += bool(changed)
        if changed and changed[-1] >= 32 + placement.parameter_save_area_size:
            area = placement.parameter_save_area_size
            wrong.append(f"{call.shape.name}: {call.shape.c_prototype()}: {changed[-1]}(r1), area of {area} bytes")
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong[:10])
    assert wrote > 50


BARE_FRAMES = ("ints_8", "ints_9", "ints_10", "doubles_13", "doubles_14", "vectors_12", "vectors_13", "variadic_none")
BARE_FRAMES += ("variadic_8", "variadic_doubles", "int128_split", "floats_16", "vectors_16_and_int", "no_arguments")


def test_gccs_frames_have_the_parameter_save_area_that_the_placement_says(calls: list[Call], callers: Guest) -> None:
    """Every frame has room for it; callers without locals of their own have no room for another one (64 bytes)."""
    bare = set()
    for number, call in enumerate(calls):
        callers.enter(f"call_{number}", ArgumentImage(), until=callers.symbols["probe"])
        frame = R1 - callers.uc.reg_read(reg.UC_PPC_REG_1)
        expected = round_up(32 + call.shape.placement.parameter_save_area_size, 16)
        assert frame >= expected, call.shape.c_prototype()
        if call.shape.name in BARE_FRAMES:
            assert frame < expected + 64, call.shape.c_prototype()
            bare.add(call.shape.name)
    assert bare == set(BARE_FRAMES)
