// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>

#include "base/cleanup.h"
#include "builder/flags.h"

#define FLAG_MAX 4000			/* of a string of the patch file: 4095 */

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool starts_with_any(const char *s, const char *const *list)
{
	for (; *list; list++) {
		if (starts(s, *list))
			return true;
	}
	return false;
}

/* ---- which ---- */

static const struct pair {		/* options with their argument in the next word */
	const char *name;
	const char *prefix;		/* of the argument in what is recorded; NULL: nothing is */
	bool file;			/* of the argument only the last part of the path */
} pairs[] = {
	{ "-D", "-D", false }, { "-U", "-U", false }, { "-x", "-x ", false },
	{ "--param", "--param=", false }, { "-Xclang", "-Xclang ", false },
	{ "-mllvm", "-mllvm ", false }, { "-target", "--target=", false },
	{ "-Xassembler", "-Xassembler ", false }, { "-Xpreprocessor", "-Xpreprocessor ", false },
	{ "-include", "-include ", true }, { "-imacros", "-imacros ", true },
	{ "-I", NULL, false }, { "-B", NULL, false }, { "-isystem", NULL, false },
	{ "-iquote", NULL, false }, { "-idirafter", NULL, false }, { "-iprefix", NULL, false },
	{ "-isysroot", NULL, false }, { "-iwithprefix", NULL, false },
	{ "-iwithprefixbefore", NULL, false }, { "-include-pch", NULL, false }, { "-u", NULL, false },
	{ "-z", NULL, false }, { "-e", NULL, false }, { "-A", NULL, false }, { "-arch", NULL, false },
	{ "-o", NULL, false }, { "-MF", NULL, false }, { "-MT", NULL, false }, { "-MQ", NULL, false },
};

static const struct pair *find_pair(const char *word)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (!strcmp(word, pairs[i].name))
			return &pairs[i];
	}
	return NULL;
}

static bool changes_code(const char *s)
{
	static const char *const yes[] = { "-O", "-f", "-m", "-std=", "-ansi", "-D", "-U", "-Wa,", "-Wp,-D",
					   "-Wp,-U", "-pthread", "-pg", "--coverage", "-nostdinc",
					   "-undef", "-trigraphs", "--target=", "--param=", "-specs=",
					   "-include", "-imacros", "-x", NULL };
	static const char *const no[] = { "-ffile-prefix-map", "-fdebug-", "-fmacro-prefix-map",
					  "-fprofile-prefix-map", "-fcoverage-prefix-map", "-fdiagnostics-",
					  "-fno-diagnostics-", "-fcolor-", "-fno-color-",
					  "-fmessage-length", "-fmax-errors", "-ferror-limit",
					  "-frandom-seed", "-fwhole-program-", "-ffunction-sections",
					  "-fdata-sections", "-fcompare-debug", NULL };

	return !strcmp(s, "-p") || (starts_with_any(s, yes) && !starts_with_any(s, no));
}

/* ---- how it is written ---- */

/* Value of an option with a path in it: its last part. "-specs=/usr/lib/x.specs" */
static void cut_path(char *flag)
{
	char *value = strchr(flag, '=');

	if (!value || value[1] != '/' || starts(flag, "-D") || starts(flag, "-Wp,"))
		return;
	memmove(value + 1, strrchr(value, '/') + 1, strlen(strrchr(value, '/')));
}

/* "-DDIR=\"TREE/src\"" -> "-DDIR=\"./src\"" */
static void cut_tree(char *flag, const char *tree)
{
	size_t n = tree ? strlen(tree) : 0;

	for (char *at = n > 1 ? strstr(flag, tree) : NULL; at; at = strstr(at + 1, tree)) {
		*at = '.';
		memmove(at + 1, at + n, strlen(at + n) + 1);
	}
}

/* What a string of the file may have. */
static void clean(char *flag)
{
	size_t n = 0;

	for (; flag[n] && n < FLAG_MAX; n++) {
		if ((unsigned char)flag[n] < ' ' || flag[n] == 0x7f)
			flag[n] = '?';
	}
	flag[n] = 0;
}

/* ---- what undoes what ---- */

/* Flags of one meaning agree in their kind and in the first bytes of *ret: how many? */
static size_t key_of(const char *flag, char kind[4], const char **ret)
{
	snprintf(kind, 4, "%.2s", flag);
	*ret = flag + 2;
	/* These add up. */
	if (starts(flag, "-fsanitize") || starts(flag, "-fno-sanitize") || starts(flag, "-fplugin"))
		return strlen(*ret);
	if (starts(flag, "-O"))
		return 0;
	if (flag[1] == 'D' || flag[1] == 'U') {
		snprintf(kind, 4, "-D");
		return strcspn(*ret, "=(");
	}
	if (flag[1] != 'f' && flag[1] != 'm')
		return starts(flag, "-std=") || starts(flag, "--target=") ? strcspn(*ret, "=") : strlen(*ret);
	if (starts(*ret, "no-"))
		*ret += 3;
	return strcspn(*ret, "=");
}

static bool same_meaning(const char *a, const char *b)
{
	const char *ka, *kb;
	char kind_a[4], kind_b[4];
	size_t na = key_of(a, kind_a, &ka), nb = key_of(b, kind_b, &kb);

	/* Behind -Xclang an option and its argument may be two of them. */
	return kind_a[1] != 'X' && !strcmp(kind_a, kind_b) && na == nb && !strncmp(ka, kb, na);
}

static void drop(ug_string_vec *v, size_t i)
{
	free(v->v[i]);
	memmove(&v->v[i], &v->v[i + 1], (v->n - i - 1) * sizeof(*v->v));
	v->n--;
}

static void finish(ug_string_vec *v, const char *tree)
{
	size_t last = v->n - 1;

	cut_path(v->v[last]);
	cut_tree(v->v[last], tree);
	clean(v->v[last]);
	for (size_t i = 0; i < last; i++) {
		if (!same_meaning(v->v[i], v->v[last]))
			continue;
		drop(v, i);
		break;
	}
}

static bool add_pair(const struct pair *p, const char *arg, ug_string_vec *ret)
{
	const char *slash = p->file ? strrchr(arg, '/') : NULL;

	return ug_strings_add(ret, "%s%s", p->prefix, slash ? slash + 1 : arg);
}

bool ug_flags_normal(const char *const *args, size_t n, const char *tree, ug_string_vec *ret)
{
	for (size_t i = 0; i < n; i++) {
		const struct pair *p = find_pair(args[i]);

		if (p && i + 1 < n) {
			i++;
			if (!p->prefix)
				continue;
			if (!add_pair(p, args[i], ret))
				return false;
		} else if (changes_code(args[i])) {
			if (!ug_strings_add(ret, "%s", args[i]))
				return false;
		} else {
			continue;
		}
		finish(ret, tree);
	}
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void ug_flags_sort(ug_string_vec *flags)
{
	if (flags->n)
		qsort(flags->v, flags->n, sizeof(*flags->v), by_text);
}
