/* SPDX-License-Identifier: Apache-2.0 */
/* --help, made from the tables of options, limits and output formats. */
#include <inttypes.h>

#include "options.h"

enum { HELP_COLUMN = 32, HELP_WIDTH = 96 };

/* Words from column to width; the first line's column is reached already. */
static void print_wrapped(FILE *out, const char *text, int column, int width)
{
	int at = column;
	while (*text != '\0') {
		int len = (int)strcspn(text, " ");
		if (at > column && at + 1 + len > width) {
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

static void print_option(FILE *out, const struct option_row *row, const char *suffix)
{
	char left[64];
	char help[512];
	char letter[8] = "    ";
	if (row->letter != 0)
		(void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	int len = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, row->name,
			   row->value == NULL ? "" : " ", row->value == NULL ? "" : row->value);
	fprintf(out, "%s", left);
	if (len >= HELP_COLUMN - 1)
		fprintf(out, "\n%*s", HELP_COLUMN, "");
	else
		fprintf(out, "%*s", HELP_COLUMN - len, "");
	(void)snprintf(help, sizeof(help), "%s%s%s", row->help,
		       row->form == OPTION_REPEAT ? "; may be repeated" : "", suffix);
	print_wrapped(out, help, HELP_COLUMN, HELP_WIDTH);
}

static void print_limit(FILE *out, const char *name, uint64_t standard, bool size)
{
	char suffix[48];
	uint64_t n = standard;
	const char *unit = "";
	if (size && n % (1u << 20) == 0) {
		n >>= 20;
		unit = "M";
	}
	(void)snprintf(suffix, sizeof(suffix), "; default %" PRIu64 "%s", n, unit);
	print_option(out, option_by_name(name), suffix);
}

static bool is_limit(const char *name)
{
#define X(member, option, unit, standard, least, greatest, why)                                    \
	if (strcmp(name, (option)) == 0)                                                           \
		return true;
	LIMITS(X)
#undef X
	return false;
}

void options_help(FILE *out)
{
	fputs("Usage: vpcflowd [OPTION]...\n"
	      "       vpcflowd [OPTION]... --read FILE...\n"
	      "\n"
	      "Takes AWS VPC Flow Logs over TCP, as a Lambda function or nc pushes them, and writes\n"
	      "every record as a flow. What a payload is it finds out by itself: gzip, CloudWatch\n"
	      "Logs messages, Lambda, Kinesis and Firehose events, {\"message\": ...} objects, or\n"
	      "plain lines.\n"
	      "\n"
	      "  vpcflowd | ftsq -read -ipfix 4739       into FlowTraq\n"
	      "  vpcflowd -o csv:/var/log/flows.csv      into a file; HUP opens it anew\n"
	      "  vpcflowd -o json --read flows.log.gz    what is in an S3 object\n"
	      "\n"
	      "Options:\n",
	      out);
	for (size_t i = 0; i < option_count; i++)
		if (!is_limit(option_rows[i].name))
			print_option(out, &option_rows[i], "");
	fputs("\nOutput formats:\n", out);
	for (size_t i = 0; encoder_classes[i] != NULL; i++)
		fprintf(out, "  %-12s%s\n", encoder_classes[i]->name, encoder_classes[i]->what);
	fputs("\nLimits (SIZE in octets, as 512, 64K, 16M or 1G; TIME in seconds):\n", out);
#define UNIT_SIZE  true
#define UNIT_COUNT false
#define UNIT_TIME  false
#define X(member, option, unit, standard, least, greatest, why)                                    \
	print_limit(out, option, standard, UNIT_##unit);
	LIMITS(X)
#undef X
	fputs("\nConfiguration file: one object, as { \"output\": [\"ftsq\", \"csv:flows.csv\"], \"quiet\": true,\n"
	      "\"sources\": [...] }. A source has patterns (log-group, account, vpc, interface; * is any run\n"
	      "of characters) and gives flow-format, exporter or domain; the first that matches counts.\n"
	      "\nSignals: TERM and INT finish what was begun and exit; HUP opens files anew and reads\n"
	      "the configuration, tokens and certificates again; USR1 prints the counters.\n"
	      "Exit status: 0 done; 1 something failed, or with --read a payload or record was\n"
	      "rejected; 2 a mistake in options or configuration.\n",
	      out);
}
