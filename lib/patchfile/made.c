// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who made the patch: ugraft's version, and for each source the compiler and its flags. Strings
 * for people. Older patches have none of it; what is there must be well-formed all the same.
 */
#include <errno.h>

#include "patchfile/image.h"

struct made {
	struct ug_patch *patch;
	struct ug_patch_image *image;
	const struct ug_pf_section *strings;
	struct ug_error *err;
};

static const char *str(const struct made *m, uint64_t off)
{
	return ug_pf_string(m->image, m->strings, off);
}

static int read_version(struct made *m)
{
	struct ug_file_made rec;
	struct ug_reader r;
	size_t n;
	int rc = ug_pf_open_table(m->image, UG_FILE_SEC_MADE, sizeof(rec), 1, &r, &n, m->err);

	if (rc < 0)
		return rc;
	if (!ug_reader_next(&r, &rec, sizeof(rec)) || rec.reserved[0] || rec.reserved[1] ||
	    rec.reserved[2])
		return ug_pf_bad(m->err, "the section %s is malformed", UG_FILE_SEC_MADE);
	m->patch->made_by = str(m, rec.version);
	return m->patch->made_by && m->patch->made_by[0] ? 0 :
	       ug_pf_bad(m->err, "the version in %s is malformed", UG_FILE_SEC_MADE);
}

/* How many flags there are in all; the bound on the work a hostile file can cause. */
static int count_flags(struct made *m, struct ug_reader r, size_t n, size_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		struct ug_file_compiler rec;

		if (!ug_reader_next(&r, &rec, sizeof(rec)) || rec.reserved ||
		    rec.nflags > UG_FILE_FLAGS_MAX - *ret)
			return ug_pf_bad(m->err, "compiler %zu is malformed", i);
		*ret += rec.nflags;
	}
	return 0;
}

/* One string behind the other. */
static int read_flags(struct made *m, const struct ug_file_compiler *rec, const char **flags)
{
	uint64_t at = rec->flags;

	for (uint32_t i = 0; i < rec->nflags; i++) {
		flags[i] = str(m, at);
		if (!flags[i] || !flags[i][0])
			return ug_pf_bad(m->err, "the flags of a compiler are malformed");
		at += strlen(flags[i]) + 1;
	}
	return 0;
}

static int read_compilers(struct made *m)
{
	struct ug_patch *patch = m->patch;
	struct ug_file_compiler rec;
	size_t n, nflags = 0, at = 0;
	struct ug_reader r;
	int rc;

	rc = ug_pf_open_table(m->image, UG_FILE_SEC_COMPILERS, sizeof(rec), UG_FILE_UNITS_MAX, &r, &n,
			      m->err);
	if (rc == 0)
		rc = count_flags(m, r, n, &nflags);
	if (rc < 0)
		return rc;
	patch->compilers = calloc(n + 1, sizeof(*patch->compilers));
	m->image->flags = calloc(nflags + 1, sizeof(*m->image->flags));
	if (!patch->compilers || !m->image->flags)
		return ug_err(m->err, -ENOMEM, "out of memory");
	while (rc == 0 && ug_reader_next(&r, &rec, sizeof(rec))) {
		struct ug_patch_compiler *c = &patch->compilers[patch->ncompilers++];

		*c = (struct ug_patch_compiler){ str(m, rec.name), m->image->flags + at, rec.nflags };
		if (!c->name || !c->name[0])
			return ug_pf_bad(m->err, "the name of a compiler is malformed");
		rc = read_flags(m, &rec, m->image->flags + at);
		at += rec.nflags;
	}
	return rc;
}

static int read_units(struct made *m)
{
	struct ug_patch *patch = m->patch;
	struct ug_file_unit rec;
	struct ug_reader r;
	size_t n;
	int rc;

	rc = ug_pf_open_table(m->image, UG_FILE_SEC_UNITS, sizeof(rec), UG_FILE_UNITS_MAX, &r, &n, m->err);
	if (rc < 0)
		return rc;
	patch->units = calloc(n + 1, sizeof(*patch->units));
	if (!patch->units)
		return ug_err(m->err, -ENOMEM, "out of memory");
	while (ug_reader_next(&r, &rec, sizeof(rec))) {
		struct ug_patch_unit *u = &patch->units[patch->nunits++];

		u->source = str(m, rec.source);
		if (!u->source || !u->source[0] || rec.reserved || rec.compiler >= patch->ncompilers)
			return ug_pf_bad(m->err, "source record %zu is malformed", patch->nunits - 1);
		if (rec.object != UG_FILE_ANY_OBJECT && rec.object >= patch->nobjects)
			return ug_pf_bad(m->err, "source %s is in an object that is not listed", u->source);
		u->object = rec.object == UG_FILE_ANY_OBJECT ? UG_PATCH_ANY_OBJECT : (int)rec.object;
		u->compiler = rec.compiler;
	}
	return 0;
}

int ug_pf_read_made(struct ug_patch *patch, struct ug_error *err)
{
	static const char *const names[] = { UG_FILE_SEC_MADE, UG_FILE_SEC_COMPILERS, UG_FILE_SEC_UNITS };
	struct made m = { .patch = patch, .image = patch->image, .err = err };
	const struct ug_pf_section *first;
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < UG_ARRAY_SIZE(names); i++)
		n += ug_pf_section_named(m.image, names[i], &first);
	if (!n)
		return 0;
	(void)ug_pf_section_named(m.image, UG_FILE_SEC_STRINGS, &m.strings);
	rc = read_version(&m);
	if (rc == 0)
		rc = read_compilers(&m);
	return rc < 0 ? rc : read_units(&m);
}
