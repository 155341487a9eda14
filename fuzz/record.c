/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the log of a recorded build and a compile_commands.json, whatever is in them, are
 * refused or become compiles. One input is read as both. A diff, too: which files it names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/capture/capture.h"
#include "fuzz/driver.h"

static char work[] = "/tmp/fuzz-record-XXXXXX";

static const char *name_in_work(const char *name, char path[64])
{
	(void)snprintf(path, 64, "%s/%s", work, name);
	return path;
}

static void remove_work(void)
{
	char path[64];

	(void)unlink(name_in_work("log", path));
	(void)rmdir(name_in_work("tree", path));
	(void)rmdir(work);
}

/* The directory of a sandbox: the log, and a tree without any file. */
static void prepare(void)
{
	static bool done;
	char path[64];

	if (done)
		return;
	promise(mkdtemp(work) && atexit(remove_work) == 0);
	promise(mkdir(name_in_work("tree", path), 0700) == 0);
	done = true;
}

static void write_input(const char *path, const uint8_t *data, size_t size)
{
	FILE *f = fopen(path, "we");

	promise(f && fwrite(data, 1, size, f) == size);
	promise(fclose(f) == 0);
}

static void make_jobs(const struct ug_sandbox *s, const ug_record_vec *records)
{
	ug_job_vec jobs = { 0 };

	if (ug_jobs_make(records, s, &jobs, NULL) == 0) {
		ug_vec_for_each(&jobs, j)
			free(ug_job_source_name(s, j));
	}
	ug_jobs_free(&jobs);
}

static void read_records(const struct ug_sandbox *s, const char *path)
{
	ug_record_vec log = { 0 }, database = { 0 };

	if (ug_record_read(s, &log, NULL) == 0)
		make_jobs(s, &log);
	ug_records_free(&log);
	if (ug_database_read(s, path, "/", &database, NULL) == 0)
		make_jobs(s, &database);
	ug_records_free(&database);
}

/* None of the files is there, so nothing is copied and patch(1) is not run; new files would be. */
static void read_diff(const struct ug_sandbox *s, const char *path, const uint8_t *data, size_t size)
{
	ug_source_vec files = { 0 };

	if (memmem(data, size, "/dev/null", 9) || memmem(data, size, "@@ -0,0", 7))
		return;
	promise(ug_sources_make(s, &path, 1, &files, NULL) < 0);
	ug_sources_free(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64], tree[64];
	struct ug_sandbox s = { .work = work };

	prepare();
	s.tree = s.path = tree;
	(void)name_in_work("tree", tree);
	write_input(name_in_work("log", path), data, size);
	read_records(&s, path);
	read_diff(&s, path, data, size);
	return 0;
}
