/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters to Prometheus's text format, out of the tables that USR1 prints from. Every reason is
 * there from the start with 0, so that the first of a kind is seen as an increase. Names follow
 * prometheus.io/docs/practices/naming: base units, _total for what only grows. The labels' values
 * that come from the configuration are kept to printable ASCII.
 */
#include "watch/metrics.h"

#include <inttypes.h>

#include "watch/process.h"
#include "watch/text.h"

/* ---- families -------------------------------------------------------------------------------- */

static void begin_family(struct text *t, const char *prefix, const char *name, const char *type,
			 const char *help)
{
	text_add(t, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name, type);
}

static const char *type_name(enum counter_type type)
{
	return type == GAUGE ? "gauge" : "counter";
}

static void add_gauge(struct text *t, const char *name, const char *help, uint64_t n)
{
	begin_family(t, "vpcflowd_", name, "gauge", help);
	text_add(t, "vpcflowd_%s %" PRIu64 "\n", name, n);
}

/* A label's value: \ and " as the format wants them, what is not printable as \xNN. */
static void add_value(struct text *t, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			text_add(t, "\\%c", *value);
		else if (*value >= ' ' && *value <= '~')
			text_add(t, "%c", *value);
		else
			text_add(t, "\\\\x%02x", (unsigned char)*value);
	}
}

/* ---- what the workers count ------------------------------------------------------------------ */

static void add_row(struct text *t, const struct counter_row *row, uint64_t n)
{
	bool labelled = *row->label != '\0';
	text_add(t, "vpcflowd_%s%s%s%s %" PRIu64 "\n", row->metric, labelled ? "{" : "", row->label,
		 labelled ? "}" : "", n);
}

/* The counters by reason that a sum is of: those of records, or of payloads. */
static void add_faults(struct text *t, const struct counter_row *row, const struct stats *s)
{
	bool records = row->offset == offsetof(struct stats, rejected);
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (fault_is_record(i) == records)
			text_add(t, "vpcflowd_%s{reason=\"%s\"} %" PRIu64 "\n", row->metric,
				 fault_name(i), s->fault[i]);
}

static void add_stats(struct text *t, const struct stats *s)
{
	const char *family = "";
	for (size_t i = 0; i < stats_row_count; i++) {
		const struct counter_row *row = &stats_rows[i];
		if (strcmp(row->metric, family) != 0)
			begin_family(t, "vpcflowd_", row->metric, type_name(row->type), row->help);
		family = row->metric;
		if (row->type == SUM)
			add_faults(t, row, s);
		else
			add_row(t, row, counter_of(s, row));
	}
}

static void add_closed(struct text *t, const struct stats *s)
{
	begin_family(t, "vpcflowd_", "connections_closed_total", "counter",
		     "connections that have ended, by reason");
	for (unsigned i = 0; i < CLOSE_COUNT; i++)
		text_add(t, "vpcflowd_connections_closed_total{reason=\"%s\"} %" PRIu64 "\n",
			 close_reason_name(i), s->closed[i]);
}

