/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual page vpcflowd(8): all parts of the manual, by the macros of man(7). What roff would take
 * for its own is escaped; options and what is typed are bold, names of values are italic.
 */
#include <ctype.h>

#include "manual/manual.h"

/* Text that is printed as it is; where a line begins a dot would be a request. */
static void put_text(FILE *out, const char *text, size_t len)
{
	static const char *const escaped[UCHAR_MAX + 1] = {
		['\\'] = "\\e",	 ['-'] = "\\-",	  ['\''] = "\\(aq",
		['`'] = "\\(ga", ['^'] = "\\(ha", ['~'] = "\\(ti",
	};
	if (len > 0 && *text == '.')
		fputs("\\&", out);
	for (size_t i = 0; i < len; i++) {
		const char *as = escaped[(unsigned char)text[i]];
		if (as != NULL)
			fputs(as, out);
		else
			fputc(text[i], out);
	}
}

static void put_font(FILE *out, char font, const char *text, size_t len)
{
	fprintf(out, "\\f%c", font);
	put_text(out, text, len);
	fputs("\\fR", out);
}

/* A word; options and manual pages are bold. */
static void put_word(FILE *out, const char *text, size_t len)
{
	size_t name = strncmp(text, "--", 2) == 0
			      ? 2 + strspn(text + 2, "abcdefghijklmnopqrstuvwxyz-")
			      : strcspn(text, "( ");
	bool page = text[name] == '(' && isdigit((unsigned char)text[name + 1]);
	if (page || (*text == '-' && name > 2)) {
		put_font(out, 'B', text, name);
		put_text(out, text + name, len - name);
	} else {
		put_text(out, text, len);
	}
}

/* Words, with lines in between that an editor can show. */
static void put_words(FILE *out, const char *text)
{
	enum { WIDTH = 60 };
	size_t at = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		put_word(out, text, len);
		at += len + 1;
		text += len;
		if (*text == ' ') {
			bool full = at + 1 + strcspn(text + 1, " ") > WIDTH;
			fputc(full ? '\n' : ' ', out);
			at = full ? 0 : at;
			text++;
		}
	}
}

static void put_section(FILE *out, const char *name)
{
	fputs(".SH ", out);
	for (; *name != '\0'; name++)
		fputc(toupper((unsigned char)*name), out);
	fputc('\n', out);
}

static void put_option(FILE *out, const struct option_row *row)
{
	const struct manual_limit *limit = manual_limit(row->name);
	char text[512];
	char least[MANUAL_NUMBER];
	char standard[MANUAL_NUMBER];
	char greatest[MANUAL_NUMBER];
	fputs(".TP\n", out);
	if (row->letter != 0)
		fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
	fputs("\\fB\\-\\-", out);
	put_text(out, row->name, strlen(row->name));
	fputs("\\fR", out);
	if (row->value != NULL) {
		fputc(' ', out);
		put_font(out, 'I', row->value, strlen(row->value));
	}
	fputc('\n', out);
	(void)snprintf(text, sizeof(text), "%s%s", row->help,
		       row->form == OPTION_REPEAT ? "; may be repeated" : "");
	if (limit != NULL)
		(void)snprintf(text, sizeof(text), "%s; default %s, from %s to %s", row->help,
			       manual_number(standard, limit->standard, limit->size),
			       manual_number(least, limit->least, limit->size),
			       manual_number(greatest, limit->greatest, limit->size));
	put_words(out, text);
	fputc('\n', out);
}

static void put_options(FILE *out, bool limits)
{
	for (size_t i = 0; i < option_count; i++) {
		if ((manual_limit(option_rows[i].name) != NULL) != limits)
			continue;
		if (option_rows[i].heading != NULL)
			fprintf(out, ".SS %s\n", option_rows[i].heading);
		put_option(out, &option_rows[i]);
	}
}

static void put_term(FILE *out, const char *term, const char *text)
{
	fputs(".TP\n", out);
	put_font(out, 'B', term, strlen(term));
	fputc('\n', out);
	put_words(out, text);
	fputc('\n', out);
}

/* Lines as they are, in a paragraph of their own. */
static void put_verbatim(FILE *out, const char *text)
{
	fputs(".PP\n.RS 4\n.nf\n", out);
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		put_text(out, text, len);
		fputc('\n', out);
		text += len;
		text += *text == '\n';
	}
	fputs(".fi\n.RE\n", out);
}

static void put_usage(FILE *out, const char *text, bool first)
{
	fputs(first ? "" : ".br\n", out);
	fputs("\\fBvpcflowd\\fR ", out);
	put_words(out, text);
	fputc('\n', out);
}

static void put_part(FILE *out, const struct manual_part *part, bool first)
{
	switch (part->kind) {
	case MANUAL_SECTION:
		put_section(out, part->text);
		break;
	case MANUAL_USAGE:
		put_usage(out, part->text, first);
		break;
	case MANUAL_TEXT:
		fputs(first ? "" : ".PP\n", out);
		put_words(out, part->text);
		fputc('\n', out);
		break;
	case MANUAL_VERBATIM:
		put_verbatim(out, part->text);
		break;
	case MANUAL_FORMATS:
		for (size_t i = 0; encoder_classes[i] != NULL; i++)
			put_term(out, encoder_classes[i]->name, encoder_classes[i]->what);
		break;
	case MANUAL_TERM:
	case MANUAL_COMMAND:
		put_term(out, part->term, part->text);
		break;
	default:
		put_options(out, part->kind == MANUAL_LIMITS);
	}
}

void manual_roff(FILE *out, const char *version, const char *date)
{
	fprintf(out,
		".\\\" SPDX-License-Identifier: Apache-2.0\n"
		".\\\" Made from the program's tables, as --help is.\n"
		".TH VPCFLOWD 8 %s \"vpcflowd %s\" \"System Administration\"\n"
		".nh\n.ad l\n"
		".SH NAME\nvpcflowd \\- AWS VPC Flow Logs to flow collectors\n",
		date, version);
	for (size_t i = 0; i < manual_part_count; i++)
		put_part(out, &manual_parts[i],
			 i == 0 || manual_parts[i - 1].kind == MANUAL_SECTION);
}
