/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options, which command line, configuration file and --help are made from. Each
 * setter takes text, checks it, and says in one line what is wrong with it.
 */
#include "options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/number.h"

bool option_wrong(char why[WHY_ROOM], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(why, WHY_ROOM, format, args);
	va_end(args);
	return false;
}

static bool set_text(char **to, const char *value, char why[WHY_ROOM])
{
	if (*value == '\0')
		return option_wrong(why, "it is empty");
	free(*to);
	*to = strdup(value);
	return *to != NULL || option_wrong(why, "out of memory");
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* ADDR:PORT, [ADDR]:PORT or :PORT, which is that of the standard address. */
static bool split_address(struct listen_address *a, const char *value, struct slice standard)
{
	const char *colon = strrchr(value, ':');
	uint64_t port;
	if (colon == NULL || !number_parse(slice_text(colon + 1), UINT16_MAX, &port))
		return false;
	struct slice host = slice_of(value, (size_t)(colon - value));
	bool bracketed = host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
	if (bracketed)
		host = slice_of(host.data + 1, host.len - 2);
	else if (host.len == 0)
		host = standard;
	struct address address;
	if (host.len >= HOST_TEXT || !address_parse(host, &address) ||
	    (address.version == 6 && !bracketed && colon != value))
		return false;
	memcpy(a->host, host.data, host.len);
	a->host[host.len] = '\0';
	a->port = (uint16_t)port;
	return true;
}

static bool set_listen(struct config *c, const char *value, char why[WHY_ROOM])
{
	struct listen_address *a = &c->listen[c->listens];
	if (c->listens == LISTEN_LIMIT)
		return option_wrong(why, "at most %d of them", LISTEN_LIMIT);
	*a = (struct listen_address){ .text = NULL };
	if (!split_address(a, value, SLICE_LITERAL("::")))
		return option_wrong(
			why,
			"not ADDR:PORT, as 127.0.0.1:20555 or [::]:20555; ADDR is no name, and PORT at most 65535");
	c->listens++;
	return set_text(&a->text, value, why);
}

static void clear_listen(struct config *c)
{
	for (size_t i = 0; i < c->listens; i++)
		free(c->listen[i].text);
	c->listens = 0;
}

/* As --listen, but who names no address means this machine alone. */
static bool set_http(struct config *c, const char *value, char why[WHY_ROOM])
{
	struct listen_address a = { .text = c->http.text };
	char port[8] = "";
	bool alone = strchr(value, ':') == NULL && strlen(value) < sizeof(port) - 1;
	if (alone)
		(void)snprintf(port, sizeof(port), ":%s", value);
	if (!split_address(&a, alone ? port : value, SLICE_LITERAL("127.0.0.1")))
		return option_wrong(why, "not ADDR:PORT or PORT, as 127.0.0.1:9555 or [::1]:9555; "
					 "ADDR is no name, and PORT at most 65535");
	c->http = a;
	return set_text(&c->http.text, value, why);
}

static bool set_allow(struct config *c, const char *value, char why[WHY_ROOM])
{
	struct cidr block;
	if (!cidr_parse(slice_text(value), &block))
		return option_wrong(why, "not an address block, as 10.0.0.0/8 or 2001:db8::/32");
	struct cidr *grown = realloc(c->allow, (c->allows + 1) * sizeof(*grown));
	if (grown == NULL)
		return option_wrong(why, "out of memory");
	c->allow = grown;
	c->allow[c->allows++] = block;
	return true;
}

static void clear_allow(struct config *c)
{
	free(c->allow);
	c->allow = NULL;
	c->allows = 0;
}

static bool set_exporter(struct config *c, const char *value, char why[WHY_ROOM])
{
	return source_set_exporter(&c->sources.standard, slice_text(value)) ||
	       option_wrong(why, "not an IPv4 or IPv6 address");
}

bool option_domain(uint32_t *domain, const char *value, char why[WHY_ROOM])
{
	uint64_t n;
	if (!number_parse(slice_text(value), UINT32_MAX, &n) || n == 0)
		return option_wrong(why, "not a number from 1 to 4294967295");
	*domain = (uint32_t)n;
	return true;
}

static bool set_domain(struct config *c, const char *value, char why[WHY_ROOM])
{
	return option_domain(&c->sources.standard.domain, value, why);
}

static bool set_aws_elements(struct config *c, const char *value, char why[WHY_ROOM])
{
	enum { REVERSE = 29305 }; /* RFC 5103: its elements are those of the other direction */
	uint64_t n;
	if (!number_parse(slice_text(value), UINT32_MAX, &n) || n == 0 || n == REVERSE)
		return option_wrong(why,
				    "not a private enterprise number, from 1 to 4294967295 and not "
				    "29305, which RFC 5103 has taken");
	c->aws_elements = (uint32_t)n;
	return true;
}

/* ---- formats --------------------------------------------------------------------------------- */

/* derived: such columns are known, too. */
static bool read_format(struct format **format, const char *value, const char *where, bool derived,
			char why[WHY_ROOM])
{
	struct format *f = malloc(sizeof(*f));
	struct slice name;
	char text[LOG_ESCAPED];
	if (f == NULL)
		return option_wrong(why, "out of memory");
	enum format_error error = format_parse(f, slice_text(value), COLUMN_LIMIT, &name);
	if (error != FORMAT_OK) {
		free(f);
		return option_wrong(why, "%s: \"%s\"%s", format_error_text(error),
				    log_escape(name, text),
				    error != FORMAT_EMPTY || derived
					    ? ""
					    : "; in a shell ${...} stands in single quotes");
	}
	if (derived)
		format_take_derived(f);
	for (unsigned i = 0; i < f->count; i++)
		if (f->column[i].field == FIELD_UNKNOWN)
			log_warn(
				"config",
				"no field that is known, taken as text: new, or misspelt? option=%s field=%s",
				where, log_escape(format_column_name(f, i), text));
	free(*format);
	*format = f;
	return true;
}

bool option_format(struct format **format, const char *value, const char *where, char why[WHY_ROOM])
{
	return read_format(format, value, where, false, why);
}

static bool set_flow_format(struct config *c, const char *value, char why[WHY_ROOM])
{
	return option_format(&c->sources.format, value, "--flow-format", why);
}

static bool set_fields(struct config *c, const char *value, char why[WHY_ROOM])
{
	return read_format(&c->fields, value, "--fields", true, why);
}

/* ---- sums ------------------------------------------------------------------------------------ */

static bool set_aggregate(struct config *c, const char *value, char why[WHY_ROOM])
{
	struct wanted_mistake mistake;
	char text[LOG_ESCAPED];
	return wanted_set_keys(&c->sums, slice_text(value), &mistake) ||
	       option_wrong(why, "%s: \"%s\"; field names are given as srcaddr,dstport, or 5-tuple",
			    mistake.why, log_escape(slice_of(mistake.name, mistake.len), text));
}

static bool set_top(struct config *c, const char *value, char why[WHY_ROOM])
{
	return (number_parse(slice_text(value), UINT32_MAX, &c->sums.top) && c->sums.top != 0) ||
	       option_wrong(why, "not a number from 1 to 4294967295");
}

static bool set_by(struct config *c, const char *value, char why[WHY_ROOM])
{
	return wanted_set_order(&c->sums, slice_text(value)) ||
	       option_wrong(why, "neither bytes nor packets nor flows");
}

static bool set_filter(struct config *c, const char *value, char why[WHY_ROOM])
{
	struct filter_mistake mistake;
	filter_free(&c->filter);
	return filter_compile(&c->filter, slice_text(value), &mistake) ||
	       option_wrong(why, "%s", mistake.why);
}

/* The expression, and a caret under what is wrong in it. */
static void show_filter(const char *value)
{
	struct filter_mistake mistake;
	struct filter *filter = NULL;
	char shown[FILTER_SHOWN + 1];
	char carets[FILTER_SHOWN + 1];
	if (!filter_compile(&filter, slice_text(value), &mistake)) {
		filter_show(slice_text(value), &mistake, shown, carets);
		if (shown[strspn(shown, " ")] != '\0') {
			log_error("config", "  %s", shown);
			log_error("config", "  %s", carets);
		}
	}
	filter_free(&filter);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void free_output(struct output_config *o)
{
	free(o->name);
	destination_deinit(&o->destination);
	*o = (struct output_config){ .name = NULL };
}

static bool check_output(const struct config *c, const struct output_config *o, char why[WHY_ROOM])
{
	const struct encoder_class *class = o->encoder.class;
	if (o->destination.kind == DESTINATION_UDP && !class->messages)
		return option_wrong(why, "%s cannot go into datagrams: udp:// takes ipfix only",
				    class->name);
	for (size_t i = 0; i < c->outputs; i++)
		if (destination_equal(&c->output[i].destination, &o->destination))
			return option_wrong(why, "%s is the destination of another output too",
					    o->destination.path == NULL ? "standard output"
									: o->destination.path);
	return true;
}

static bool add_output(struct config *c, struct output_config *o, const char *value,
		       char why[WHY_ROOM])
{
	o->name = strdup(value);
	if (o->name == NULL)
		(void)option_wrong(why, "out of memory");
	if (o->name != NULL && check_output(c, o, why)) {
		c->output[c->outputs++] = *o;
		return true;
	}
	free_output(o);
	return false;
}

static bool set_output(struct config *c, const char *value, char why[WHY_ROOM])
{
	const char *colon = strchr(value, ':');
	size_t len = colon == NULL ? strlen(value) : (size_t)(colon - value);
	const char *mistake;
	struct output_config o = {
		.encoder.class = encoder_class_by_name(slice_of(value, len)),
	};
	char text[LOG_ESCAPED];
	if (c->outputs == OUTPUT_LIMIT)
		return option_wrong(why, "at most %d of them", OUTPUT_LIMIT);
	if (o.encoder.class == NULL)
		return option_wrong(why,
				    "no format \"%s\"; there are ftsq, csv, json, ipfix-csv and "
				    "ipfix, and a file is given as csv:FILE",
				    log_escape(slice_of(value, len), text));
	if (!destination_parse(&o.destination, colon == NULL ? "-" : colon + 1, &mistake))
		return option_wrong(why, "%s", mistake);
	return add_output(c, &o, value, why);
}

static void clear_output(struct config *c)
{
	for (size_t i = 0; i < c->outputs; i++)
		free_output(&c->output[i]);
	c->outputs = 0;
}

/* ---- limits ---------------------------------------------------------------------------------- */

enum unit { UNIT_SIZE, UNIT_COUNT, UNIT_TIME };

static bool parse_size(const char *value, uint64_t *n)
{
	static const char letters[] = "KMG";
	size_t len = strlen(value);
	const char *letter = len == 0 ? NULL : strchr(letters, value[len - 1]);
	unsigned shift = letter == NULL ? 0 : 10 * (unsigned)(letter - letters + 1);
	if (!number_parse(slice_of(value, letter == NULL ? len : len - 1), UINT32_MAX, n))
		return false;
	*n <<= shift;
	return true;
}

static bool set_limit(uint64_t *limit, enum unit unit, uint64_t least, uint64_t greatest,
		      const char *value, char why[WHY_ROOM])
{
	static const char *const what[] = {
		[UNIT_SIZE] = "size in octets, as 512, 64K, 16M or 1G",
		[UNIT_COUNT] = "number",
		[UNIT_TIME] = "number of seconds, as 300",
	};
	uint64_t n;
	bool ok = unit == UNIT_SIZE ? parse_size(value, &n)
				    : number_parse(slice_text(value), UINT32_MAX, &n);
	if (!ok)
		return option_wrong(why, "not a %s", what[unit]);
	if (n < least || n > greatest)
		return option_wrong(why, "not from %" PRIu64 " to %" PRIu64, least, greatest);
	*limit = n;
	return true;
}

#define X(member, option, unit, standard, least, greatest, why_text)                               \
	static bool set_limit_##member(struct config *c, const char *value, char why[WHY_ROOM])    \
	{                                                                                          \
		return set_limit(&c->limits.member, UNIT_##unit, least, greatest, value, why);     \
	}
LIMITS(X)
#undef X

/* ---- files and flags ------------------------------------------------------------------------- */

static bool set_config(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->config_file, value, why);
}

static bool set_token_file(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->token_file, value, why);
}

static bool set_tls_cert(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->tls_cert, value, why);
}

