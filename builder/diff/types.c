// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Structures and enumerations, from debug information. The code of a changed layout compiles
 * into a large patch that looks fine and corrupts every object the program already has; only
 * the types tell. A type is described by one line of text: what a member is, where it is.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdio.h>

#include "builder/buf.h"
#include "builder/diff/diff.h"
#include "builder/diff/dwarf.h"

#define SCOPES_MAX 32

struct member {
	char *text;			/* "8: int [4]" */
	char *name;
};

struct type {
	char *name;			/* with the namespaces and classes it is in */
	int tag;
	char file[128];
	unsigned int line;
	uint64_t size;
	UG_VEC(struct member) members;
};

typedef UG_VEC(struct type) type_vec;

/* ---- what a member's type is ---- */

static void say(struct ug_buf *b, const char *s)
{
	ug_buf_add(b, s, strlen(s));
}

static bool type_of(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) && dwarf_formref_die(&attr, ret);
}

static void describe_members(struct ug_buf *b, Dwarf_Die *die, unsigned int depth);

static void describe_array(struct ug_buf *b, Dwarf_Die *die)
{
	Dwarf_Word bound;
	Dwarf_Die dim;
	char text[32];

	if (dwarf_child(die, &dim) != 0)
		return;
	do {
		if (ug_die_udata(&dim, DW_AT_count, &bound))
			bound--;
		else if (!ug_die_udata(&dim, DW_AT_upper_bound, &bound))
			bound = (Dwarf_Word)-1;
		snprintf(text, sizeof(text), "[%llu]", (unsigned long long)(bound + 1));
		say(b, text);
	} while (dwarf_siblingof(&dim, &dim) == 0);
}

/* What kind of thing it is and how large: enough to tell a layout, names of aggregates
 * included; what a pointer points to is another type's business. */
static void describe(struct ug_buf *b, Dwarf_Die *die, unsigned int depth)
{
	Dwarf_Word size = 0;
	Dwarf_Die inner;
	char text[64];

	switch (dwarf_tag(die)) {
	case DW_TAG_typedef:
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
		if (type_of(die, &inner))
			describe(b, &inner, depth);
		return;
	case DW_TAG_pointer_type:
	case DW_TAG_subroutine_type:
		say(b, "*");
		return;
	case DW_TAG_array_type:
		if (type_of(die, &inner))
			describe(b, &inner, depth);
		describe_array(b, die);
		return;
	default:
		break;
	}
	ug_die_udata(die, DW_AT_byte_size, &size);
	snprintf(text, sizeof(text), "%u/%llu ", (unsigned int)dwarf_tag(die), (unsigned long long)size);
	say(b, text);
	if (ug_die_name(die)[0] && dwarf_tag(die) != DW_TAG_base_type)
		say(b, ug_die_name(die));
	else
		describe_members(b, die, depth + 1);
}

static void describe_place(struct ug_buf *b, Dwarf_Die *member)
{
	Dwarf_Word at = 0, bits = 0, bit_at = 0;
	char text[96];

	ug_die_udata(member, DW_AT_data_member_location, &at);
	ug_die_udata(member, DW_AT_bit_size, &bits);
	ug_die_udata(member, DW_AT_data_bit_offset, &bit_at);
	if (bits)
		snprintf(text, sizeof(text), "bit %llu, %llu bits: ",
			 (unsigned long long)(bit_at ? bit_at : at * 8), (unsigned long long)bits);
	else
		snprintf(text, sizeof(text), "offset %llu: ", (unsigned long long)at);
	say(b, text);
}

static void describe_member(struct ug_buf *b, Dwarf_Die *member, unsigned int depth)
{
	Dwarf_Die type;

	describe_place(b, member);
	if (type_of(member, &type))
		describe(b, &type, depth);
}

static void describe_members(struct ug_buf *b, Dwarf_Die *die, unsigned int depth)
{
	Dwarf_Die m;

	if (depth > 16 || dwarf_child(die, &m) != 0)
		return;
	do {
		if (dwarf_tag(&m) != DW_TAG_member && dwarf_tag(&m) != DW_TAG_inheritance)
			continue;
		describe_member(b, &m, depth);
		say(b, ";");
	} while (dwarf_siblingof(&m, &m) == 0);
}

/* ---- all types of an object ---- */

