/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the registry: checking one that was read, building one that is to be written.
 */
#ifndef UG_ENGINE_RECORD_H
#define UG_ENGINE_RECORD_H

#include "base/error.h"
#include "base/types.h"
#include "rt/registry_abi.h"

/* All counts, offsets and strings of a record lie inside it, and it is of the slot's kind. */
int ug_record_validate(const struct ug_reg_slot *slot, void *record, struct ug_error *err) ug_must_check;

/*
 * A record under construction: a growing block; offsets stay valid, pointers do not.
 * Strings are collected apart and appended by ug_record_finish.
 */
struct ug_record {
	uint8_t *data;
	size_t len, cap;
	char *strings;
	size_t strings_len, strings_cap;
	bool failed;		/* out of memory somewhere; reported by ug_record_finish */
};

void ug_record_init(struct ug_record *rec, size_t head);
void ug_record_free(struct ug_record *rec);

/* Append zeroed bytes, 8-aligned; returns their offset. */
uint32_t ug_record_add(struct ug_record *rec, size_t len);
/* Offset of a copy of str in the string table (relative to it). */
uint32_t ug_record_string(struct ug_record *rec, const char *str);
/* The block at an offset. */
void *ug_record_at(struct ug_record *rec, uint32_t off);
/* Append the strings, fill in meta. */
int ug_record_finish(struct ug_record *rec, uint32_t id, enum ug_reg_kind kind,
		     struct ug_error *err) ug_must_check;

#endif
