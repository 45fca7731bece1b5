/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of --help and of the manual page that are not in the tables, in their order. Nothing here
 * says what a table says.
 */
#include "manual/manual.h"

#include <inttypes.h>

const struct manual_part manual_parts[] = {
	{ MANUAL_SECTION, .text = "Synopsis" },
	{ MANUAL_USAGE, .brief = true, .text = "[OPTION]..." },
	{ MANUAL_USAGE, .brief = true, .text = "[OPTION]... --read FILE..." },

	{ MANUAL_SECTION, .text = "Description" },
	{ MANUAL_TEXT, .brief = true,
	  .text = "Takes AWS VPC Flow Logs over TCP, as a Lambda function or nc pushes them, and writes "
		  "every record as a flow. What a payload is it finds out by itself: gzip, CloudWatch "
		  "Logs messages, Lambda, Kinesis and Firehose events, {\"message\": ...} objects, or "
		  "plain lines." },
	{ MANUAL_TEXT,
	  .text = "A client that frames its payloads, as PUT ID LENGTH and the octets, is told what "
		  "became of them. ACK means that every output has the flows, or, with --spool, that the "
		  "payload is safe on disk. The same octets again within --duplicate-window are answered "
		  "DUP and not converted again. Others connect, write and close, and are never "
		  "answered." },
	{ MANUAL_TEXT,
	  .text = "Records in CloudWatch Logs do not name their fields: a format that is not AWS's "
		  "default has to be given with --flow-format, or for each log group in the "
		  "configuration file. A record that does not fit is rejected, counted and logged, never "
		  "guessed at. Outputs that do not keep up slow the peers down; nothing that was "
		  "acknowledged is dropped." },

	{ MANUAL_SECTION, .text = "Options" },
	{ MANUAL_TEXT,
	  .text = "A value follows its option as the next word, or after an equals sign." },
	{ MANUAL_OPTIONS, .brief = true },

	{ MANUAL_SECTION, .brief = true, .text = "Output formats" },
	{ MANUAL_FORMATS, .brief = true },
	{ MANUAL_TEXT,
	  .text = "An ftsq line is source address and port, destination address and port, protocol, "
		  "packets, bytes, two zeros, start, end, exporter and \"unknown\". csv and json have "
		  "AWS's names with underscores; what is not there is empty in csv and left out in json. "
		  "ipfix in a file, or on standard output, is an RFC 5655 file." },
	{ MANUAL_TEXT,
	  .text = "Times are in seconds in ftsq, csv and json, in milliseconds in the others. ftsq, "
		  "ipfix and ipfix-csv have no place for a record without both addresses, which is "
		  "counted as no_address." },
	{ MANUAL_TEXT,
	  .text = "Sums (--aggregate) have their keys and packets, bytes, flows, start and end; in ipfix "
		  "flows is deltaFlowCount. Those that have no place in --aggregate-memory end the "
		  "program, and nothing is written." },

	{ MANUAL_SECTION, .brief = true, .text = "Filter" },
	{ MANUAL_TEXT, .brief = true,
	  .text = "Comparisons of AWS's fields, joined by and, or, not and parentheses." },
	{ MANUAL_VERBATIM, .brief = true,
	  .text = "dstport = ssh, bytes > 10M       = != < <= > >=; names of protocols, ports, flags\n"
		  "dstport in 22,3389,8000-8080     in and not in: values, ranges, address blocks\n"
		  "addr not in 10.0.0.0/8,fd00::/8  addr and port: either end; with != and not in both\n"
		  "interface-id = eni-0a1b*         * is any run of characters\n"
		  "tcp-flags has syn                has all of these\n"
		  "start >= 2026-11-01T08:00:00Z    or a date, or Unix seconds\n"
		  "vpc-id != -                      it is there" },
	{ MANUAL_TEXT,
	  .text = "What a record does not have, or has as -, is true of no comparison but = -. A time "
		  "without an offset is UTC; one that is written coarsely, as a date, is all of it. "
		  "Sizes are powers of 1024. Ranges have both their ends, with - or .. between. Letter "
		  "case does not count in words of AWS's own, as REJECT or ingress. Texts with spaces, "
		  "commas or parentheses stand in quotes." },
	{ MANUAL_TEXT,
	  .text = "Records that are left out are counted as filtered, and acknowledged as others are." },

	{ MANUAL_SECTION, .brief = true, .text = "Limits" },
	{ MANUAL_TEXT, .brief = true,
	  .text = "SIZE in octets, as 512, 64K, 16M or 1G; TIME in seconds; COUNT a number." },
	{ MANUAL_LIMITS, .brief = true },

	{ MANUAL_SECTION, .brief = true, .text = "Configuration file" },
	{ MANUAL_TEXT, .brief = true,
	  .text = "One JSON object with options by their long names. A source has patterns (log-group, "
		  "account, vpc, interface; * is any run of characters) and gives flow-format, exporter "
		  "or domain; of each the first counts that matches and has it." },
	{ MANUAL_VERBATIM, .brief = true,
	  .text = "{\n"
		  "  \"output\": [\"ftsq\", \"csv:/var/log/flows.csv\"],\n"
		  "  \"idle-timeout\": 60,\n"
		  "  \"quiet\": true,\n"
		  "  \"sources\": [\n"
		  "    { \"log-group\": \"/vpc/prod*\", \"flow-format\": \"${srcaddr} ${dstaddr} ${bytes}\" },\n"
		  "    { \"account\": \"123456789012\", \"exporter\": \"10.0.0.2\", \"domain\": 7 }\n"
		  "  ]\n"
		  "}" },
	{ MANUAL_TEXT,
	  .text = "Options that may be repeated take a list, flags true or false. What the command line "
		  "gives wins; --check-config says what would run." },

	{ MANUAL_SECTION, .brief = true, .text = "Signals" },
	{ MANUAL_TERM, .brief = true, .term = "TERM, INT",
	  .text = "finish what was begun, for --drain-timeout at most, and exit" },
	{ MANUAL_TERM, .brief = true, .term = "HUP",
	  .text = "open files anew, and read configuration, filter, tokens and certificates again; "
		  "listeners, --http and outputs change at a restart" },
	{ MANUAL_TERM, .brief = true, .term = "USR1",
	  .text = "print the counters to standard error, name=value, one a line" },

	{ MANUAL_SECTION, .brief = true, .text = "Exit status" },
	{ MANUAL_TERM, .brief = true, .term = "0", .text = "done" },
	{ MANUAL_TERM, .brief = true, .term = "1",
	  .text = "something failed, or with --read a payload or record was rejected; the others were "
		  "converted" },
	{ MANUAL_TERM, .brief = true, .term = "2",
	  .text = "a mistake in options or configuration" },

	{ MANUAL_SECTION, .text = "Files" },
	{ MANUAL_TERM, .term = "/etc/vpcflowd.json",
	  .text = "the configuration that the service has" },
	{ MANUAL_TERM, .term = "/var/lib/vpcflowd",
	  .text = "what the service keeps: its spool, and its files unless they are elsewhere" },
	{ MANUAL_TERM, .term = "/usr/share/vpcflowd",
	  .text = "the Lambda function, and scripts/deploy, subscribe, formats, backfill, redrive and "
		  "push, which connect AWS; each has --help. Below /usr/local when it was built from "
		  "source" },

	{ MANUAL_SECTION, .brief = true, .text = "Examples" },
	{ MANUAL_COMMAND, .brief = true, .term = "vpcflowd | ftsq -read -ipfix 4739",
	  .text = "into FlowTraq" },
	{ MANUAL_COMMAND, .brief = true, .term = "vpcflowd -o ipfix:udp://127.0.0.1:4739",
	  .text = "to nfdump, pmacct or another collector" },
	{ MANUAL_COMMAND, .brief = true, .term = "vpcflowd -o csv:/var/log/flows.csv",
	  .text = "into a file; HUP opens it anew" },
	{ MANUAL_COMMAND, .brief = true, .term = "vpcflowd -o json --read flows.log.gz",
	  .text = "what is in an S3 object" },
	{ MANUAL_COMMAND, .brief = true,
	  .term = "vpcflowd --aggregate srcaddr --top 20 --read *.log.gz",
	  .text = "who sends most" },
	{ MANUAL_COMMAND, .term = "vpcflowd -l 127.0.0.1:20555 & nc -N 127.0.0.1 20555 < flows.log",
	  .text = "try it on this machine" },

	{ MANUAL_SECTION, .text = "See also" },
	{ MANUAL_TEXT,
	  .text = "nc(1), nfcapd(1), ipfixDump(1), systemctl(1), nfacctd(8). RFC 7011 and RFC 5655 have "
		  "IPFIX and its files; Amazon VPC's user guide, \"Flow log records\", has the fields." },
};