static int add_member(struct type *t, Dwarf_Die *die)
{
	struct ug_buf b = { 0 };
	struct member *m;

	if (dwarf_tag(die) == DW_TAG_enumerator) {
		Dwarf_Attribute attr;
		Dwarf_Sword value = 0;
		char text[32];

		if (dwarf_attr(die, DW_AT_const_value, &attr))
			dwarf_formsdata(&attr, &value);
		snprintf(text, sizeof(text), "%lld", (long long)value);
		say(&b, text);
	} else {
		describe_member(&b, die, 0);
	}
	ug_buf_add(&b, "", 1);
	m = ug_vec_add(&t->members);
	if (b.failed || !m)
		return -ENOMEM;
	m->text = (char *)b.v;
	m->name = strdup(ug_die_name(die));
	return m->name ? 0 : -ENOMEM;
}

static char *join(const char *in, const char *name)
{
	char *s = NULL;

	if (!in[0])
		return strdup(name);
	return asprintf(&s, "%s::%s", in, name) < 0 ? NULL : s;
}

static int read_type(type_vec *v, Dwarf_Die *die, const char *in, const char *name)
{
	struct type *t = ug_vec_add(v);
	const char *file = dwarf_decl_file(die);
	Dwarf_Word size = 0;
	Dwarf_Die m;
	int line = 0;

	if (!t)
		return -ENOMEM;
	ug_die_udata(die, DW_AT_byte_size, &size);
	dwarf_decl_line(die, &line);
	*t = (struct type){ .name = join(in, name), .tag = dwarf_tag(die), .size = size,
			    .line = (unsigned int)line };
	if (!t->name)
		return -ENOMEM;
	snprintf(t->file, sizeof(t->file), "%s", file ? file : "");
	if (dwarf_child(die, &m) != 0)
		return 0;
	do {
		int rc = 0;

		/* Of static members there is one, elsewhere. */
		if ((dwarf_tag(&m) == DW_TAG_member && !dwarf_hasattr(&m, DW_AT_external)) ||
		    dwarf_tag(&m) == DW_TAG_inheritance || dwarf_tag(&m) == DW_TAG_enumerator)
			rc = add_member(t, &m);
		if (rc < 0)
			return rc;
	} while (dwarf_siblingof(&m, &m) == 0);
	return 0;
}

static bool is_layout(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	int tag = dwarf_tag(die);

	return (tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_class_type ||
		tag == DW_TAG_enumeration_type) && !dwarf_attr(die, DW_AT_declaration, &attr);
}

/* A typedef of a nameless structure is that structure's name. */
static int read_typedef(type_vec *v, Dwarf_Die *die, const char *in)
{
	Dwarf_Die inner;

	if (!type_of(die, &inner) || !is_layout(&inner) || ug_die_name(&inner)[0])
		return 0;
	return read_type(v, &inner, in, ug_die_name(die));
}

static int compare_types(const void *pa, const void *pb)
{
	const struct type *a = pa, *b = pb;
	int c = strcmp(a->name, b->name);

	return c ? c : a->tag - b->tag;
}

static int read_scope(type_vec *v, Dwarf_Die *scope, const char *in, unsigned int depth);

/* What is inside of a namespace or class. */
static int read_inner(type_vec *v, Dwarf_Die *die, const char *in, unsigned int depth)
{
	const char *name = ug_die_name(die);
	char *inside = join(in, name[0] ? name : "(anonymous)");
	int rc = inside ? read_scope(v, die, inside, depth + 1) : -ENOMEM;

	free(inside);
	return rc;
}

static int read_scope(type_vec *v, Dwarf_Die *scope, const char *in, unsigned int depth)
{
	Dwarf_Die die;

	if (depth > SCOPES_MAX || dwarf_child(scope, &die) != 0)
		return 0;
	do {
		int tag = dwarf_tag(&die), rc = 0;

		if (is_layout(&die) && ug_die_name(&die)[0])
			rc = read_type(v, &die, in, ug_die_name(&die));
		else if (tag == DW_TAG_typedef)
			rc = read_typedef(v, &die, in);
		if (rc == 0 && (tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
				tag == DW_TAG_class_type || tag == DW_TAG_union_type))
			rc = read_inner(v, &die, in, depth);
		if (rc < 0)
			return rc;
	} while (dwarf_siblingof(&die, &die) == 0);
	return 0;
}

static int read_types(const struct ug_dobj *o, type_vec *v)
{
	Dwarf_Off off = 0;
	Dwarf_Die cu;

	while (o->debug && ug_debug_next_cu(o->debug, &off, &cu)) {
		int rc = read_scope(v, &cu, "", 0);

		if (rc < 0)
			return rc;
	}
	if (v->n)
		qsort(v->v, v->n, sizeof(*v->v), compare_types);
	return 0;
}

