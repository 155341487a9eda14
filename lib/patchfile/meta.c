// SPDX-License-Identifier: LGPL-2.1-or-later
/* Our own sections of a patch file (format.h) become the model the engine works with. */
#include <errno.h>

#include "patchfile/image.h"

struct meta {
	struct ug_patch *patch;
	struct ug_patch_image *image;
	const struct ug_pf_section *strings;
	struct ug_error *err;
};

size_t ug_pf_section_named(const struct ug_patch_image *image, const char *name,
			   const struct ug_pf_section **ret)
{
	size_t n = 0;

	*ret = NULL;
	ug_vec_for_each(&image->sections, s) {
		if (s->type == SHT_NULL || strcmp(s->name, name))
			continue;
		if (!n++)
			*ret = s;
	}
	return n;
}

int ug_pf_open_table(const struct ug_patch_image *image, const char *name, size_t record, size_t max,
		     struct ug_reader *ret, size_t *ret_n, struct ug_error *err)
{
	const struct ug_pf_section *s;

	if (ug_pf_section_named(image, name, &s) != 1 || s->type != SHT_PROGBITS)
		return ug_pf_bad(err, "the section %s is missing or not unique", name);
	if (s->size % record || s->size / record > max)
		return ug_pf_bad(err, "the section %s has a wrong size", name);
	ug_reader_init(ret, image->r.data + s->offset, s->size);
	*ret_n = s->size / record;
	return 0;
}

static int open_table(const struct meta *m, const char *name, size_t record, size_t max,
		      struct ug_reader *ret, size_t *ret_n)
{
	return ug_pf_open_table(m->image, name, record, max, ret, ret_n, m->err);
}

static const char *str(struct meta *m, uint32_t off)
{
	return ug_pf_string(m->image, m->strings, off);
}

static bool valid_name(const char *name)
{
	size_t len = strlen(name);

	return len >= 1 && len <= UG_PATCH_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789_.+-") == len;
}

static int read_patch(struct meta *m)
{
	struct ug_patch *patch = m->patch;
	struct ug_file_patch rec;
	struct ug_reader r;
	size_t n;
	int rc;

	rc = open_table(m, UG_FILE_SEC_PATCH, sizeof(rec), 1, &r, &n);
	if (rc < 0)
		return rc;
	if (!ug_reader_next(&r, &rec, sizeof(rec)) ||
	    memcmp(rec.magic, UG_FILE_MAGIC, sizeof(rec.magic)))
		return ug_pf_bad(m->err, "the section %s is malformed", UG_FILE_SEC_PATCH);
	if (rec.version != UG_FILE_VERSION)
		return ug_pf_bad(m->err, "the patch file is of format version %u; this is version %u",
				 rec.version, UG_FILE_VERSION);
	if ((rec.flags & ~(uint32_t)(UG_FILE_REPLACE | UG_FILE_UNLOADABLE)) || rec.reserved)
		return ug_pf_bad(m->err, "the patch has flags that are not known: %#x", rec.flags);
	patch->name = str(m, rec.name);
	patch->description = str(m, rec.description);
	patch->cves = str(m, rec.cves);
	if (!patch->name || !patch->description || !patch->cves)
		return ug_pf_bad(m->err, "name, description or CVE list are malformed");
	if (!valid_name(patch->name))
		return ug_pf_bad(m->err,
				 "the name of the patch is not 1 to %d characters of A-Za-z0-9_.+-",
				 UG_PATCH_NAME_MAX);
	if (rec.flags & UG_FILE_REPLACE)
		patch->flags |= UG_PATCH_REPLACE;
	if (rec.flags & UG_FILE_UNLOADABLE)
		patch->flags |= UG_PATCH_UNLOADABLE;
	return 0;
}

static int read_builds(struct meta *m)
{
	struct ug_reader r;
	size_t n;
	int rc;

	rc = open_table(m, UG_FILE_SEC_BUILDS, sizeof(struct ug_file_build), UG_FILE_BUILDS_MAX, &r,
			&n);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		struct ug_build_id *id = ug_vec_add(&m->image->builds);
		struct ug_file_build rec;

		if (!id)
			return ug_err(m->err, -ENOMEM, "out of memory");
		if (!ug_reader_next(&r, &rec, sizeof(rec)) || rec.len < 1 ||
		    rec.len > UG_BUILD_ID_MAX ||
		    memcmp(rec.reserved, (uint8_t[7]){ 0 }, sizeof(rec.reserved)))
			return ug_pf_bad(m->err, "build-id %zu is malformed", i);
		id->len = rec.len;
		memcpy(id->bytes, rec.id, rec.len);
	}
	return 0;
}

