/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line and configuration file to one checked struct config: the file first, then the
 * command line over it, then what depends on both.
 */
#include "config.h"

#include <getopt.h>
#include <stdlib.h>

#include "config_file.h"
#include "config_sums.h"
#include "encode/announce.h"
#include "options.h"

enum { OPTION_MOST = 64, FIRST_LONG = 256, MESSAGE_MOST = UINT16_MAX };

static void config_free(struct config *c)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].clear != NULL)
			option_rows[i].clear(c);
	free(c->config_file);
	free(c->ready_file);
	free(c->spool);
	free(c->http.text);
	free(c->token_file);
	free(c->fields);
	free(c->tls_cert);
	free(c->tls_key);
	free(c->tls_client_ca);
	free(c->tls_ca);
	free(c->tls_output_cert);
	free(c->tls_output_key);
	tls_context_free(&c->tls_listener);
	tls_context_free(&c->tls_output);
	sources_deinit(&c->sources);
	filter_free(&c->filter);
	wanted_deinit(&c->sums);
	tokens_deinit(&c->tokens);
	free(c);
}

const struct config *config_reference(const struct config *config)
{
	struct config *c = (struct config *)(uintptr_t)config;
	atomic_fetch_add(&c->references, 1);
	return config;
}

void config_release(const struct config *config)
{
	struct config *c = (struct config *)(uintptr_t)config;
	if (c != NULL && atomic_fetch_sub(&c->references, 1) == 1)
		config_free(c);
}

/* ---- the command line ------------------------------------------------------------------------ */

struct line {
	struct option longs[OPTION_MOST + 1];
	char letters[2 * OPTION_MOST + 3];
};

static void make_line(struct line *l)
{
	char *to = l->letters;
	*to++ = ':';
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];
		bool value = row->form != OPTION_FLAG;
		l->longs[i] = (struct option){
			.name = row->name,
			.has_arg = value ? required_argument : no_argument,
			.val = FIRST_LONG + (int)i,
		};
		if (row->letter != 0)
			*to++ = row->letter;
		if (row->letter != 0 && value)
			*to++ = ':';
	}
	l->longs[option_count] = (struct option){ .name = NULL };
	*to = '\0';
}

static const struct option_row *row_of(int code)
{
	if (code >= FIRST_LONG)
		return &option_rows[code - FIRST_LONG];
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].letter == code)
			return &option_rows[i];
	return NULL;
}

static bool usage(const char *what, const char *option)
{
	char text[LOG_ESCAPED];
	log_error("config", "%s option=\"%s\"; try --help", what,
		  log_escape(slice_text(option), text));
	return false;
}

static bool set_option(struct config *c, const struct option_row *row, const char *value)
{
	char why[WHY_ROOM] = "";
	char text[LOG_ESCAPED];
	if (row->set(c, value, why))
		return true;
	log_error("config", "bad value: %s option=\"--%s %s\"", why, row->name,
		  log_escape(slice_text(value), text));
	if (row->show != NULL)
		row->show(value);
	return false;
}

/* What --read does not use. In a file it may be there for those who listen. */
static void tell_unused(const bool *given)
{
	static const char *const listening[] = { "listen",   "allow", "token-file", "ready-file",
						 "tls-cert", "spool", "http" };
	for (size_t i = 0; i < sizeof(listening) / sizeof(*listening); i++)
		if (given[option_by_name(listening[i]) - option_rows])
			log_warn("config", "--%s is for listening, and --read does not use it",
				 listening[i]);
}

/* Goes over argv; only_config: look for --config and for what makes it needless, no more. */
static bool read_line(struct config *c, int argc, char **argv, bool only_config)
{
	struct line l = { .letters = "" };
	bool cleared[OPTION_MOST] = { false };
	int code;
	make_line(&l);
	optind = 0;
	opterr = 0;
	while ((code = getopt_long(argc, argv, l.letters, l.longs, NULL)) != -1) {
		if (code == '?')
			return usage(optopt >= FIRST_LONG ? "option takes no value"
							  : "no such option",
				     argv[optind - 1]);
		if (code == ':')
			return usage("option needs a value", argv[optind - 1]);
		const struct option_row *row = row_of(code);
		size_t at = (size_t)(row - option_rows);
		bool early = row == option_by_name("config") || row == option_by_name("help") ||
			     row == option_by_name("version");
		if (only_config && !early)
			continue;
		if (row->clear != NULL && !cleared[at])
			row->clear(c);
		cleared[at] = true;
		if (!set_option(c, row, optarg))
			return false;
	}
	c->file = argv + optind;
	c->files = (size_t)(argc - optind);
	if (!only_config && c->read)
		tell_unused(cleared);
	return true;
}