static void free_types(type_vec *v)
{
	ug_vec_for_each(v, t) {
		ug_vec_for_each(&t->members, m) {
			free(m->text);
			free(m->name);
		}
		ug_vec_free(&t->members);
		free(t->name);
	}
	ug_vec_free(v);
}

/* ---- the comparison ---- */

static const struct member *find_member(const struct type *t, const char *name)
{
	ug_vec_for_each(&t->members, m) {
		if (!strcmp(m->name, name))
			return m;
	}
	return NULL;
}

static const char *kind_of(const struct type *t)
{
	return t->tag == DW_TAG_union_type ? "union" : t->tag == DW_TAG_enumeration_type ? "enum" :
	       "struct";
}

static size_t until_type(const char *text)
{
	return strcspn(text, ":");
}

static bool compare_layout(struct ug_diff *d, const struct type *b, const struct type *a)
{
	for (size_t i = 0; i < a->members.n; i++) {
		const struct member *m = &a->members.v[i];
		const struct member *old = m->name[0] ? find_member(b, m->name) :
					   i < b->members.n ? &b->members.v[i] : NULL;

		/* A new name for an old field is no change of the layout. */
		if (!old && i < b->members.n && !find_member(a, b->members.v[i].name))
			old = &b->members.v[i];
		if (!old)
			return ug_finding_add(&d->findings, UG_REASON_LAYOUT, a->file, a->line,
					      "%s %s: field %s is new (%.*s)", kind_of(a), a->name,
					      m->name, (int)until_type(m->text), m->text);
		if (until_type(m->text) != until_type(old->text) ||
		    strncmp(m->text, old->text, until_type(m->text)))
			return ug_finding_add(&d->findings, UG_REASON_LAYOUT, a->file, a->line,
					      "%s %s: field %s is at %.*s, before at %.*s", kind_of(a),
					      a->name, m->name, (int)until_type(m->text), m->text,
					      (int)until_type(old->text), old->text);
		if (strcmp(m->text, old->text))
			return ug_finding_add(&d->findings, UG_REASON_LAYOUT, a->file, a->line,
					      "%s %s: field %s has another type", kind_of(a), a->name,
					      m->name);
	}
	if (a->size != b->size || a->members.n != b->members.n)
		return ug_finding_add(&d->findings, UG_REASON_LAYOUT, a->file, a->line,
				      "%s %s has %zu fields in %llu bytes, before %zu in %llu", kind_of(a),
				      a->name, a->members.n, (unsigned long long)a->size,
				      b->members.n, (unsigned long long)b->size);
	return true;
}

static bool compare_enum(struct ug_diff *d, const struct type *b, const struct type *a)
{
	ug_vec_for_each(&a->members, m) {
		const struct member *old = find_member(b, m->name);

		if (old && strcmp(old->text, m->text) &&
		    !ug_finding_add(&d->findings, UG_REASON_ENUM, a->file, a->line,
				    "enum %s: %s is %s, before %s", a->name, m->name, m->text, old->text))
			return false;
	}
	return true;
}

static bool is_accepted(const struct ug_diff_opts *opts, const char *name)
{
	for (size_t i = 0; opts && i < opts->nlayout_ok; i++) {
		if (!strcmp(opts->layout_ok[i], name))
			return true;
	}
	return false;
}

static int compare_all(struct ug_diff *d, const type_vec *vb, const type_vec *va,
		       const struct ug_diff_opts *opts)
{
	size_t i = 0, j = 0;

	while (i < vb->n && j < va->n) {
		const struct type *b = &vb->v[i], *a = &va->v[j];
		int c = compare_types(b, a);
		bool ok = true;

		if (c == 0 && !is_accepted(opts, a->name))
			ok = a->tag == DW_TAG_enumeration_type ? compare_enum(d, b, a) :
			     compare_layout(d, b, a);
		if (!ok)
			return -ENOMEM;
		i += c <= 0;
		j += c >= 0;
	}
	return 0;
}

int ug_diff_types(struct ug_diff *d, const struct ug_diff_opts *opts)
{
	type_vec vb = { 0 }, va = { 0 };
	int rc = 0;

	if (ug_diff_changes_code(d))
		rc = read_types(d->before, &vb);
	if (rc == 0 && vb.n)
		rc = read_types(d->after, &va);
	if (rc == 0)
		rc = compare_all(d, &vb, &va, opts);
	free_types(&vb);
	free_types(&va);
	return rc;
}