static bool set_tls_key(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->tls_key, value, why);
}

static bool set_tls_client_ca(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->tls_client_ca, value, why);
}

static bool set_tls_ca(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->tls_ca, value, why);
}

static bool set_tls_output_cert(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->tls_output_cert, value, why);
}

static bool set_tls_output_key(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->tls_output_key, value, why);
}

static bool set_ready_file(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->ready_file, value, why);
}

static bool set_spool(struct config *c, const char *value, char why[WHY_ROOM])
{
	return set_text(&c->spool, value, why);
}

static bool set_workers(struct config *c, const char *value, char why[WHY_ROOM])
{
	uint64_t n;
	if (!number_parse(slice_text(value), WORKERS_MOST, &n) || n == 0)
		return option_wrong(why, "not a number from 1 to %d", WORKERS_MOST);
	c->workers = (unsigned)n;
	return true;
}

static bool set_task(struct config *c, enum config_task task)
{
	/* --help beats --version beats --check-config, whatever their order. */
	const enum config_task rank[] = { TASK_RUN, TASK_CHECK, TASK_VERSION, TASK_HELP };
	for (size_t i = sizeof(rank) / sizeof(*rank); i-- > 0;) {
		if (rank[i] == c->task)
			break;
		if (rank[i] == task)
			c->task = task;
	}
	return true;
}

