"""Does the assembler work on this machine? Really assembles, and compares words."""

from __future__ import annotations

from lpgen.assembly import assemble, link, write_object
from lpgen.errors import LpgenError

# Statement and the word that GNU as 2.40 gives.
WORDS = (
    ("mflr r0", 0x7C0802A6),
    ("std r0,16(r1)", 0xF8010010),
    ("stdu r1,-112(r1)", 0xF821FF91),
    ("subi r3,r4,4", 0x3864FFFC),
    ("lis r12,0x57AC6E9D@h", 0x3D8057AC),
    ("clrrdi r12,r1,14", 0x782C0464),
    ("tdne r11,r12", 0x7F0B6088),
    ("bne- cr1,.+8", 0x40C60008),
    ("bctrl", 0x4E800421),
    ("stxvd2x vs34,0,r4", 0x7C402799),
)


def selftest() -> list[tuple[str, bool, str]]:
    """Return (what, holds, what was seen) for each check of the assembler."""
    return [_words(), _refusal(), _linking()]


def _words() -> tuple[str, bool, str]:
    what = f"{len(WORDS)} instructions assemble to the words of GNU as"
    try:
        data = assemble("\n".join(text for text, _ in WORDS), name="selftest").sections[".text"].data
    except LpgenError as error:
        return what, False, str(error)
    for index, (text, expected) in enumerate(WORDS):
        word = int.from_bytes(data[4 * index : 4 * index + 4], "little")
        if word != expected:
            return what, False, f"{text}: {word:08x}, not {expected:08x}"
    return what, len(data) == 4 * len(WORDS), f"{len(data)} bytes"


def _refusal() -> tuple[str, bool, str]:
    what = "an instruction that Keystone cannot encode is refused with its line"
    try:
        unit = assemble("nop\nstq r4,0(r1)\n", name="selftest")
    except LpgenError as error:
        return what, error.place is not None and error.place.line == 2, str(error)
    return what, False, f"it became {unit.sections['.text'].data.hex()}"


def _linking() -> tuple[str, bool, str]:
    what = "kernel-style text goes through the preprocessor, the linker and into an object"
    text = "#include <asm/ppc_asm.h>\n_GLOBAL(f)\n\tbl g\n\taddis r3,r2,d@toc@ha\n\tld r3,d@toc@l(r3)\n"
    try:
        unit = assemble(text, name="selftest")
        image = link(unit, addresses={".text": 0x1000}, externals={"g": 0x2000, "d": 0x3008}, toc=0xB000)
        data = image.segments[0][1].hex()
        good = data == "01100048" + "0000623c" + "088063e8" and write_object(unit)[:4] == b"\x7fELF"
    except LpgenError as error:
        return what, False, str(error)
    return what, good, data
