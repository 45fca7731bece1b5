/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_output.h"

struct fake_output fake_output;

static struct output *const it = (struct output *)&fake_output;

static void tell(void)
{
	if (fake_output.on_progress != NULL)
		fake_output.on_progress(fake_output.data);
}

void fake_output_room(uint64_t flows)
{
	fake_output.room = flows;
	tell();
}

void fake_output_deliver(uint64_t flows)
{
	uint64_t most = fake_output.taken - fake_output.delivered;
	fake_output.delivered += flows < most ? flows : most;
	tell();
}

/* ---- in place of deliver/output.c ------------------------------------------------------------ */

int output_open(struct output **o, const struct output_config *config, const struct output *beside,
		uv_loop_t *loop, output_progress_cb on_progress, void *data)
{
	(void)config;
	(void)beside;
	(void)loop;
	fake_output.taken = fake_output.delivered = 0;
	fake_output.on_progress = on_progress;
	fake_output.data = data;
	*o = it;
	return 0;
}

bool output_was_up(const struct output *o)
{
	return o == it;
}

bool output_is_up(const struct output *o)
{
	return o == it;
}

bool output_begin(struct output *o, const struct format *columns)
{
	(void)columns;
	return o == it;
}

bool output_prepare(struct output *o, const struct flow *flow)
{
	(void)flow;
	return o == it;
}

void output_flow(struct output *o, const struct flow *flow)
{
	(void)o;
	fake_output.taken++;
	fake_output.room -= fake_output.room < UINT64_MAX;
	if (fake_output.on_flow != NULL)
		fake_output.on_flow(flow);
}

void output_skipped(struct output *o, const struct flow *flow)
{
	(void)o;
	(void)flow;
}

void output_flush(struct output *o)
{
	(void)o;
}

void output_last_call(struct output *o)
{
	(void)o;
}

bool output_full(const struct output *o)
{
	(void)o;
	return fake_output.room == 0;
}

bool output_idle(const struct output *o)
{
	(void)o;
	return fake_output.delivered == fake_output.taken;
}

uint64_t output_taken(const struct output *o)
{
	(void)o;
	return fake_output.taken;
}

uint64_t output_delivered_flows(const struct output *o)
{
	(void)o;
	return fake_output.delivered;
}

int output_error(const struct output *o)
{
	(void)o;
	return 0;
}

unsigned output_hides(const struct output *o, const struct format *format)
{
	(void)o;
	(void)format;
	return 0;
}

const char *output_name(const struct output *o)
{
	(void)o;
	return "fake";
}

void output_reopen(struct output *o, unsigned hup)
{
	(void)o;
	(void)hup;
}

void output_count(const struct output *o, struct output_counters *sum)
{
	(void)o;
	(void)sum;
}

void output_counters_add(struct output_counters *sum, const struct output_counters *more)
{
	(void)sum;
	(void)more;
}

void output_counters_subtract(struct output_counters *c, const struct output_counters *before)
{
	(void)c;
	(void)before;
}

void output_counters_print(const struct output_counters *c, const struct output_config *config,
			   unsigned number, FILE *out)
{
	(void)c;
	(void)config;
	(void)number;
	(void)out;
}

void output_set_tls(struct output *o, struct tls_context *tls)
{
	(void)o;
	tls_context_free(&tls);
}

void output_close(struct output **o, bool abort)
{
	(void)abort;
	fake_output.on_progress = NULL;
	*o = NULL;
}
