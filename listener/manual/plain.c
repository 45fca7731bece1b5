/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --help: the brief parts of the manual as plain text, at most 96 columns wide. Terms stand on the
 * left, what they are on the right.
 */
#include "manual/manual.h"

enum { COLUMN = 32, WIDTH = 96, TERM_ROOM = 96 };

/* Words from column to the width; the first line's column is reached already. */
static void put_words(FILE *out, const char *text, int column)
{
	int at = column;
	while (*text != '\0') {
		int len = (int)strcspn(text, " ");
		if (at > column && at + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", column, "");
			at = column;
		} else if (at > column) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", len, text);
		at += len;
		text += len;
		text += *text == ' ';
	}
	fputc('\n', out);
}

static void put_term(FILE *out, const char *term, int column, const char *text)
{
	int len = (int)strlen(term);
	fprintf(out, "  %s", term);
	if (len + 3 >= column)
		fprintf(out, "\n%*s", column, "");
	else
		fprintf(out, "%*s", column - len - 2, "");
	put_words(out, text, column);
}

static void put_option(FILE *out, const struct option_row *row)
{
	char term[TERM_ROOM];
	char text[512];
	char letter[8] = "    ";
	char number[MANUAL_NUMBER];
	const struct manual_limit *limit = manual_limit(row->name);
	if (row->letter != 0)
		(void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	(void)snprintf(term, sizeof(term), "%s--%s%s%s", letter, row->name,
		       row->value == NULL ? "" : " ", row->value == NULL ? "" : row->value);
	(void)snprintf(text, sizeof(text), "%s%s%s%s", row->help,
		       row->form == OPTION_REPEAT ? "; may be repeated" : "",
		       limit == NULL ? "" : "; default ",
		       limit == NULL ? "" : manual_number(number, limit->standard, limit->size));
	put_term(out, term, COLUMN, text);
}

static void put_options(FILE *out, bool limits)
{
	for (size_t i = 0; i < option_count; i++) {
		if ((manual_limit(option_rows[i].name) != NULL) != limits)
			continue;
		if (option_rows[i].heading != NULL)
			fprintf(out, "\n%s:\n", option_rows[i].heading);
		put_option(out, &option_rows[i]);
	}
}

static void put_verbatim(FILE *out, const char *text)
{
	while (*text != '\0') {
		int len = (int)strcspn(text, "\n");
		fprintf(out, "  %.*s\n", len, text);
		text += len;
		text += *text == '\n';
	}
}

static void put_part(FILE *out, const struct manual_part *part, bool first)
{
	enum { SHORT = 14 };
	switch (part->kind) {
	case MANUAL_USAGE:
		fprintf(out, "%s vpcflowd %s\n", first ? "Usage:" : "      ", part->text);
		break;
	case MANUAL_SECTION:
		fprintf(out, "\n%s:\n", part->text);
		break;
	case MANUAL_TEXT:
		fputs(first ? "" : "\n", out);
		put_words(out, part->text, 0);
		break;
	case MANUAL_VERBATIM:
		put_verbatim(out, part->text);
		break;
	case MANUAL_TERM:
		put_term(out, part->term, SHORT, part->text);
		break;
	case MANUAL_COMMAND:
		put_term(out, part->term, COLUMN + SHORT, part->text);
		break;
	case MANUAL_FORMATS:
		for (size_t i = 0; encoder_classes[i] != NULL; i++)
			put_term(out, encoder_classes[i]->name, SHORT, encoder_classes[i]->what);
		break;
	default:
		put_options(out, part->kind == MANUAL_LIMITS);
	}
}

void manual_help(FILE *out)
{
	enum manual_kind before = MANUAL_SECTION;
	for (size_t i = 0; i < manual_part_count; i++)
		if (manual_parts[i].brief) {
			put_part(out, &manual_parts[i], before == MANUAL_SECTION);
			before = manual_parts[i].kind;
		}
}
