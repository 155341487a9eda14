/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info: what a patch file says. */
#include <stdio.h>
#include <string.h>

#include "message.h"
#include "table.h"
#include "text.h"

static void print_line(const struct cli *cli, const char *key, const char *value)
{
	cli_autofree char *text = text_clean(cli, value);

	if (*text)
		printf("%-13s%s\n", key, text);
}

static void print_objects(const struct cli *cli, const struct ug_info *info)
{
	for (size_t i = 0; i < info->nobjects; i++) {
		const struct ug_info_object *o = &info->objects[i];
		const char *name = *o->name ? o->name : "(the executable)";

		print_line(cli, i ? "" : "for", name);
		for (size_t k = 0; k < o->nbuilds; k++) {
			cli_autofree char *build = xasprintf("  build %s", o->builds[k]);

			print_line(cli, "", build);
		}
	}
}

static void print_functions(const struct cli *cli, const struct ug_info *info)
{
	static const struct table_column columns[] = {
		{ "FUNCTION" }, { "OBJECT" }, { "POSITION", TABLE_RIGHT }, { "SIZE", TABLE_RIGHT }, { NULL },
	};
	struct table t;

	table_init(&t, cli, columns);
	for (size_t i = 0; i < info->nfuncs; i++) {
		const struct ug_info_func *f = &info->funcs[i];

		table_row(&t);
		table_cell(&t, f->name, NULL);
		table_cell(&t, *f->object ? f->object : "(the executable)", NULL);
		table_cellf(&t, "%.0u", f->pos);	/* 0: any; then nothing is printed */
		table_cellf(&t, "%llu", (unsigned long long)f->size);
	}
	table_print(&t);
}

/* A word in which a blank is no end. */
static void add_word(FILE *f, const char *word)
{
	const char *quote = strchr(word, ' ') ? "'" : "";

	fprintf(f, "%s%s%s%s", ftell(f) ? " " : "", quote, word, quote);
}

static char *flags_text(const struct ug_info_compiler *c)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; f && i < c->nflags; i++)
		add_word(f, c->flags[i]);
	return f && fclose(f) == 0 ? text : xstrdup("");
}

static char *sources_text(const struct ug_info *info, size_t compiler)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; f && i < info->nunits; i++) {
		if (info->units[i].compiler == compiler)
			add_word(f, info->units[i].source);
	}
	return f && fclose(f) == 0 ? text : xstrdup("");
}

static void print_compiler(const struct cli *cli, const struct ug_info *info, size_t n)
{
	cli_autofree char *flags = flags_text(&info->compilers[n]);
	cli_autofree char *sources = sources_text(info, n);

	print_line(cli, "compiled by", info->compilers[n].name);
	print_line(cli, "  with", flags);
	print_line(cli, "  from", sources);
}

static void print_makers(const struct cli *cli, const struct ug_info *info)
{
	cli_autofree char *version = xasprintf("%s%s", info->made_by[0] ? "ugraft " : "", info->made_by);

	print_line(cli, "made by", version);
	for (size_t i = 0; i < info->ncompilers; i++)
		print_compiler(cli, info, i);
}

static void print_info(const struct cli *cli, const struct ug_info *info)
{
	cli_autofree char *memory = xasprintf("%s of code, %s of data%s",
					      text_bytes(info->code_bytes),
					      text_bytes(info->data_bytes), info->pins_memory ?
					      "; stays mapped after unload" : "");

	print_line(cli, "name", info->name);
	print_line(cli, "description", info->description);
	print_line(cli, "fixes", info->cves);
	print_line(cli, "replaces", info->replace ? "all older patches" : "");
	print_line(cli, "memory", memory);
	print_makers(cli, info);
	print_objects(cli, info);
	print_functions(cli, info);
}

static json_t *objects_json(const struct ug_info *info)
{
	json_t *list = json_array();

	for (size_t i = 0; i < info->nobjects; i++) {
		json_t *o = json_object();
		json_t *builds = json_array();

		for (size_t k = 0; k < info->objects[i].nbuilds; k++)
			json_array_append_new(builds, json_clean(info->objects[i].builds[k]));
		json_object_set_new(o, "name", json_clean(info->objects[i].name));
		json_object_set_new(o, "executable", json_boolean(!*info->objects[i].name));
		json_object_set_new(o, "builds", builds);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *functions_json(const struct ug_info *info)
{
	json_t *list = json_array();

	for (size_t i = 0; i < info->nfuncs; i++) {
		const struct ug_info_func *f = &info->funcs[i];
		json_t *o = json_object();

		json_object_set_new(o, "object", json_clean(f->object));
		json_object_set_new(o, "name", json_clean(f->name));
		json_object_set_new(o, "position", json_integer(f->pos));
		json_object_set_new(o, "size", json_integer((json_int_t)f->size));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *sources_json(const struct ug_info *info, size_t compiler)
{
	json_t *list = json_array();

	for (size_t i = 0; i < info->nunits; i++) {
		json_t *o;

		if (info->units[i].compiler != compiler)
			continue;
		o = json_object();
		json_object_set_new(o, "source", json_clean(info->units[i].source));
		json_object_set_new(o, "object", json_clean(info->units[i].object));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *compilers_json(const struct ug_info *info)
{
	json_t *list = json_array();

	for (size_t i = 0; i < info->ncompilers; i++) {
		const struct ug_info_compiler *c = &info->compilers[i];
		json_t *o = json_object(), *flags = json_array();

		for (size_t k = 0; k < c->nflags; k++)
			json_array_append_new(flags, json_clean(c->flags[k]));
		json_object_set_new(o, "name", json_clean(c->name));
		json_object_set_new(o, "flags", flags);
		json_object_set_new(o, "sources", sources_json(info, i));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *info_json(const struct ug_info *info)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", json_clean(info->name));
	json_object_set_new(o, "description", json_clean(info->description));
	json_object_set_new(o, "cves", json_clean(info->cves));
	json_object_set_new(o, "replace", json_boolean(info->replace));
	json_object_set_new(o, "pins_memory", json_boolean(info->pins_memory));
	json_object_set_new(o, "code_bytes", json_integer((json_int_t)info->code_bytes));
	json_object_set_new(o, "data_bytes", json_integer((json_int_t)info->data_bytes));
	json_object_set_new(o, "made_by", *info->made_by ? json_clean(info->made_by) : json_null());
	json_object_set_new(o, "compilers", compilers_json(info));
	json_object_set_new(o, "objects", objects_json(info));
	json_object_set_new(o, "functions", functions_json(info));
	return o;
}

int verb_info(struct cli *cli)
{
	struct ug_info *info;
	struct ug_error err;

	if (ug_info(cli->args[0], &info, &err) < 0)
		return fail_file(cli, &err, cli->args[0]);
	if (cli->json) {
		json_t *root = document(cli);

		json_object_set_new(root, "patch", info_json(info));
		json_object_set_new(root, "exit", json_integer(UG_EXIT_OK));
		print_document(cli, root);
	} else {
		print_info(cli, info);
	}
	ug_info_free(info);
	return UG_EXIT_OK;
}