static int read_pins(struct meta *m)
{
	struct ug_reader r;
	size_t n;
	int rc;

	rc = open_table(m, UG_FILE_SEC_PINS, sizeof(struct ug_file_pin), SIZE_MAX, &r, &n);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		struct ug_patch_pin *pin = ug_vec_add(&m->image->pins);
		struct ug_file_pin rec;

		if (!pin)
			return ug_err(m->err, -ENOMEM, "out of memory");
		if (!ug_reader_next(&r, &rec, sizeof(rec)) || rec.reserved)
			return ug_pf_bad(m->err, "pin %zu is malformed", i);
		pin->build = rec.build;
		pin->offset = rec.offset;
		pin->size = rec.size;
	}
	return 0;
}

static int read_object(struct meta *m, struct ug_reader *r, struct ug_patch_object *obj)
{
	struct ug_file_object rec;

	if (!ug_reader_next(r, &rec, sizeof(rec)) || rec.reserved)
		return ug_pf_bad(m->err, "an object record is malformed");
	obj->name = str(m, rec.name);
	if (!obj->name)
		return ug_pf_bad(m->err, "the name of an object is malformed");
	if (rec.nbuilds == 0 || rec.first_build > m->image->builds.n ||
	    rec.nbuilds > m->image->builds.n - rec.first_build)
		return ug_pf_bad(m->err, "object \"%s\" has no valid list of builds", obj->name);
	obj->nbuilds = rec.nbuilds;
	obj->builds = &m->image->builds.v[rec.first_build];
	return 0;
}