static bool set_check(struct config *c, const char *value, char why[WHY_ROOM])
{
	(void)value;
	(void)why;
	return set_task(c, TASK_CHECK);
}

static bool set_help(struct config *c, const char *value, char why[WHY_ROOM])
{
	(void)value;
	(void)why;
	return set_task(c, TASK_HELP);
}

static bool set_version(struct config *c, const char *value, char why[WHY_ROOM])
{
	(void)value;
	(void)why;
	return set_task(c, TASK_VERSION);
}

static bool set_read(struct config *c, const char *value, char why[WHY_ROOM])
{
	(void)value;
	(void)why;
	c->read = true;
	return true;
}

static bool set_packet_addresses(struct config *c, const char *value, char why[WHY_ROOM])
{
	(void)value;
	(void)why;
	c->packet_addresses = true;
	return true;
}

static bool set_verbose(struct config *c, const char *value, char why[WHY_ROOM])
{
	(void)value;
	(void)why;
	c->log_level = LOG_DEBUG;
	return true;
}

static bool set_quiet(struct config *c, const char *value, char why[WHY_ROOM])
{
	(void)value;
	(void)why;
	c->log_level = LOG_ERROR;
	return true;
}

/* ---- the table ------------------------------------------------------------------------------- */

const struct option_row option_rows[] = {
	{ .name = "listen",
	  .heading = "Payloads in, flows out",
	  .letter = 'l',
	  .form = OPTION_REPEAT,
	  .value = "ADDR:PORT",
	  .set = set_listen,
	  .clear = clear_listen,
	  .help = "take payloads there; default [::]:20555, which is every interface, IPv4 too; "
		  "port 0 picks a free one" },
	{ .name = "output",
	  .letter = 'o',
	  .form = OPTION_REPEAT,
	  .value = "FORMAT[:DEST]",
	  .set = set_output,
	  .clear = clear_output,
	  .help = "write flows as ftsq, csv, json, ipfix-csv or ipfix to DEST: - for standard "
		  "output, a file to append to, tcp://HOST:PORT, tls://HOST:PORT, or for ipfix "
		  "udp://HOST:PORT; default ftsq:-" },
	{ .name = "exporter",
	  .letter = 'x',
	  .form = OPTION_VALUE,
	  .value = "ADDR",
	  .set = set_exporter,
	  .help = "exporter address in ftsq, ipfix-csv and ipfix; default 127.0.0.1" },
	{ .name = "domain",
	  .letter = 'd',
	  .form = OPTION_VALUE,
	  .value = "N",
	  .set = set_domain,
	  .help = "IPFIX observation domain, never 0; default 1; text formats do not show it" },
	{ .name = "packet-addresses",
	  .form = OPTION_FLAG,
	  .set = set_packet_addresses,
	  .help = "ipfix: pkt-srcaddr and pkt-dstaddr are the flow's addresses; what the interface "
		  "saw is given as translated addresses where it differs" },
	{ .name = "aws-elements",
	  .form = OPTION_VALUE,
	  .value = "PEN",
	  .set = set_aws_elements,
	  .help = "ipfix: all other AWS fields too, as elements of this private enterprise "
		  "number" },
	{ .name = "flow-format",
	  .letter = 'f',
	  .form = OPTION_VALUE,
	  .value = "FORMAT",
	  .set = set_flow_format,
	  .help = "columns of the records: LogFormat as AWS shows it, '${version} ${srcaddr} "
		  "...' in single quotes, or the words default (version 2) and tgw (Transit "
		  "Gateway)" },
	{ .name = "fields",
	  .form = OPTION_VALUE,
	  .value = "LIST",
	  .set = set_fields,
	  .help = "columns of csv and json, AWS's field names; default: those of the flow "
		  "format" },
	{ .name = "filter",
	  .form = OPTION_VALUE,
	  .value = "EXPR",
	  .set = set_filter,
	  .show = show_filter,
	  .help = "keep only flows of which this is true, as 'action = REJECT and dstport in "
		  "22,3389 and not srcaddr in 10.0.0.0/8'" },
	{ .name = "aggregate",
	  .heading = "Sums",
	  .form = OPTION_VALUE,
	  .value = "KEYS",
	  .line_only = true,
	  .set = set_aggregate,
	  .help = "with --read: instead of flows write their sums, one for each combination of these "
		  "AWS fields, with packets, bytes, flows, first start and last end; 5-tuple is "
		  "srcaddr,dstaddr,srcport,dstport,protocol; --output is csv then, unless given" },
	{ .name = "top",
	  .form = OPTION_VALUE,
	  .value = "N",
	  .line_only = true,
	  .set = set_top,
	  .help = "only the N largest sums; default all, the largest first" },
	{ .name = "by",
	  .form = OPTION_VALUE,
	  .value = "bytes|packets|flows",
	  .line_only = true,
	  .set = set_by,
	  .help = "large is what has many bytes, packets or flows; default bytes" },
	{ .name = "config",
	  .heading = "How it runs",
	  .letter = 'c',
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .line_only = true,
	  .set = set_config,
	  .help = "JSON with these options by their long names, and \"sources\"; the command "
		  "line wins" },
	{ .name = "read",
	  .form = OPTION_FLAG,
	  .line_only = true,
	  .set = set_read,
	  .help = "convert FILEs instead of listening (- is standard input), then exit" },
	{ .name = "workers",
	  .letter = 'w',
	  .form = OPTION_VALUE,
	  .value = "N",
	  .set = set_workers,
	  .help = "convert with N threads side by side, each with sessions of its own to collectors; "
		  "default 1" },
	{ .name = "spool",
	  .form = OPTION_VALUE,
	  .value = "DIR",
	  .set = set_spool,
	  .help = "acknowledge a payload once it is safe on disk there, and deliver from there while "
		  "outputs are slow or down" },
	{ .name = "allow",
	  .heading = "Who may push",
	  .form = OPTION_REPEAT,
	  .value = "CIDR",
	  .set = set_allow,
	  .clear = clear_allow,
	  .help = "accept connections from this address block only" },
	{ .name = "token-file",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_token_file,
	  .help = "peers must begin with AUTH and one of these tokens, a token a line" },
	{ .name = "tls-cert",
	  .heading = "TLS",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_tls_cert,
	  .help = "peers speak TLS, and are shown this certificate (PEM, with its chain)" },
	{ .name = "tls-key",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_tls_key,
	  .help = "the private key of --tls-cert (PEM)" },
	{ .name = "tls-client-ca",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_tls_client_ca,
	  .help = "peers must show a certificate of one of these authorities (PEM)" },
	{ .name = "tls-ca",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_tls_ca,
	  .help = "authorities that vouch for the collectors of tls:// outputs (PEM); default: "
		  "those that the system trusts" },
	{ .name = "tls-output-cert",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_tls_output_cert,
	  .help = "certificate to show to the collectors of tls:// outputs (PEM, with its chain)" },
	{ .name = "tls-output-key",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_tls_output_key,
	  .help = "the private key of --tls-output-cert (PEM)" },
	{ .name = "http",
	  .heading = "What it says",
	  .form = OPTION_VALUE,
	  .value = "[ADDR:]PORT",
	  .set = set_http,
	  .help = "answer there over HTTP, without ADDR to this machine alone: / is a live page, "
		  "/metrics is for Prometheus, /healthz for load balancers" },
	{ .name = "ready-file",
	  .form = OPTION_VALUE,
	  .value = "FILE",
	  .set = set_ready_file,
	  .help = "write the bound addresses there, one a line, that of --http last and behind the word "
		  "http, once everything is up; what an earlier run left is removed at the start" },
	{ .name = "check-config",
	  .form = OPTION_FLAG,
	  .line_only = true,
	  .set = set_check,
	  .help = "say what would run, then exit; nothing is listened to, connected to or written" },
#define X(member, option, unit, standard, least, greatest, why)                                    \
	{ .name = (option),                                                                        \
	  .form = OPTION_VALUE,                                                                    \
	  .value = #unit,                                                                          \
	  .set = set_limit_##member,                                                               \
	  .help = (why) },
	LIMITS(X)
#undef X
		{ .name = "verbose",
		  .letter = 'v',
		  .form = OPTION_FLAG,
		  .set = set_verbose,
		  .help = "log every connection and payload" },
	{ .name = "quiet",
	  .letter = 'q',
	  .form = OPTION_FLAG,
	  .set = set_quiet,
	  .help = "log errors only" },
	{ .name = "version",
	  .letter = 'V',
	  .form = OPTION_FLAG,
	  .line_only = true,
	  .set = set_version,
	  .help = "print the version" },
	{ .name = "help",
	  .letter = 'h',
	  .form = OPTION_FLAG,
	  .line_only = true,
	  .set = set_help,
	  .help = "print this" },
};

const size_t option_count = sizeof(option_rows) / sizeof(*option_rows);

const struct option_row *option_by_name(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (strcmp(option_rows[i].name, name) == 0)
			return &option_rows[i];
	return NULL;
}