/* ---- what depends on all of it --------------------------------------------------------------- */

static bool set_standard(struct config *c)
{
	if (c->listens == 0) {
		if (!set_option(c, option_by_name("listen"), "[::]:20555"))
			return false;
		c->listen[0].standard = true;
	}
	const char *output = c->sums.format == NULL ? "ftsq" : "csv";
	if (c->outputs == 0 && !set_option(c, option_by_name("output"), output))
		return false;
	return c->sources.format != NULL || set_option(c, option_by_name("flow-format"), "default");
}

static void add_columns(struct format *all, const struct format *more)
{
	for (unsigned i = 0; i < more->count && all->count < COLUMN_LIMIT; i++) {
		enum field field = more->column[i].field;
		if (field == FIELD_UNKNOWN || all->place[field] >= 0)
			continue;
		all->place[field] = (int16_t)all->count;
		all->column[all->count++] = more->column[i];
	}
}

/* The flow format's columns, then those that other sources have beside them. */
static void choose_columns(struct config *c)
{
	c->columns = *c->sources.format;
	for (size_t i = 0; i < c->sources.count; i++)
		if (c->sources.rules[i].format != NULL)
			add_columns(&c->columns, c->sources.rules[i].format);
}

/* What one worker's session of a udp output may send of --udp-rate. */
static uint64_t udp_share(const struct config *c)
{
	uint64_t share = c->limits.udp_rate / c->workers;
	return share == 0 ? 1 : share;
}

/* What holds for all outputs, put where each finds it. */
static void settle_outputs(struct config *c)
{
	bool fields_used = c->fields == NULL;
	bool ipfix = false;
	for (size_t i = 0; i < c->outputs; i++) {
		struct output_config *o = &c->output[i];
		struct encoder_settings *e = &o->encoder;
		bool udp = o->destination.kind == DESTINATION_UDP;
		e->columns = c->fields;
		e->packet_addresses = c->packet_addresses;
		e->aws_elements = e->class->messages ? c->aws_elements : 0;
		e->message_size = udp ? c->limits.mtu : MESSAGE_MOST;
		e->datagrams = udp;
		e->refresh_ms = c->limits.template_refresh * 1000;
		e->refresh_messages = c->limits.template_messages;
		o->wait_for_space = !c->read;
		o->patient = !c->read && c->spool != NULL;
		o->mend_lines = o->patient;
		o->udp_rate = c->limits.udp_rate == 0 ? 0 : udp_share(c);
		o->reconnect_max_ms = c->limits.reconnect_max * 1000;
		ipfix = ipfix || e->class->messages;
		fields_used = fields_used || e->class->takes_columns || e->aws_elements != 0;
	}
	if (!fields_used)
		log_warn("config", "--fields is for csv and json, and no output is one of them");
	if (c->aws_elements != 0 && !ipfix)
		log_warn("config", "--aws-elements is for ipfix, and no output is that");
}

/* A template has to fit a message: with all of AWS's elements it is large. */
static bool check_mtu(const struct config *c)
{
	for (size_t i = 0; i < c->outputs; i++) {
		size_t least = announce_least_message(&c->output[i].encoder, format_every_field());
		if (c->output[i].encoder.datagrams && c->limits.mtu < least) {
			log_error("config",
				  "too small for the templates of --aws-elements option=\"--mtu "
				  "%llu\" least=%zu",
				  (unsigned long long)c->limits.mtu, least);
			return false;
		}
	}
	return true;
}

/*
 * A field that no flow format has is never there, so that nothing might come out. Header lines may
 * bring it, which files have and peers may have: no more than a warning.
 */
static void check_filter(const struct config *c)
{
	if (c->filter == NULL || (c->read && !c->columns_known))
		return;
	for (unsigned f = 0; f < FIELD_COUNT; f++)
		if (filter_asks(c->filter, f) && c->columns.place[f] < 0)
			log_warn("config",
				 "--filter asks for a field that no flow format has: it counts as "
				 "not there, unless records name their fields field=%s",
				 field_name(f).data);
}

/* What several workers cannot do together. */
static bool check_workers(const struct config *c)
{
	unsigned standard_input = 0;
	if (c->workers == 1)
		return true;
	for (size_t i = 0; i < c->outputs; i++) {
		const struct output_config *o = &c->output[i];
		if (o->encoder.class->messages && !destination_is_network(&o->destination)) {
			log_error("config",
				  "IPFIX in a file or on standard output is one session, which "
				  "several workers cannot share; give it a collector, or leave "
				  "--workers at 1 option=\"--output %s\"",
				  o->name);
			return false;
		}
	}
	if (c->limits.connections < c->workers) {
		log_error("config", "fewer than --workers option=\"--max-connections %llu\"",
			  (unsigned long long)c->limits.connections);
		return false;
	}
	for (size_t i = 0; i < c->files; i++)
		standard_input += strcmp(c->file[i], "-") == 0;
	return standard_input <= 1 || usage("standard input more than once", "--read");
}

