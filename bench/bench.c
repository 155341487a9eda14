// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "builder/build.h"

void bench_die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static unsigned int number(const char *s, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (!*s || *end || n < 1 || n > max)
		bench_die("'%s' is not a number from 1 to %u", s, max);
	return (unsigned int)n;
}

void bench_options(int argc, char **argv, struct bench_opts *opts)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "threads", required_argument, NULL, 't' },
		{ "spin", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 'n' },
		{ "server", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			opts->json = true;
			break;
		case 'r':
			opts->rounds = number(optarg, BENCH_SAMPLES);
			break;
		case 't':
			opts->threads = number(optarg, 10000);
			break;
		case 's':
			opts->spin = number(optarg, 64);
			break;
		case 'n':
			opts->seconds = number(optarg, 3600);
			break;
		case 'v':
			opts->server = optarg;
			break;
		default:
			printf("usage: %s [--json] [--rounds=N] [--threads=N] [--spin=N] "
			       "[--seconds=N] [--server=NAME]\n",
			       program_invocation_short_name);
			exit(c == 'h' ? 0 : 2);
		}
	}
}

/* ---- victims ---- */

static const char *beside(const char *name, char path[static PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (len < 0)
		bench_die("/proc/self/exe: %s", strerror(errno));
	path[len] = 0;
	slash = strrchr(path, '/');
	if ((size_t)(slash - path) + 2 + strlen(name) > PATH_MAX)
		bench_die("%s: path too long", path);
	strcpy(slash + 1, name);
	return path;
}

static _Noreturn void become(const char *path, const char *const args[], const int fds[3])
{
	const char *argv[16] = { path };

	/* A benchmark that dies must not leave its victim spinning. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; args[i] && i < 14; i++)
		argv[i + 1] = args[i];
	if (dup2(fds[0], 0) < 0 || dup2(fds[1], 1) < 0 || (fds[2] >= 0 && dup2(fds[2], 3) < 0))
		_exit(126);
	if (fds[2] >= 0)
		fcntl(3, F_SETFD, 0);	/* dup2 onto itself keeps close-on-exec */
	closefrom(fds[2] >= 0 ? 4 : 3);
	execv(path, (char *const *)(uintptr_t)argv);
	_exit(127);
}

void bench_start(struct bench_victim *v, const char *name, const char *const args[], int share)
{
	char path[PATH_MAX], line[64];
	int to[2], from[2];

	beside(name, path);
	if (pipe(to) < 0 || pipe(from) < 0)
		bench_die("pipe: %s", strerror(errno));
	fflush(NULL);
	v->pid = fork();
	if (v->pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (v->pid == 0)
		become(path, args, (int[3]){ to[0], from[1], share });
	close(to[0]);
	close(from[1]);
	v->in = fdopen(to[1], "w");
	v->out = fdopen(from[0], "r");
	if (!v->in || !v->out || !fgets(line, sizeof(line), v->out) || strcmp(line, "ready\n") != 0)
		bench_die("%s did not start", path);
}

const char *bench_ask(struct bench_victim *v, const char *fmt, ...)
{
	static char answer[256];
	va_list ap;

	va_start(ap, fmt);
	vfprintf(v->in, fmt, ap);
	va_end(ap);
	fputc('\n', v->in);
	if (fflush(v->in) != 0 || !fgets(answer, sizeof(answer), v->out))
		bench_die("process %d does not answer", v->pid);
	answer[strcspn(answer, "\n")] = 0;
	return answer;
}

void bench_stop(struct bench_victim *v)
{
	fclose(v->in);
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
	fclose(v->out);
}

/* ---- patches ---- */

#define PATCHES_MAX 128

static char patch_dir[64];
static char patch_files[PATCHES_MAX][96];
static unsigned int npatch_files;

static void source_path(char path[static 96])
{
	snprintf(path, 96, "%s/patch.c", patch_dir);
}

static void remove_patches(void)
{
	char path[96];

	for (unsigned int i = 0; i < npatch_files; i++)
		unlink(patch_files[i]);
	source_path(path);
	unlink(path);
	rmdir(patch_dir);
}

static void make_patch_dir(void)
{
	if (patch_dir[0])
		return;
	snprintf(patch_dir, sizeof(patch_dir), "/tmp/ugraft-bench-XXXXXX");
	if (!mkdtemp(patch_dir))
		bench_die("mkdtemp: %s", strerror(errno));
	atexit(remove_patches);
}

static char *patch_file(void)
{
	char *file = patch_files[npatch_files];

	if (npatch_files == PATCHES_MAX)
		bench_die("too many patches");
	make_patch_dir();
	snprintf(file, sizeof(patch_files[0]), "%s/%u.ugp", patch_dir, npatch_files++);
	return file;
}

static const char *build(const char *path, const char *program)
{
	static struct ug_build_report report;
	struct ug_error err = { 0 };
	char *output = patch_file();
	struct ug_build_source_opts opts = {
		.source = path, .targets = &program, .ntargets = 1, .output = output,
	};

	if (ug_build_source(&opts, &report, &err) < 0)
		bench_die("building %s: %s\n%s", path, err.message, report.compiler_output);
	return output;
}

const char *bench_build_for(const char *source, const char *program)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", BENCH_SOURCE, source);
	return build(path, program);
}

const char *bench_build(const char *source, const char *name)
{
	char victim[PATH_MAX];

	return bench_build_for(source, beside(name, victim));
}

FILE *bench_write(void)
{
	char path[96];
	FILE *f;

	make_patch_dir();
	source_path(path);
	f = fopen(path, "we");
	if (!f)
		bench_die("%s: %s", path, strerror(errno));
	fprintf(f, "#include <ugraft/patch.h>\n");
	return f;
}

const char *bench_build_text(FILE *source, const char *name)
{
	char path[96], victim[PATH_MAX];

	if (fclose(source) != 0)
		bench_die("writing a patch: %s", strerror(errno));
	source_path(path);
	return build(path, beside(name, victim));
}

void bench_load(struct bench_victim *v, const char *file, const struct ug_opts *opts,
		enum ug_outcome outcome, struct ug_report *report)
{
	struct ug_error err = { 0 };
	int r = ug_load(v->pid, file, opts, report, &err);

	if (r < 0)
		bench_die("load: %s (%s)", err.message, ug_error_name(r));
	if (report->outcome != outcome)
		bench_die("load: outcome %d instead of %d", report->outcome, outcome);
}

void bench_unload(struct bench_victim *v, const char *patch, const struct ug_opts *opts,
		  struct ug_report *report)
{
	struct ug_error err = { 0 };
	int r = ug_unload(v->pid, patch, opts, report, &err);

	if (r < 0)
		bench_die("unload: %s (%s)", err.message, ug_error_name(r));
	if (report->outcome != UG_DONE)
		bench_die("unload: outcome %d", report->outcome);
}

uint64_t bench_mapped(pid_t pid)
{
	char path[64], line[PATH_MAX + 128];
	uint64_t sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		bench_die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		uint64_t start, end;

		if (!strstr(line, "memfd:ugraft") && !strstr(line, "[anon:ugraft"))
			continue;
		if (sscanf(line, "%lx-%lx", &start, &end) == 2)
			sum += end - start;
	}
	fclose(f);
	return sum;
}

/* ---- numbers ---- */

void bench_add(struct bench_series *s, double value)
{
	if (s->n == BENCH_SAMPLES)
		bench_die("too many samples");
	s->v[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(const struct bench_series *s)
{
	struct bench_series sorted = *s;

	if (!s->n)
		bench_die("median of nothing");
	qsort(sorted.v, sorted.n, sizeof(sorted.v[0]), compare);
	return (sorted.v[(sorted.n - 1) / 2] + sorted.v[sorted.n / 2]) / 2;
}

double bench_max(const struct bench_series *s)
{
	double max = s->n ? s->v[0] : 0;

	for (size_t i = 1; i < s->n; i++)
		max = s->v[i] > max ? s->v[i] : max;
	return max;
}

double bench_min(const struct bench_series *s)
{
	double min = s->n ? s->v[0] : 0;

	for (size_t i = 1; i < s->n; i++)
		min = s->v[i] < min ? s->v[i] : min;
	return min;
}

uint64_t bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void bench_nap(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u),
			       .tv_nsec = (long)(ns % 1000000000u) };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}
