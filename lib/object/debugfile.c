// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Separate debug files, where gdb documents them ("Debugging Information in Separate
 * Files"): by build-id below /usr/lib/debug, or by the name and CRC of .gnu_debuglink next
 * to the file and below /usr/lib/debug; in the target's root first, then in ours.
 */
#include "object/internal.h"

#include <limits.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DEBUG_DIR "/usr/lib/debug"
#define LINK_MAX_SIZE 4096
#define CRC_STEP 65536

struct debuglink {
	char name[NAME_MAX + 1];
	uint32_t crc;
};

static bool has_build_id(Elf *elf, const struct ug_build_id *id)
{
	struct ug_build_id found;

	ug_elf_build_id(elf, &found);
	return ug_build_id_equal(&found, id);
}

/* .gnu_debuglink uses the CRC-32 of IEEE 802.3, as xz does. */
static bool has_crc(int fd, uint32_t crc)
{
	ug_autofree uint8_t *buf = malloc(CRC_STEP);
	uint32_t sum = 0;
	off_t off = 0;
	ssize_t n;

	if (!buf)
		return false;
	while ((n = pread(fd, buf, CRC_STEP, off)) > 0) {
		sum = lzma_crc32(buf, (size_t)n, sum);
		off += n;
	}
	return n == 0 && sum == crc;
}

static bool try_path(struct ug_object *obj, int root, const char *path,
		     const struct debuglink *link)
{
	ug_autoclose int fd = ug_open_in_root(root, path);
	Elf *elf = fd < 0 ? NULL : ug_elf_open(fd);
	bool same;

	if (!elf)
		return false;
	same = obj->build_id.len ? has_build_id(elf, &obj->build_id)
				 : link && has_crc(fd, link->crc);
	if (!same) {
		elf_end(elf);
		return false;
	}
	obj->image->debug_elf = elf;
	obj->image->debug_fd = ug_take_fd(&fd);
	return true;
}

/* The section: a name, padded with zeros to 4 bytes, and the checksum. */
static bool read_debuglink(Elf *elf, struct debuglink *ret)
{
	Elf64_Shdr sh;
	Elf_Scn *scn = ug_elf_section(elf, ".gnu_debuglink", &sh);
	Elf_Data *d = scn && sh.sh_size <= LINK_MAX_SIZE ? elf_rawdata(scn, NULL) : NULL;
	size_t n, at;

	if (!d || !d->d_buf)
		return false;
	n = strnlen(d->d_buf, d->d_size);
	at = ug_align_up(n + 1, 4);
	if (!n || n > NAME_MAX || at > d->d_size || d->d_size - at < 4 ||
	    memchr(d->d_buf, '/', n))
		return false;
	memcpy(ret->name, d->d_buf, n);
	ret->name[n] = '\0';
	memcpy(&ret->crc, (const char *)d->d_buf + at, 4);
	return true;
}

static bool try_build_id(struct ug_object *obj, int root)
{
	char hex[2 * UG_BUILD_ID_MAX + 1], path[2 * UG_BUILD_ID_MAX + 64];

	if (obj->build_id.len < 2)
		return false;
	ug_build_id_hex(&obj->build_id, hex);
	(void)snprintf(path, sizeof(path), DEBUG_DIR "/.build-id/%.2s/%s.debug", hex, hex + 2);
	return try_path(obj, root, path, NULL);
}

static bool try_debuglink(struct ug_object *obj, int root, const struct debuglink *link)
{
	static const char *const places[][2] = { { "", "" }, { "", "/.debug" }, { DEBUG_DIR, "" } };
	const char *slash = strrchr(obj->path, '/');
	char path[2 * PATH_MAX];

	if (obj->path[0] != '/')
		return false;
	for (size_t i = 0; i < UG_ARRAY_SIZE(places); i++) {
		int n = snprintf(path, sizeof(path), "%s%.*s%s/%s", places[i][0],
				 (int)(slash - obj->path), obj->path, places[i][1], link->name);

		if (n > 0 && (size_t)n < sizeof(path) && try_path(obj, root, path, link))
			return true;
	}
	return false;
}

static void find_debug_file(struct ug_object *obj)
{
	int root = obj->image->root ? obj->image->root->fd : -1;
	struct debuglink link;

	if (obj->is_vdso)
		return;
	if (root >= 0 && try_build_id(obj, root))
		return;
	if (try_build_id(obj, -1))
		return;
	if (!obj->elf || !read_debuglink(obj->elf, &link))
		return;
	if (root >= 0 && try_debuglink(obj, root, &link))
		return;
	(void)try_debuglink(obj, -1, &link);
}

Elf *ug_object_debug_elf(struct ug_object *obj)
{
	if (!obj->image->debug_tried)
		find_debug_file(obj);
	obj->image->debug_tried = true;
	return obj->image->debug_elf;
}