static bool load_tokens(struct config *c)
{
	const char *why;
	if (c->token_file == NULL || tokens_load(&c->tokens, c->token_file, &why))
		return true;
	log_error("config", "cannot use tokens: %s option=\"--token-file %s\"", why, c->token_file);
	return false;
}

/* The options that name the files of one side, by enum tls_file. */
struct tls_options {
	const char *name[TLS_CA + 1];
};

static bool load_tls(struct tls_context **context, enum tls_role role,
		     const struct tls_files *files, const struct tls_options *options)
{
	struct tls_mistake mistake;
	const char *const path[] = {
		[TLS_CERT] = files->cert,
		[TLS_KEY] = files->key,
		[TLS_CA] = files->ca,
	};
	if ((files->cert == NULL) != (files->key == NULL)) {
		enum tls_file given = files->cert != NULL ? TLS_CERT : TLS_KEY;
		log_error("config", "of no use without %s option=\"%s %s\"",
			  options->name[given == TLS_CERT ? TLS_KEY : TLS_CERT],
			  options->name[given], path[given]);
		return false;
	}
	if (tls_context_load(context, role, files, &mistake))
		return true;
	log_error("config", "cannot use for TLS: %s option=\"%s %s\"", mistake.why,
		  options->name[mistake.file],
		  path[mistake.file] == NULL ? "" : path[mistake.file]);
	return false;
}

static bool load_tls_listener(struct config *c)
{
	static const struct tls_options options = { { "--tls-cert", "--tls-key",
						      "--tls-client-ca" } };
	const struct tls_files files = { c->tls_cert, c->tls_key, c->tls_client_ca };
	if (files.cert != NULL || files.key != NULL)
		return load_tls(&c->tls_listener, TLS_LISTENER, &files, &options);
	if (files.ca == NULL)
		return true;
	log_error("config", "of no use without --tls-cert option=\"--tls-client-ca %s\"", files.ca);
	return false;
}

static bool load_tls_output(struct config *c)
{
	static const struct tls_options options = { { "--tls-output-cert", "--tls-output-key",
						      "--tls-ca" } };
	const struct tls_files files = { c->tls_output_cert, c->tls_output_key, c->tls_ca };
	bool used = false;
	for (size_t i = 0; i < c->outputs; i++)
		used = used || c->output[i].destination.kind == DESTINATION_TLS;
	if (used)
		return load_tls(&c->tls_output, TLS_CLIENT, &files, &options);
	if (files.cert != NULL || files.key != NULL || files.ca != NULL)
		log_warn("config", "%s is for tls:// outputs, and there is none",
			 options.name[files.ca != NULL	   ? TLS_CA
				      : files.cert != NULL ? TLS_CERT
							   : TLS_KEY]);
	return true;
}

static bool check_files(const struct config *c)
{
	if (c->read && c->files == 0)
		return usage("no file to read", "--read");
	if (!c->read && c->files > 0)
		return usage("to convert a file put --read before it", c->file[0]);
	return true;
}

static bool load(struct config *c, int argc, char **argv)
{
	if (!read_line(c, argc, argv, true))
		return false;
	if (c->task == TASK_HELP || c->task == TASK_VERSION)
		return true;
	if (c->config_file != NULL && !config_file_load(c, c->config_file))
		return false;
	if (!read_line(c, argc, argv, false))
		return false;
	c->columns_known = c->sources.format != NULL;
	for (size_t i = 0; i < c->sources.count; i++)
		c->columns_known = c->columns_known || c->sources.rules[i].format != NULL;
	if (!check_files(c) || !set_standard(c) || !load_tokens(c) || !load_tls_listener(c) ||
	    !load_tls_output(c))
		return false;
	choose_columns(c);
	settle_outputs(c);
	check_filter(c);
	return config_settle_sums(c) && check_mtu(c) && check_workers(c);
}

bool config_load(struct config **config, int argc, char **argv)
{
	struct config *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		log_error("config", "out of memory");
		return false;
	}
	atomic_init(&c->references, 1);
	c->log_level = LOG_INFO;
	c->workers = 1;
	c->limits = limits_standard();
	c->sources.standard.domain = 1;
	bool ok = source_set_exporter(&c->sources.standard, SLICE_LITERAL("127.0.0.1")) &&
		  load(c, argc, argv);
	if (!ok) {
		config_release(c);
		return false;
	}
	*config = c;
	return true;
}

