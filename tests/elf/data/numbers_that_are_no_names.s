# DWARF 4: in front of the definition of struct thread_info { char pad[0]; long livepatch_sp at 16; } stand numbers that are
# the place of its name in .debug_str, behind a byte that is the code of a structure.

	.section .debug_abbrev,"",@progbits
	.uleb128 1, 0x11			# compile_unit
	.byte 1
	.uleb128 0, 0
	.uleb128 2, 0x24			# base_type
	.byte 0
	.uleb128 0x0b, 0x0b
	.uleb128 0, 0
	.uleb128 3, 0x13			# structure_type
	.byte 1
	.uleb128 0x03, 0x0e			# name: strp
	.uleb128 0x0b, 0x0b			# byte_size: data1
	.uleb128 0x01, 0x13			# sibling: ref4
	.uleb128 0, 0
	.uleb128 4, 0x0d			# member
	.byte 0
	.uleb128 0x03, 0x0e
	.uleb128 0x49, 0x13			# type: ref4
	.uleb128 0x38, 0x0b			# data_member_location: data1
	.uleb128 0, 0
	.uleb128 5, 0x34			# variable
	.byte 0
	.uleb128 0x1c, 0x0b			# const_value: data1
	.uleb128 0x49, 0x13
	.uleb128 0, 0
	.uleb128 6, 0x34			# variable
	.byte 0
	.uleb128 0x1c, 0x0b
	.uleb128 0x49, 0x13
	.uleb128 0x1c, 0x06			# const_value: data4
	.uleb128 0, 0
	.byte 0

	.section .debug_info,"",@progbits
.Lunit:
	.long .Lend-.Lbegin
.Lbegin:
	.short 4
	.long 0
	.byte 8
	.uleb128 1
	.uleb128 5
	.byte 3					# the code of a structure
	.long .Lthread_info-.Lstrings
	.uleb128 2				# read as byte_size; what follows is no member
	.byte 8
	.uleb128 6
	.byte 3
	.long .Lthread_info-.Lstrings
	.byte 24, 1, 0, 0			# read as byte_size and sibling
	.uleb128 2
	.byte 8
	.uleb128 5
	.byte 3
	.long .Lthread_info-.Lstrings
.Llong:
	.uleb128 2
	.byte 8
	.uleb128 3
	.long .Lthread_info-.Lstrings
	.byte 24
	.long .Lnext-.Lunit
	.uleb128 4
	.long .Lsp-.Lstrings
	.long .Llong-.Lunit
	.byte 16
	.byte 0
.Lnext:
	.byte 0
.Lend:

	.section .debug_str,"",@progbits
.Lstrings:
	.asciz ""
	.skip 40, 0x78
	.byte 0
.Lthread_info:
	.asciz "thread_info"
.Lsp:
	.asciz "livepatch_sp"
