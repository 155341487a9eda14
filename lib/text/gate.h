/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gate instances: the code an entry jumps to while a transition runs.
 *
 * An instance is immutable: {from, to, before, address of the word of its transition}. Code
 * and literals lie together in R-X memory, UG_GATE_SIZE bytes, aligned to UG_GATE_ALIGN:
 *
 *	+0			code (template from rt/gate.S)
 *	+UG_GATE_LITERALS	u64 word address, u64 from, u64 to, u64 before
 *
 * The word (8 bytes, aligned, in the target):
 *	UG_WORD_NULL	everybody is switched: take `to`
 *	UG_WORD_ALL	nobody is switched, nothing has changed yet: take `before`
 *	else		address of the table: listed threads take `from`, others `to`
 *
 * The gate clobbers nothing, not even flags or r11; it uses up to 3 words of stack below rsp
 * (an entry has no red zone in use: design review, "branch back to E"). It is
 * async-signal-safe and touches no memory but its literals, word, table, %fs base, stack.
 *
 * The table: hash of the thread pointer (fs base), 256 buckets, frozen but for single bytes.
 *
 *	u16 start[256]		index, in 8-byte units from the table's beginning, of the
 *				bucket's first slot
 *	u64 slots[]		0 ends a bucket; else the *negated* thread pointer
 *
 * bucket = bits 12..19 of the thread pointer (glibc and musl place thread control blocks a
 * page-odd distance apart; bits 8..11 and 20.. hardly vary). A slot goes dead by one byte:
 * its lowest byte is or-ed with 1, which no thread pointer (8-aligned) negates to.
 */
#ifndef UG_TEXT_GATE_H
#define UG_TEXT_GATE_H

#include "base/error.h"
#include "base/types.h"

#include "rt/gate_abi.h"

struct ug_gate {
	ug_raddr_t word;
	ug_raddr_t from, to, before;
};

/*
 * Make the UG_GATE_SIZE bytes of an instance. `rdfsbase`: the target may execute it
 * (AT_HWCAP2 bit 1); else the variant that reads %fs:0 (valid when the word at the fs base
 * holds the base itself, as glibc and musl do; the caller checks each thread).
 */
void ug_gate_encode(const struct ug_gate *gate, bool rdfsbase, uint8_t buf[UG_GATE_SIZE]);

/* Read an instance back. False: the bytes are no instance of either variant. */
bool ug_gate_decode(const uint8_t buf[UG_GATE_SIZE], struct ug_gate *ret);

/*
 * CFA minus rsp for a thread whose PC is at this offset of an instance (either variant): 8
 * for the return address plus what the gate has pushed. For struct ug_own_frame.cfa_offset;
 * 0 when the offset is not in the code.
 */
uint64_t ug_gate_cfa_offset(size_t offset);

/* Bytes of a table for n pointers. */
size_t ug_table_size(size_t n);

/*
 * Build the table. Pointers must be non-zero, 8-aligned (else -EINVAL); duplicates are kept
 * once. At most UG_TABLE_MAX pointers (-E2BIG).
 */
int ug_table_build(const uint64_t *pointers, size_t n, uint8_t *buf, size_t size,
		   struct ug_error *err) ug_must_check;

/* Offset of the byte that kills the live slot of `pointer` and its new value; false: not live. */
bool ug_table_kill(const uint8_t *table, size_t size, uint64_t pointer, size_t *ret_off,
		   uint8_t *ret_byte);

/* Live pointers of a table read back from the target (bounds-checked): calls fn for each;
 * negative when malformed. */
int ug_table_for_each(const uint8_t *table, size_t size, void (*fn)(uint64_t pointer, void *ctx),
		      void *ctx, struct ug_error *err) ug_must_check;

#endif