/* ---- --check-config -------------------------------------------------------------------------- */

static void describe_format(const char *what, const struct format *f, FILE *out)
{
	fprintf(out, "%s ", what);
	for (unsigned i = 0; i < f->count; i++) {
		struct slice name = format_column_name(f, i);
		fprintf(out, "%s%.*s", i == 0 ? "" : ",", (int)name.len, name.data);
	}
	fputc('\n', out);
}

static void describe_sums(const struct sums_wanted *w, FILE *out)
{
	describe_format("aggregate", w->format, out);
	fprintf(out, "by %s\n", wanted_order(w));
	if (w->top != 0)
		fprintf(out, "top %llu\n", (unsigned long long)w->top);
}

static void describe_rule(const struct source_rule *r, FILE *out)
{
	fputs("source", out);
	const struct {
		const char *name;
		const char *pattern;
	} patterns[] = {
		{ "log-group", r->group },
		{ "account", r->account },
		{ "vpc", r->vpc },
		{ "interface", r->interface },
	};
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		if (patterns[i].pattern != NULL)
			fprintf(out, " %s=%s", patterns[i].name, patterns[i].pattern);
	if (r->has_exporter)
		fprintf(out, " exporter=%s", r->source.exporter);
	if (r->has_domain)
		fprintf(out, " domain=%u", r->source.domain);
	if (r->format != NULL)
		describe_format(" flow-format", r->format, out);
	else
		fputc('\n', out);
}

static void describe_output(const struct output_config *o, FILE *out)
{
	const char *colon = strchr(o->name, ':');
	fprintf(out, "output %s %s\n", o->encoder.class->name, colon == NULL ? "-" : colon + 1);
}

/* The files that are named, and the spool. */
static void describe_paths(const struct config *c, FILE *out)
{
	const struct {
		const char *option;
		const char *path;
		bool used;
	} rows[] = {
		{ "config", c->config_file, true },
		{ "spool", c->spool, !c->read },
		{ "ready-file", c->ready_file, !c->read },
		{ "token-file", c->token_file, !c->read },
		{ "tls-cert", c->tls_cert, !c->read },
		{ "tls-key", c->tls_key, !c->read },
		{ "tls-client-ca", c->tls_client_ca, !c->read },
		{ "tls-ca", c->tls_ca == NULL ? "of the system" : c->tls_ca,
		  c->tls_output != NULL },
		{ "tls-output-cert", c->tls_output_cert, c->tls_output != NULL },
		{ "tls-output-key", c->tls_output_key, c->tls_output != NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].used && rows[i].path != NULL)
			fprintf(out, "%s %s\n", rows[i].option, rows[i].path);
}

static void describe_http(const struct config *c, FILE *out)
{
	const struct listen_address *a = &c->http;
	bool v6 = strchr(a->host, ':') != NULL;
	if (a->text != NULL && !c->read)
		fprintf(out, v6 ? "http [%s]:%u\n" : "http %s:%u\n", a->host, a->port);
}

void config_describe(const struct config *c, FILE *out)
{
	for (size_t i = 0; i < c->files; i++)
		fprintf(out, "read %s\n", c->file[i]);
	for (size_t i = 0; i < c->listens && !c->read; i++)
		fprintf(out, "listen %s\n", c->listen[i].text);
	describe_http(c, out);
	for (size_t i = 0; i < c->outputs; i++)
		describe_output(&c->output[i], out);
	fprintf(out, "exporter %s\ndomain %u\n", c->sources.standard.exporter,
		c->sources.standard.domain);
	describe_format("flow-format", c->sources.format, out);
	describe_format("fields", c->fields == NULL ? &c->columns : c->fields, out);
	for (size_t i = 0; i < c->sources.count; i++)
		describe_rule(&c->sources.rules[i], out);
	if (c->aws_elements != 0)
		fprintf(out, "aws-elements %u\n", c->aws_elements);
	fprintf(out, "workers %u\n", c->workers);
	if (c->filter != NULL)
		fprintf(out, "filter %.*s\n", (int)filter_text(c->filter).len,
			filter_text(c->filter).data);
	if (c->packet_addresses)
		fputs("packet-addresses\n", out);
	if (c->sums.format != NULL)
		describe_sums(&c->sums, out);
	fprintf(out, "allow %zu address blocks\n", c->allows);
	fprintf(out, "tokens %zu\n", c->tokens.count);
	describe_paths(c, out);
#define X(member, option, unit, standard, least, greatest, why)                                    \
	fprintf(out, option " %llu\n", (unsigned long long)c->limits.member);
	LIMITS(X)
#undef X
}
