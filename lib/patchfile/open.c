// SPDX-License-Identifier: LGPL-2.1-or-later
/* Opening and closing a patch file: the order of the steps, and who owns what. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/read.h"
#include "patchfile/image.h"

static void free_image(struct ug_patch_image *image)
{
	if (!image)
		return;
	ug_vec_free(&image->sections);
	ug_vec_free(&image->symbols);
	ug_vec_free(&image->relocs);
	ug_vec_free(&image->starts);
	ug_vec_free(&image->pins);
	ug_vec_free(&image->builds);
	ug_vec_free(&image->others);
	ug_vec_free(&image->colds);
	free(image->flags);
	free(image->func_symbols);
	free(image->ref_symbols);
	free(image->file);
	free(image);
}

void ug_patch_close(struct ug_patch *patch)
{
	if (!patch)
		return;
	free_image(patch->image);
	free(patch->objects);
	free(patch->funcs);
	free(patch->refs);
	free(patch->compilers);
	free(patch->units);
	free(patch);
}

/* Takes over `file`, also when it fails. */
static struct ug_patch *create(uint8_t *file, size_t size)
{
	struct ug_patch *patch = calloc(1, sizeof(*patch));

	if (patch)
		patch->image = calloc(1, sizeof(*patch->image));
	if (!patch || !patch->image) {
		free(patch);
		free(file);
		return NULL;
	}
	patch->image->file = file;
	ug_reader_init(&patch->image->r, file, size);
	return patch;
}

static int build_model(struct ug_patch *patch, struct ug_error *err)
{
	int rc;

	rc = ug_pf_read_elf(patch->image, err);
	if (rc < 0)
		return rc;
	rc = ug_pf_read_meta(patch, err);
	if (rc < 0)
		return rc;
	rc = ug_pf_read_made(patch, err);
	if (rc < 0)
		return rc;
	rc = ug_pf_validate(patch, err);
	if (rc < 0)
		return rc;
	rc = ug_pf_sweep(patch, err);
	if (rc < 0)
		return rc;
	ug_pf_bind_targets(patch);
	if (ug_pf_escapes(patch))
		patch->flags |= UG_PATCH_ESCAPES;
	return 0;
}

static int parse_take(uint8_t *file, size_t size, struct ug_patch **ret, struct ug_error *err)
{
	struct ug_patch *patch = create(file, size);
	int rc;

	if (!patch)
		return ug_err(err, -ENOMEM, "out of memory");
	rc = build_model(patch, err);
	if (rc < 0) {
		ug_patch_close(patch);
		return rc;
	}
	*ret = patch;
	return 0;
}

int ug_patch_parse(const void *data, size_t size, struct ug_patch **ret, struct ug_error *err)
{
	uint8_t *copy;

	if (size > UG_FILE_SIZE_MAX)
		return ug_pf_bad(err, "the patch file is larger than %u MiB", UG_FILE_SIZE_MAX >> 20);
	copy = malloc(size ? size : 1);
	if (!copy)
		return ug_err(err, -ENOMEM, "out of memory");
	if (size)
		memcpy(copy, data, size);
	return parse_take(copy, size, ret, err);
}

int ug_patch_open(const char *path, struct ug_patch **ret, struct ug_error *err)
{
	ug_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	uint8_t *buf;
	ssize_t size;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ug_err_errno(err, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return ug_pf_bad(err, "%s is not a regular file", path);
	if ((uint64_t)st.st_size > UG_FILE_SIZE_MAX)
		return ug_pf_bad(err, "%s is larger than %u MiB: not a patch file", path,
				 UG_FILE_SIZE_MAX >> 20);
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return ug_err(err, -ENOMEM, "out of memory");
	/* It may change or shrink meanwhile: what was read is what counts. */
	size = ug_read_all(fd, buf, (size_t)st.st_size);
	if (size < 0) {
		free(buf);
		errno = (int)-size;
		return ug_err_errno(err, "cannot read %s", path);
	}
	return parse_take(buf, (size_t)size, ret, err);
}
