// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wrapper is a program under the name of a compiler, in a directory that stands first in
 * PATH. It notes where it was called and how, and becomes the real one. It changes nothing in
 * what that makes: argv[0] is the full path of the real compiler, by which gcc finds its parts,
 * and no flag is added.
 *
 * What a compile reads is recorded on the way. When the caller has it written for make, that file
 * is copied as soon as it is complete: builds rename and remove it. (-MMD becomes -MD: a header
 * of the program may count as one of the system.) Otherwise gcc and clang are asked through
 * variables of their environment. Where neither works, the compiler is asked later (replay.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/buf.h"
#include "builder/build.h"
#include "builder/capture/strings.h"
#include "builder/capture/wrapper.h"

struct call {
	const char *log, *dir;
	const char *name;		/* the compiler as it was called */
	char **argv;			/* its own, [0] to be replaced */
	size_t argc;
	char real[PATH_MAX];
	char cwd[PATH_MAX];
	char deps[PATH_MAX];		/* ours; "" : none */
	char own_deps[PATH_MAX];	/* the caller's; "" : none, or not known */
	ug_string_vec args;		/* expanded, without argv[0] */
};

bool ug_is_launcher(const char *path)
{
	static const char *const names[] = { "ccache", "sccache", "distcc", "icecc" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(basename(path), names[i]))
			return true;
	}
	return false;
}

/* A directory of links to ccache under the names of compilers leads to one further in PATH. */
static bool is_masquerade(const char *path)
{
	ug_autofree char *to = realpath(path, NULL);

	return to && ug_is_launcher(to) && !ug_is_launcher(path);
}

/* The next compiler of that name in PATH. */
static bool find_in_path(const char *name, const char *skip, char *buf, size_t size)
{
	const char *path = getenv("PATH");

	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");

		if (len && (len != strlen(skip) || strncmp(p, skip, len))) {
			snprintf(buf, size, "%.*s/%s", (int)len, p, name);
			if (access(buf, X_OK) == 0 && !is_masquerade(buf))
				return true;
		}
		p += len + (p[len] == ':');
	}
	return false;
}

/* A launcher may have been given the compiler's path, perhaps that of a wrapper. */
static bool find_real(struct call *c)
{
	const char *base = basename(c->name);

	if (base == c->name || !strncmp(c->name, c->dir, strlen(c->dir)) || is_masquerade(c->name))
		return find_in_path(base, c->dir, c->real, sizeof(c->real));
	snprintf(c->real, sizeof(c->real), "%s", c->name);
	return true;
}

/* ---- what the caller lets the compiler write ---- */

/* "dir/x.o" -> "dir/x.d" */
static void beside(const char *output, char *buf, size_t size)
{
	const char *dot = strrchr(basename(output), '.');

	snprintf(buf, size, "%.*s.d", (int)(dot ? (size_t)(dot - output) : strlen(output)), output);
}

struct own {
	bool any, wanted, compile_only;	/* any: an option of that family at all */
	const char *file, *output, *source;
	int sources, without_system;
};

static void look_at_arg(struct own *o, const char *arg, const char *next)
{
	bool wp = !strncmp(arg, "-Wp,-MD,", 8) || !strncmp(arg, "-Wp,-MMD,", 9);

	if (!strcmp(arg, "-c"))
		o->compile_only = true;
	else if (!strncmp(arg, "-o", 2))
		o->output = arg[2] ? arg + 2 : next;
	if (arg[0] != '-' && ug_is_source_name(arg)) {
		o->sources++;
		o->source = basename(arg);
	}
	o->any |= !strncmp(arg, "-M", 2) || !strncmp(arg, "-Wp,-M", 6);
	o->wanted |= wp || !strcmp(arg, "-MD") || !strcmp(arg, "-MMD");
	o->without_system += !strcmp(arg, "-MMD") || !strncmp(arg, "-Wp,-MMD,", 9);
	if (wp)
		o->file = strchr(strchr(arg, ',') + 1, ',') + 1;
	else if (!strncmp(arg, "-MF", 3))
		o->file = arg[3] ? arg + 3 : next;
}

/* Of the arguments as they were given: what is in a response file stays as it is. */
static int want_system_headers(struct call *c)
{
	static char md[] = "-MD";
	int n = 0;

	for (size_t i = 1; i < c->argc; i++) {
		if (strcmp(c->argv[i], "-MMD"))
			continue;
		c->argv[i] = md;
		n++;
	}
	return n;
}

/* False: what it reads cannot be had on the way. */
static bool find_own_deps(struct call *c)
{
	struct own o = { 0 };

	for (size_t i = 0; i < c->args.n; i++)
		look_at_arg(&o, c->args.v[i], i + 1 < c->args.n ? c->args.v[i + 1] : "");
	if (!o.sources || !o.wanted)
		return o.sources && !o.any;
	if (o.sources > 1 || o.without_system != want_system_headers(c))
		return false;
	if (o.file)
		snprintf(c->own_deps, sizeof(c->own_deps), "%s", o.file);
	else if (o.compile_only)
		beside(o.output ? o.output : o.source, c->own_deps, sizeof(c->own_deps));
	return c->own_deps[0] && !strchr(c->own_deps, ',');
}

