"""gcc's callers under qemu-ppc64le: an assembly probe dumps what they pass, lpgen decodes the dump."""

from __future__ import annotations

import subprocess
from pathlib import Path

from callers_toolchain import DUMP_SIZE, QEMU, START_SOURCE, Dump, link, need, probe_source, run_source

from lpgen.callers.cgen import Call, callers_source
from lpgen.callers.compare import mismatches
from lpgen.callers.values import decode


def test_gcc_callers_under_qemu_place_what_decode_finds(calls: list[Call], tmp_path: Path) -> None:
    need(QEMU)
    # The probe leaves r3 as it came, so that a caller that copies its result from there finds a mapped address.
    sources = {"callers_c": callers_source(calls), "probe_s": probe_source(len(calls))}
    sources |= {"run_c": run_source(len(calls)), "start_s": START_SOURCE}
    program = link(tmp_path, "qemu", entry="_start", **sources)
    done = subprocess.run([QEMU, str(program)], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == len(calls) * DUMP_SIZE
    wrong = []
    for number, call in enumerate(calls):
        dump = Dump(done.stdout[number * DUMP_SIZE :][:DUMP_SIZE])
        state = dump.gpr, dump.fpr, dump.vr, dump.read_mem
        differences = mismatches(call.shape.placement, call.values, *state)
        if differences or decode(call.shape.placement, *state) != list(call.values):
            wrong.append(f"{call.shape.name}: {call.shape.c_prototype()}: {differences}")
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong[:10])
