"""The bytes of large sections, piece by piece: as they are in the file, or decompressed into a temporary file."""

from __future__ import annotations

import contextlib
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO

from lpgen.elf.file import MAX_TABLE, SHF_COMPRESSED, ElfFile, ElfSection
from lpgen.errors import LpgenError

PIECE = 4 << 20
# The largest section that is decompressed: on disk, not in memory. A kernel's .debug_info has some 300 MB.
MAX_DECOMPRESSED = 1 << 30
ZLIB, ZSTD = 1, 2
# Deflate makes at most so many bytes out of one (zlib, "Maximum Compression Factor").
MAX_RATIO = 1040
_CHDR = struct.Struct("<IIQQ")


class Area:
    """The contents of one section, ``size`` bytes when decompressed, at most ``limit``.

    Raises LpgenError when they are damaged, or compressed in a way that this Python does not read.
    """

    def __init__(self, elf: ElfFile, section: ElfSection, limit: int = MAX_DECOMPRESSED) -> None:
        self._elf = elf
        self.name = section.name
        self._offset = section.offset
        self.size = section.size
        self._temporary: IO[bytes] | None = None
        if section.flags & SHF_COMPRESSED:
            try:
                self._decompress(section, limit)
            except BaseException:
                self.close()
                raise

    def _decompress(self, section: ElfSection, limit: int) -> None:
        elf = self._elf
        if section.size < _CHDR.size:
            raise elf.damaged(f"{self.name} has no compression header")
        kind, _, size, _ = _CHDR.unpack(elf.bytes_at(section.offset, _CHDR.size))
        if kind == ZSTD:
            raise LpgenError(
                f"{self.name} is compressed with zstd, which lpgen does not read",
                place=elf.place,
                hint="decompress a copy with objcopy --decompress-debug-sections",
            )
        if kind != ZLIB or size > section.size * MAX_RATIO:
            raise elf.damaged(f"{self.name} has the compression header {kind}, {size} bytes")
        if size > limit:
            raise LpgenError(f"{self.name} has {size} bytes decompressed, more than lpgen reads", place=elf.place)
        out = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the area
        self._temporary = out
        inflate = zlib.decompressobj()
        made, at, end = 0, section.offset + _CHDR.size, section.offset + section.size
        try:
            while at < end and not inflate.eof and made <= size:
                pending = elf.bytes_at(at, min(PIECE, end - at))
                at += len(pending)
                while pending and made <= size:
                    data = inflate.decompress(pending, PIECE)
                    pending = inflate.unconsumed_tail
                    made += len(data)
                    out.write(data)
        except zlib.error as error:
            raise elf.damaged(f"{self.name} cannot be decompressed") from error
        except OSError as error:
            raise LpgenError(f"{self.name} cannot be decompressed: {error.strerror}", place=elf.place) from None
        if made != size or not inflate.eof:
            raise elf.damaged(f"{self.name} has not the {size} bytes that its header says")
        self.size = size

    def close(self) -> None:
        """Remove what was decompressed."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.close()

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on. Raises LpgenError when they are not there."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise self._elf.damaged(f"{self.name} has no {size} bytes at {offset:#x}")
        if self._temporary is None:
            return self._elf.bytes_at(self._offset + offset, size)
        if size > MAX_TABLE:
            raise LpgenError(f"a table of {size} bytes is more than lpgen reads", place=self._elf.place)
        self._temporary.seek(offset)
        return self._temporary.read(size)

    def find(self, pattern: re.Pattern[bytes], longest: int) -> Iterator[int]:
        """Yield where ``pattern`` matches, in order; no match is longer than ``longest`` bytes."""
        at = 0
        while at < self.size:
            piece = self.read(at, min(PIECE + longest - 1, self.size - at))
            for match in pattern.finditer(piece):
                if match.start() < PIECE:
                    yield at + match.start()
            at += PIECE