/* A file of our own for what this compile reads, reserved by its name. */
static void choose_deps(struct call *c)
{
	if (getenv("DEPENDENCIES_OUTPUT") || getenv("SUNPRO_DEPENDENCIES") || getenv("CC_PRINT_HEADERS") ||
	    !find_own_deps(c))
		return;
	for (unsigned int i = 0; i < 1000; i++) {
		int fd;

		snprintf(c->deps, sizeof(c->deps), "%s" UG_RECORD_DEPS "/%d.%u", c->log, getpid(), i);
		fd = open(c->deps, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0) {
			close(fd);
			return;
		}
		if (errno != EEXIST)
			break;
	}
	c->deps[0] = 0;
}

/* ---- the record ---- */

/* What changes the meaning of a command line. */
static const char *const variables[] = {
	"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX",
	"SOURCE_DATE_EPOCH", "CCC_OVERRIDE_OPTIONS", NULL
};

static void add_string(struct ug_buf *b, const char *s)
{
	ug_buf_add(b, s, strlen(s) + 1);
}

static uint32_t add_variables(struct ug_buf *b)
{
	uint32_t n = 0;

	for (; variables[n]; n++) {
		const char *value = getenv(variables[n]);

		ug_buf_add(b, variables[n], strlen(variables[n]));
		if (value)
			ug_buf_add(b, "=", 1);
		add_string(b, value ? value : "");
	}
	return n;
}

/* One write to a file opened for appending: records of parallel compiles do not mix. */
static void note(const struct call *c)
{
	ug_autoclose int fd = open(c->log, O_WRONLY | O_APPEND | O_CLOEXEC);
	struct ug_record_head head = { .args = (uint32_t)c->args.n };
	struct ug_buf b = { 0 };

	ug_buf_add(&b, &head, sizeof(head));
	add_string(&b, c->cwd);
	add_string(&b, c->deps);
	add_string(&b, c->real);
	ug_vec_for_each(&c->args, a)
		add_string(&b, *a);
	head.env = add_variables(&b);
	if (fd >= 0 && !b.failed) {
		head.size = (uint32_t)(b.n - sizeof(head));
		memcpy(b.v, &head, sizeof(head));
		ug_ignore(write(fd, b.v, b.n) < 0 ? -1 : 0);
	}
	ug_buf_free(&b);
}

/* ---- becoming the compiler ---- */

static int become(struct call *c)
{
	c->argv[0] = c->real;
	execv(c->real, c->argv);
	fprintf(stderr, "%s: %s\n", c->real, strerror(errno));
	return 127;
}

static void copy_deps(const struct call *c)
{
	ug_autofree char *text = NULL;
	ug_autoclose int fd = open(c->deps, O_WRONLY | O_CLOEXEC);
	size_t n;

	text = ug_load_text(c->own_deps, &n);
	if (text && fd >= 0)
		ug_ignore(write(fd, text, n) < 0 ? -1 : 0);
}

static int exit_as(int status)
{
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

/* The compiler as a child; it ends when we are ended. */
static int run_and_copy(struct call *c)
{
	pid_t parent = getpid(), pid = fork();
	int status = 0;

	if (pid <= 0) {
		if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent))
			_exit(127);
		return become(c);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 127;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		copy_deps(c);
	return exit_as(status);
}

/* The one of gcc says it as make wants it, that of clang one to a line. */
static void ask_for_deps(const struct call *c)
{
	char lines[PATH_MAX + sizeof(UG_RECORD_LINES)];

	snprintf(lines, sizeof(lines), "%s" UG_RECORD_LINES, c->deps);
	setenv("SUNPRO_DEPENDENCIES", c->deps, 1);
	setenv("CC_PRINT_HEADERS", "1", 1);
	setenv("CC_PRINT_HEADERS_FILE", lines, 1);
}

static int run(struct call *c)
{
	int rc;

	if (!find_real(c)) {
		fprintf(stderr, "%s: not found in PATH\n", c->name);
		return 127;
	}
	if (!ug_words_expand((const char *const *)c->argv + 1, c->argc - 1, &c->args) ||
	    !getcwd(c->cwd, sizeof(c->cwd)))
		return become(c);
	choose_deps(c);
	note(c);
	if (c->deps[0] && !c->own_deps[0])
		ask_for_deps(c);
	if (!c->deps[0] || !c->own_deps[0])
		return become(c);
	rc = run_and_copy(c);
	ug_strings_free(&c->args);
	return rc;
}

bool ug_build_wrapper(int argc, char **argv, int *ret)
{
	struct call c = { .log = getenv(UG_RECORD_LOG), .dir = getenv(UG_RECORD_DIR),
			  .name = basename(argv[0]), .argv = argv, .argc = (size_t)argc };

	if (!c.log || !c.dir || !strcmp(c.name, "ugraft"))
		return false;
	/* "ccache gcc -c x.c": a hit in the cache would be no compile. */
	if (ug_is_launcher(c.name) && argc > 1 && argv[1][0] != '-' && !strchr(argv[1], '=')) {
		c.argv++;
		c.argc--;
		c.name = c.argv[0];
	}
	*ret = run(&c);
	return true;
}