const size_t manual_part_count = sizeof(manual_parts) / sizeof(*manual_parts);

const struct manual_limit *manual_limit(const char *option)
{
	enum { IS_SIZE = true, IS_COUNT = false, IS_TIME = false };
	static const struct manual_limit limits[] = {
#define X(member, option_name, unit, most, low, high, why)                                         \
	{ .option = (option_name),                                                                 \
	  .size = IS_##unit,                                                                       \
	  .standard = (most),                                                                      \
	  .least = (low),                                                                          \
	  .greatest = (high) },
		LIMITS(X)
#undef X
	};
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		if (strcmp(limits[i].option, option) == 0)
			return &limits[i];
	return NULL;
}

const char *manual_number(char text[MANUAL_NUMBER], uint64_t n, bool size)
{
	static const char *const letters[] = { "", "K", "M", "G" };
	size_t letter = 0;
	for (; size && n != 0 && n % 1024 == 0 && letter < 3; letter++)
		n /= 1024;
	(void)snprintf(text, MANUAL_NUMBER, "%" PRIu64 "%s", n, letters[letter]);
	return text;
}

enum manual_value manual_value(const struct option_row *row, const char **words)
{
	static const struct {
		const char *name;
		enum manual_value value;
		const char *words;
	} known[] = {
		{ "FILE", VALUE_FILE, NULL },
		{ "DIR", VALUE_FOLDER, NULL },
		{ "FORMAT[:DEST]", VALUE_OUTPUT, NULL },
		{ "FORMAT", VALUE_WORDS, "default|tgw" },
		{ "LIST", VALUE_FIELDS, NULL },
		{ "KEYS", VALUE_FIELDS, NULL },
	};
	*words = NULL;
	if (row->value == NULL)
		return VALUE_NONE;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].name, row->value) == 0) {
			*words = known[i].words;
			return known[i].value;
		}
	if (strchr(row->value, '|') == NULL)
		return VALUE_OTHER;
	*words = row->value;
	return VALUE_WORDS;
}
