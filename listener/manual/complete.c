/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the completions of bash and zsh know of the options: which there are, and what may follow
 * each. The rest of them, scripts/packaging/completion.bash and completion.zsh, is the same whatever the
 * options are.
 */
#include "manual/manual.h"

/* The words that are proposed, with blanks between. */
static void put_proposals(FILE *out, enum manual_value value, const char *words)
{
	if (value == VALUE_OUTPUT)
		for (size_t i = 0; encoder_classes[i] != NULL; i++)
			fprintf(out, "%s%s", i == 0 ? "" : " ", encoder_classes[i]->name);
	else if (value == VALUE_FIELDS)
		for (unsigned f = 0; f < FIELD_COUNT; f++) {
			struct slice name = field_name((enum field)f);
			fprintf(out, "%s%.*s", f == 0 ? "" : " ", (int)name.len,
				(const char *)name.data);
		}
	else
		for (; words != NULL && *words != '\0'; words++)
			fputc(*words == '|' ? ' ' : *words, out);
}

/* ---- bash ------------------------------------------------------------------------------------ */

/* A case of what follows an option that takes a value. */
static void put_case(FILE *out, const struct option_row *row)
{
	static const char *const kinds[] = {
		[VALUE_OTHER] = "other",   [VALUE_FILE] = "file",   [VALUE_FOLDER] = "folder",
		[VALUE_OUTPUT] = "output", [VALUE_FIELDS] = "list", [VALUE_WORDS] = "words",
	};
	const char *words;
	enum manual_value value = manual_value(row, &words);
	if (value == VALUE_NONE)
		return;
	fputc('\t', out);
	if (row->letter != 0)
		fprintf(out, "-%c | ", row->letter);
	fprintf(out, "--%s) kind=%s proposals='", row->name, kinds[value]);
	put_proposals(out, value, words);
	fputs("' ;;\n", out);
}

void manual_bash(FILE *out)
{
	fputs("# Made from the program's table of options: what follows the option $1.\n"
	      "_vpcflowd_value()\n{\n\tcase $1 in\n",
	      out);
	for (size_t i = 0; i < option_count; i++)
		put_case(out, &option_rows[i]);
	fputs("\t*) kind='' proposals='", out);
	for (size_t i = 0; i < option_count; i++)
		fprintf(out, "%s--%s", i == 0 ? "" : " ", option_rows[i].name);
	fputs("' ;;\n\tesac\n}\n", out);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* Within single quotes, and where brackets and colons have a meaning for _arguments. */
static void put_quoted(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\'')
			fputs("'\\''", out);
		else
			fprintf(out, "%s%c", strchr("[]:\\", text[i]) == NULL ? "" : "\\", text[i]);
	}
}

/* What does the completing of a value. */
static void put_action(FILE *out, enum manual_value value, const char *words)
{
	static const char *const before[] = {
		[VALUE_OTHER] = " ",
		[VALUE_FILE] = "_files",
		[VALUE_FOLDER] = "_files -/",
		[VALUE_OUTPUT] = " _vpcflowd_output ",
		[VALUE_FIELDS] = " _values -s , field ",
		[VALUE_WORDS] = "(",
	};
	fputs(before[value], out);
	put_proposals(out, value, words);
	fputs(value == VALUE_WORDS ? ")" : "", out);
}

/* An option for _arguments: up to its first semicolon is enough to choose by. */
static void put_spec(FILE *out, const struct option_row *row)
{
	const char *words;
	enum manual_value value = manual_value(row, &words);
	const char *plus = value == VALUE_NONE ? "" : "+";
	const char *equals = value == VALUE_NONE ? "" : "=";
	fputs("\t", out);
	if (row->form == OPTION_REPEAT)
		fputs("'*'", out);
	else if (row->letter != 0)
		fprintf(out, "'(-%c --%s)'", row->letter, row->name);
	if (row->letter != 0)
		fprintf(out, "{-%c%s,--%s%s}'[", row->letter, plus, row->name, equals);
	else
		fprintf(out, "'--%s%s[", row->name, equals);
	put_quoted(out, row->help, strcspn(row->help, ";"));
	fputc(']', out);
	if (value != VALUE_NONE) {
		fputc(':', out);
		put_quoted(out, row->value, strlen(row->value));
		fputc(':', out);
		put_action(out, value, words);
	}
	fputs("' \\\n", out);
}

void manual_zsh(FILE *out)
{
	fputs("# Made from the program's table of options.\n_arguments -s -S \\\n", out);
	for (size_t i = 0; i < option_count; i++)
		put_spec(out, &option_rows[i]);
	fputs("\t'*:FILE:_files'\n", out);
}
