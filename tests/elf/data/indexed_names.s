# DWARF 5 as clang writes it: names are indexes into .debug_str_offsets, 1 byte (strx1) in the first unit, a ULEB128 in
# the second. struct thread_info { long first; long livepatch_sp; } is declared in the first and defined in the second.

	.section .debug_abbrev,"",@progbits
.Labbrev:
	.uleb128 1, 0x11			# compile_unit, with children
	.byte 1
	.uleb128 0x72, 0x17			# str_offsets_base: sec_offset
	.uleb128 0, 0
	.uleb128 2, 0x13			# structure_type without children: declaration
	.byte 0
	.uleb128 0x03, 0x25			# name: strx1
	.uleb128 0x3c, 0x19			# declaration: flag_present
	.uleb128 0, 0
	.uleb128 3, 0x13			# structure_type
	.byte 1
	.uleb128 0x03, 0x1a			# name: strx
	.uleb128 0x0b, 0x0b			# byte_size: data1
	.uleb128 0, 0
	.uleb128 4, 0x0d			# member
	.byte 0
	.uleb128 0x03, 0x1a
	.uleb128 0x49, 0x13			# type: ref4
	.uleb128 0x38, 0x0b			# data_member_location: data1
	.uleb128 0, 0
	.uleb128 5, 0x24			# base_type
	.byte 0
	.uleb128 0x0b, 0x0b
	.uleb128 0, 0
	.byte 0

	.section .debug_info,"",@progbits
	.long .Lend1-.Lbegin1
.Lbegin1:
	.short 5
	.byte 1, 8
	.long .Labbrev
	.uleb128 1
	.long .Lnames1
	.uleb128 2
	.byte 1
	.byte 0
.Lend1:
.Lunit2:
	.long .Lend2-.Lbegin2
.Lbegin2:
	.short 5
	.byte 1, 8
	.long .Labbrev
	.uleb128 1
	.long .Lnames2
.Llong:
	.uleb128 5
	.byte 8
	.uleb128 3
	.uleb128 200
	.byte 16
	.uleb128 4
	.uleb128 1
	.long .Llong-.Lunit2
	.byte 0
	.uleb128 4
	.uleb128 201
	.long .Llong-.Lunit2
	.byte 8
	.byte 0
	.byte 0
.Lend2:

	.section .debug_str_offsets,"",@progbits
	.long .Lend3-.Lbegin3
.Lbegin3:
	.short 5, 0
.Lnames1:
	.long 0, .Lthread_info-.Lstrings
.Lend3:
	.long .Lend4-.Lbegin4
.Lbegin4:
	.short 5, 0
.Lnames2:
	.long 0, .Lfirst-.Lstrings
	.skip 4*198
	.long .Lthread_info-.Lstrings, .Lsp-.Lstrings
.Lend4:

	.section .debug_str,"",@progbits
.Lstrings:
	.asciz ""
	.asciz "another_thread_info"
.Lthread_info:
	.asciz "thread_info"
.Lfirst:
	.asciz "first"
.Lsp:
	.asciz "livepatch_sp"