static void add_latency(struct text *t, const struct latency *l)
{
	uint64_t count = 0;
	begin_family(t, "vpcflowd_", "ack_seconds", "histogram",
		     "time from the last octet of a PUT to its ACK being sent");
	for (unsigned i = 0; i <= LATENCY_BOUNDS; i++) {
		count += l->bucket[i];
		text_add(t, "vpcflowd_ack_seconds_bucket{le=\"%s\"} %" PRIu64 "\n",
			 latency_bound(i), count);
	}
	text_add(t, "vpcflowd_ack_seconds_sum %" PRIu64 ".%09" PRIu64 "\n", l->sum_ns / 1000000000,
		 l->sum_ns % 1000000000);
	text_add(t, "vpcflowd_ack_seconds_count %" PRIu64 "\n", count);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void add_output(struct text *t, const char *metric, const struct published *p, size_t number,
		       uint64_t n)
{
	const struct output_config *o = &p->first->output[number];
	const char *colon = strchr(o->name, ':');
	text_add(t, "vpcflowd_output_%s{output=\"%zu\",format=\"%s\",destination=\"", metric,
		 number, o->encoder.class->name);
	add_value(t, colon == NULL ? "-" : colon + 1);
	text_add(t, "\"} %" PRIu64 "\n", n);
}

static void add_output_row(struct text *t, const struct published *p, size_t row_number)
{
	const struct counter_row *row = &output_rows[row_number];
	bool begun = false;
	for (size_t i = 0; i < p->first->outputs; i++) {
		if (!output_counts(&p->first->output[i], row_number))
			continue;
		if (!begun)
			begin_family(t, "vpcflowd_output_", row->metric, type_name(row->type),
				     row->help);
		begun = true;
		add_output(t, row->metric, p, i, counter_of(&p->counts.output[i], row));
	}
}

static void add_outputs(struct text *t, const struct published *p)
{
	begin_family(t, "vpcflowd_output_", "up", "gauge",
		     "whether every worker has a session, or the file is open");
	for (size_t i = 0; i < p->first->outputs; i++)
		add_output(t, "up", p, i, p->output[i].up);
	for (size_t i = 0; i < output_row_count; i++)
		add_output_row(t, p, i);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void add_spool(struct text *t, const struct published *p)
{
	if (p->first->spool == NULL)
		return;
	add_gauge(t, "spool_limit_bytes", "octets that the spool may have, --spool-max",
		  p->config->limits.spool_max);
	add_gauge(t, "spool_full", "whether the spool has no room for another payload",
		  p->spool_full);
}

static void add_certificates(struct text *t, const struct config *c)
{
	const struct {
		const char *option;
		const struct tls_context *tls;
	} rows[] = {
		{ "tls-cert", c->tls_listener },
		{ "tls-output-cert", c->tls_output },
	};
	bool begun = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t expiry = rows[i].tls == NULL ? 0 : tls_context_expiry(rows[i].tls);
		if (expiry == 0)
			continue;
		if (!begun)
			begin_family(t, "vpcflowd_", "certificate_expiry_timestamp_seconds",
				     "gauge", "when a certificate of ours ends to be valid");
		begun = true;
		text_add(t,
			 "vpcflowd_certificate_expiry_timestamp_seconds{option=\"%s\"} %" PRId64
			 "\n",
			 rows[i].option, expiry);
	}
}

static void add_seconds(struct text *t, const char *name, const char *type, const char *help,
			uint64_t ms)
{
	begin_family(t, "", name, type, help);
	text_add(t, "%s %" PRIu64 ".%03" PRIu64 "\n", name, ms / 1000, ms % 1000);
}

static void add_process(struct text *t, uint64_t started)
{
	struct process now;
	process_look(&now);
	const struct {
		const char *name;
		const char *help;
		uint64_t n;
	} gauges[] = {
		{ "process_resident_memory_bytes", "memory that is in use", now.resident },
		{ "process_virtual_memory_bytes", "address space", now.virtual },
		{ "process_open_fds", "open descriptors", now.open_fds },
		{ "process_max_fds", "descriptors that may be open", now.max_fds },
		{ "process_threads", "threads", now.threads },
	};
	add_seconds(t, "process_start_time_seconds", "gauge", "when it was started, as Unix time",
		    started);
	add_seconds(t, "process_cpu_seconds_total", "counter",
		    "processor time of all threads, in user space and in the kernel",
		    now.cpu_us / 1000);
	for (size_t i = 0; i < sizeof(gauges) / sizeof(*gauges); i++) {
		begin_family(t, "", gauges[i].name, "gauge", gauges[i].help);
		text_add(t, "%s %" PRIu64 "\n", gauges[i].name, gauges[i].n);
	}
}

static void add_build(struct text *t)
{
	begin_family(t, "vpcflowd_", "build_info", "gauge", "1, with what runs");
	text_add(t, "vpcflowd_build_info{version=\"" VPCFLOWD_VERSION "\"} 1\n");
}

unsigned metrics_make(struct buf *body, const struct published *p)
{
	struct text t = { .buf = body };
	add_build(&t);
	add_gauge(&t, "workers", "threads that receive and convert, --workers", p->workers);
	add_seconds(&t, "vpcflowd_counted_timestamp_seconds", "gauge",
		    "when all workers last said what they have counted, as Unix time", p->time);
	add_stats(&t, &p->counts.stats);
	add_closed(&t, &p->counts.stats);
	add_latency(&t, &p->counts.stats.ack);
	add_outputs(&t, p);
	add_spool(&t, p);
	add_certificates(&t, p->config);
	add_process(&t, p->started);
	return t.failed ? 0 : 200;
}
