/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of threads not yet switched; see gate.h for its layout. */
#include "base/cleanup.h"
#include "text/gate.h"

#include <errno.h>
#include <string.h>

#define START_BYTES (UG_TABLE_BUCKETS * sizeof(uint16_t))
#define FIRST_SLOT (START_BYTES / 8)
#define DEAD 1u

static unsigned int bucket_of(uint64_t pointer)
{
	return (pointer >> UG_TABLE_SHIFT) & (UG_TABLE_BUCKETS - 1);
}

static uint64_t slot_at(const uint8_t *table, size_t index)
{
	uint64_t slot;

	memcpy(&slot, table + index * 8, 8);
	return slot;
}

static void slot_set(uint8_t *table, size_t index, uint64_t slot)
{
	memcpy(table + index * 8, &slot, 8);
}

static size_t start_of(const uint8_t *table, unsigned int bucket)
{
	uint16_t start;

	memcpy(&start, table + bucket * 2, 2);
	return start;
}

static void start_set(uint8_t *table, unsigned int bucket, size_t index)
{
	uint16_t start = (uint16_t)index;

	memcpy(table + bucket * 2, &start, 2);
}

size_t ug_table_size(size_t n)
{
	/* One end for each bucket in use, one for all the others. */
	return START_BYTES + 8 * (n + (n < UG_TABLE_BUCKETS ? n : UG_TABLE_BUCKETS) + 1);
}

static int by_bucket(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, 8);
	memcpy(&y, b, 8);
	if (bucket_of(x) != bucket_of(y))
		return bucket_of(x) < bucket_of(y) ? -1 : 1;
	return (x > y) - (x < y);
}

static int check_pointers(const uint64_t *pointers, size_t n, size_t size, struct ug_error *err)
{
	if (n > UG_TABLE_MAX)
		return ug_err(err, -E2BIG, "%zu threads: a table holds at most %d", n,
			      UG_TABLE_MAX);
	if (size < ug_table_size(n))
		return ug_err(err, -EINVAL, "a table of %zu threads needs %zu bytes, not %zu", n,
			      ug_table_size(n), size);
	for (size_t i = 0; i < n; i++) {
		if (pointers[i] == 0 || pointers[i] % 8 != 0)
			return ug_err(err, -EINVAL, "0x%llx cannot be a thread pointer",
				      (unsigned long long)pointers[i]);
	}
	return 0;
}

int ug_table_build(const uint64_t *pointers, size_t n, uint8_t *buf, size_t size,
		   struct ug_error *err)
{
	ug_autofree uint64_t *sorted = NULL;
	size_t slot = FIRST_SLOT + 1;	/* the first one is the end of all empty buckets */
	int ret;

	ret = check_pointers(pointers, n, size, err);
	if (ret < 0)
		return ret;
	sorted = calloc(n + 1, sizeof(*sorted));
	if (!sorted)
		return ug_err(err, -ENOMEM, "no memory for a table of %zu threads", n);
	if (n > 0)
		memcpy(sorted, pointers, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_bucket);

	memset(buf, 0, size);
	for (unsigned int b = 0; b < UG_TABLE_BUCKETS; b++)
		start_set(buf, b, FIRST_SLOT);
	for (size_t i = 0; i < n; i++) {
		unsigned int b = bucket_of(sorted[i]);

		if (i > 0 && sorted[i] == sorted[i - 1])
			continue;
		if (i == 0 || bucket_of(sorted[i - 1]) != b) {
			slot += i > 0;		/* the end of the bucket before */
			start_set(buf, b, slot);
		}
		slot_set(buf, slot++, -sorted[i]);
	}
	return 0;
}

/* The index of the end of a bucket; 0 when it does not end inside. */
static size_t bucket_end(const uint8_t *table, size_t size, unsigned int bucket)
{
	for (size_t i = start_of(table, bucket); i >= FIRST_SLOT && i < size / 8; i++) {
		if (slot_at(table, i) == 0)
			return i;
	}
	return 0;
}

bool ug_table_kill(const uint8_t *table, size_t size, uint64_t pointer, size_t *ret_off,
		   uint8_t *ret_byte)
{
	unsigned int b = bucket_of(pointer);
	size_t end;

	if (pointer == 0 || pointer % 8 != 0 || size < START_BYTES)
		return false;
	end = bucket_end(table, size, b);
	for (size_t i = start_of(table, b); i < end; i++) {
		if (slot_at(table, i) == -pointer) {
			*ret_off = i * 8;
			*ret_byte = table[i * 8] | DEAD;
			return true;
		}
	}
	return false;
}

static int malformed(struct ug_error *err, unsigned int bucket)
{
	return ug_err(err, -UG_E_REGISTRY, "bucket %u of a table of threads is malformed", bucket);
}

int ug_table_for_each(const uint8_t *table, size_t size, void (*fn)(uint64_t pointer, void *ctx),
		      void *ctx, struct ug_error *err)
{
	if (size < START_BYTES)
		return ug_err(err, -UG_E_REGISTRY, "a table of threads of only %zu bytes", size);
	for (unsigned int b = 0; b < UG_TABLE_BUCKETS; b++) {
		size_t end = bucket_end(table, size, b);

		if (end == 0)
			return malformed(err, b);
		for (size_t i = start_of(table, b); i < end; i++) {
			uint64_t slot = slot_at(table, i);

			if ((slot & DEAD) == 0 && (slot % 8 != 0 || bucket_of(-slot) != b))
				return malformed(err, b);
			if ((slot & DEAD) == 0)
				fn(-slot, ctx);
		}
	}
	return 0;
}