static int read_objects(struct meta *m)
{
	struct ug_patch *patch = m->patch;
	struct ug_reader r;
	int rc;

	rc = open_table(m, UG_FILE_SEC_OBJECTS, sizeof(struct ug_file_object), UG_FILE_OBJECTS_MAX,
			&r, &patch->nobjects);
	if (rc < 0)
		return rc;
	patch->objects = calloc(patch->nobjects + 1, sizeof(*patch->objects));
	if (!patch->objects)
		return ug_err(m->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < patch->nobjects; i++) {
		rc = read_object(m, &r, &patch->objects[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The pins [first, first + n) of something in `object`. */
static int take_pins(struct meta *m, const char *name, int64_t object, uint32_t first, uint32_t n,
		     const struct ug_patch_pin **ret)
{
	const struct ug_patch_image *image = m->image;

	*ret = NULL;
	if (n == 0)
		return 0;
	if (object < 0 || first > image->pins.n || n > image->pins.n - first)
		return ug_pf_bad(m->err, "the pins of %s are malformed", name);
	for (uint32_t i = first; i < first + n; i++) {
		if (image->pins.v[i].build >= m->patch->objects[object].nbuilds)
			return ug_pf_bad(m->err, "a pin of %s is for a build that is not listed",
					 name);
	}
	*ret = &image->pins.v[first];
	return 0;
}

static int read_func(struct meta *m, struct ug_reader *r, size_t i)
{
	struct ug_patch_func *f = &m->patch->funcs[i];
	struct ug_file_func rec;

	if (!ug_reader_next(r, &rec, sizeof(rec)) || rec.reserved ||
	    (rec.flags & ~(uint32_t)(UG_FILE_FUNC_ALIASES_OK | UG_FILE_FUNC_ASSUME_ABI |
				     UG_FILE_FUNC_CLONE | UG_FILE_FUNC_OLD_CODE)))
		return ug_pf_bad(m->err, "function record %zu is malformed", i);
	f->old_name = str(m, rec.old_name);
	if (!f->old_name || !f->old_name[0])
		return ug_pf_bad(m->err, "the name of function %zu is malformed", i);
	if (rec.object >= m->patch->nobjects)
		return ug_pf_bad(m->err, "function %s is in an object that is not listed",
				 f->old_name);
	if (rec.symbol >= m->image->symbols.n)
		return ug_pf_bad(m->err, "function %s has no new body", f->old_name);
	f->object = rec.object;
	f->pos = rec.pos;
	f->aliases_ok = rec.flags & UG_FILE_FUNC_ALIASES_OK;
	f->assume_abi = rec.flags & UG_FILE_FUNC_ASSUME_ABI;
	f->clone_ok = rec.flags & UG_FILE_FUNC_CLONE;
	f->old_code = rec.flags & UG_FILE_FUNC_OLD_CODE;
	f->npins = rec.npins;
	m->image->func_symbols[i] = rec.symbol;
	return take_pins(m, f->old_name, rec.object, rec.first_pin, rec.npins, &f->pins);
}

static int read_funcs(struct meta *m)
{
	struct ug_patch *patch = m->patch;
	struct ug_reader r;
	int rc;

	rc = open_table(m, UG_FILE_SEC_FUNCS, sizeof(struct ug_file_func), UG_FILE_FUNCS_MAX, &r,
			&patch->nfuncs);
	if (rc < 0)
		return rc;
	if (!patch->nfuncs)
		return ug_pf_bad(m->err, "the patch replaces no function");
	patch->funcs = calloc(patch->nfuncs, sizeof(*patch->funcs));
	m->image->func_symbols = calloc(patch->nfuncs, sizeof(uint32_t));
	if (!patch->funcs || !m->image->func_symbols)
		return ug_err(m->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < patch->nfuncs; i++) {
		rc = read_func(m, &r, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_ref(struct meta *m, struct ug_reader *r, size_t i)
{
	struct ug_patch_ref *ref = &m->patch->refs[i];
	const struct ug_pf_symbol *sym;
	struct ug_file_ref rec;

	if (!ug_reader_next(r, &rec, sizeof(rec)) || rec.reserved[0] || rec.reserved[1])
		return ug_pf_bad(m->err, "reference %zu is malformed", i);
	ref->name = str(m, rec.name);
	if (!ref->name || !ref->name[0])
		return ug_pf_bad(m->err, "the name of reference %zu is malformed", i);
	if (rec.object != UG_FILE_ANY_OBJECT && rec.object >= m->patch->nobjects)
		return ug_pf_bad(m->err, "reference %s is to an object that is not listed", ref->name);
	if (rec.symbol >= m->image->symbols.n ||
	    m->image->symbols.v[rec.symbol].shndx != SHN_UNDEF || rec.symbol == 0)
		return ug_pf_bad(m->err, "reference %s is no undefined symbol", ref->name);
	sym = &m->image->symbols.v[rec.symbol];
	ref->object = rec.object == UG_FILE_ANY_OBJECT ? UG_PATCH_ANY_OBJECT : (int)rec.object;
	ref->pos = rec.pos;
	ref->tls = sym->type == STT_TLS;
	ref->weak = sym->bind == STB_WEAK;
	ref->npins = rec.npins;
	m->image->ref_symbols[i] = rec.symbol;
	return take_pins(m, ref->name, ref->object, rec.first_pin, rec.npins, &ref->pins);
}

static int read_refs(struct meta *m)
{
	struct ug_patch *patch = m->patch;
	struct ug_reader r;
	int rc;

	rc = open_table(m, UG_FILE_SEC_REFS, sizeof(struct ug_file_ref), SIZE_MAX, &r,
			&patch->nrefs);
	if (rc < 0)
		return rc;
	patch->refs = calloc(patch->nrefs + 1, sizeof(*patch->refs));
	m->image->ref_symbols = calloc(patch->nrefs + 1, sizeof(uint32_t));
	if (!patch->refs || !m->image->ref_symbols)
		return ug_err(m->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < patch->nrefs; i++) {
		rc = read_ref(m, &r, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int ug_pf_read_meta(struct ug_patch *patch, struct ug_error *err)
{
	static int (*const steps[])(struct meta *) = { read_patch, read_builds, read_pins,
						       read_objects, read_funcs, read_refs };
	struct meta m = { patch, patch->image, NULL, err };

	if (ug_pf_section_named(m.image, UG_FILE_SEC_STRINGS, &m.strings) != 1 ||
	    m.strings->type != SHT_PROGBITS)
		return ug_pf_bad(err, "not a patch file: an ELF object without the section %s",
				 UG_FILE_SEC_STRINGS);
	for (size_t i = 0; i < UG_ARRAY_SIZE(steps); i++) {
		int rc = steps[i](&m);

		if (rc < 0)
			return rc;
	}
	return 0;
}
