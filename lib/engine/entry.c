/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/entry.h"

#include <string.h>

#include "text/text.h"

#define JMP_REL32 0xe9
#define JMP_REL8 0xeb
#define INT3 0xcc

static ug_raddr_t jump5_target(ug_raddr_t at, const uint8_t *bytes)
{
	int32_t rel;

	memcpy(&rel, bytes + 1, sizeof(rel));
	return at + 5 + (uint64_t)(int64_t)rel;
}

static int busy(const struct ug_proc *p, const struct ug_reg_site *site, const uint8_t *bytes,
		struct ug_error *err)
{
	const char *who = bytes[0] == INT3 ? "a breakpoint or uprobe is set there: detach the "
					     "debugger or probe" :
					     "something else has changed it: remove that hook";
	int r = ug_err(err, -UG_E_ENTRY_BUSY, "the entry at %#llx of process %d is neither the "
		       "original code nor a jump of ugraft; %s", (unsigned long long)site->at,
		       p->pid, who);

	ug_err_where(err, NULL, NULL, site->at);
	return r;
}

/* The short form: the entry jumps to padding nearby, and that jumps on. */
static int read_short(struct ug_proc *p, const struct ug_reg_site *site, const uint8_t *now,
		      ug_raddr_t *ret, struct ug_error *err)
{
	uint8_t pad[5];
	int r;

	if (now[0] != JMP_REL8 || site->at + 2 + (uint64_t)(int64_t)(int8_t)now[1] != site->pad_at)
		return busy(p, site, now, err);
	r = ug_proc_read(p, site->pad_at, pad, sizeof(pad), err);
	if (r < 0)
		return r;
	if (pad[0] != JMP_REL32)
		return busy(p, site, pad, err);
	*ret = jump5_target(site->pad_at, pad);
	return 0;
}

int ug_entry_read(struct ug_proc *p, const struct ug_reg_site *site, ug_raddr_t *ret,
		  struct ug_error *err)
{
	uint8_t now[sizeof(site->orig)];
	int r = ug_proc_read(p, site->at, now, site->moved, err);

	if (r < 0)
		return r;
	if (memcmp(now, site->orig, site->moved) == 0) {
		*ret = site->displaced;
		return 0;
	}
	/* Behind the jump the original must be untouched: threads run it from at + moved. */
	if (memcmp(now + site->len, site->orig + site->len, site->moved - site->len) != 0)
		return busy(p, site, now, err);
	if (site->form == UG_FORM_JMP2)
		return read_short(p, site, now, ret, err);
	if (now[0] != JMP_REL32)
		return busy(p, site, now, err);
	*ret = jump5_target(site->at, now);
	return 0;
}

static int poke(struct ug_proc *p, ug_raddr_t at, const uint8_t *bytes, size_t len,
		struct ug_error *err)
{
	uint8_t back[UG_SITE_BYTES_MAX];
	int r = ug_proc_write(p, at, bytes, len, err);

	if (r == 0)
		r = ug_proc_read(p, at, back, len, err);
	if (r == 0 && memcmp(bytes, back, len) != 0)
		r = ug_err(err, -UG_E_UNWRITABLE, "text at %#llx of process %d did not take the bytes "
			   "written to it", (unsigned long long)at, p->pid);
	return r;
}

/* The far jump of the short form is complete before the entry leads to it, and stays until
 * the entry does not. */
static int write_short(struct ug_proc *p, const struct ug_reg_site *site, ug_raddr_t to,
		       struct ug_error *err)
{
	uint8_t far[5], near[2];
	int r;

	if (to == site->displaced) {
		r = poke(p, site->at, site->orig, site->len, err);
		return r < 0 ? r : poke(p, site->pad_at, site->pad_orig, 5, err);
	}
	r = ug_text_jump5(site->pad_at, to, far, err);
	if (r == 0)
		r = ug_text_jump2(site->at, site->pad_at, near, err);
	if (r == 0)
		r = poke(p, site->pad_at, far, sizeof(far), err);
	return r < 0 ? r : poke(p, site->at, near, sizeof(near), err);
}

int ug_entry_write(struct ug_proc *p, const struct ug_reg_site *site, ug_raddr_t to,
		   struct ug_error *err)
{
	uint8_t jump[5];
	int r;

	if (site->form == UG_FORM_JMP2)
		return write_short(p, site, to, err);
	if (to == site->displaced)
		return poke(p, site->at, site->orig, site->len, err);
	r = ug_text_jump5(site->at, to, jump, err);
	return r < 0 ? r : poke(p, site->at, jump, sizeof(jump), err);
}
