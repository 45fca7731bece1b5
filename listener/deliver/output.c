/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows in, blocks out to whoever carries them, and the count of what has arrived.
 *
 *   output_flow ─▶ open (one a lane) ─▶ ready ─▶ output_pull … output_delivered ─▶ spare
 *                                         ▲            │ output_return: the session broke
 *                                         └────────────┘
 *
 * A transport pulls when it can carry more, so while it cannot, what is flushed goes on being filled.
 * The marks bound what waits in memory: at HIGH the worker stops converting, which stops reading from
 * peers; at LOW it goes on.
 */
#include "deliver/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "deliver/columns.h"
#include "deliver/transport.h"

enum {
	HIGH_MARK = 4 * 1024 * 1024,
	LOW_MARK = 1024 * 1024,
	SPARE_OCTETS = 1024 * 1024,
	SPARE_BUFFERS = 64,
	OPEN_BLOCKS = 64, /* lanes that are filled at a time */
	TICK_MS = 1000,	  /* what waits for its time is looked at so often */
};

TAILQ_HEAD(ages, block);

struct output {
	const struct output_config *config;
	struct encoder encoder;
	struct transport *transport;
	struct tls_context *tls; /* of the next session; NULL when it is not over TLS */
	struct columns *columns; /* of a header or of templates, for all workers */
	uv_timer_t tick;

	struct blocks open; /* being filled, oldest first */
	unsigned opens;
	struct block *next; /* to be opened, so that a flow that was prepared for has a place */
	unsigned lane;	    /* of that flow */
	bool flushing;	    /* open blocks may be pulled, though not full */
	struct blocks ready;
	size_t ready_octets;
	char *spare[SPARE_BUFFERS]; /* of encoder_batch_size */
	unsigned spares;
	struct ages undelivered; /* open, ready or carried, oldest first */
	size_t carried;		 /* blocks pulled, and not delivered or returned */

	bool begun;
	bool up;
	bool full;
	int error;
	size_t waiting; /* octets in memory of undelivered flows */
	uint64_t taken;
	uint64_t bytes;
	uint64_t bytes_delivered;
	uint64_t no_address;
	uint64_t sessions;
	uint64_t resent; /* flows */
	uint64_t lost;	 /* flows */

	output_progress_cb on_progress;
	void *data;
};

/* ---- blocks ---------------------------------------------------------------------------------- */

static void keep_buffer(struct output *o, char *buffer)
{
	size_t size = encoder_batch_size(&o->encoder);
	if (o->spares < SPARE_BUFFERS && (o->spares + 1) * size <= SPARE_OCTETS)
		o->spare[o->spares++] = buffer;
	else
		free(buffer);
}

/* A block with room for a batch; NULL without memory. */
static struct block *block_new(struct output *o, enum block_kind kind)
{
	size_t size = encoder_batch_size(&o->encoder);
	struct block *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->output = o;
	b->kind = kind;
	batch_init(&b->batch, size);
	if (o->spares > 0) {
		b->batch.bytes.data = o->spare[--o->spares];
		b->batch.bytes.cap = size;
	} else if (!buf_reserve(&b->batch.bytes, size)) {
		free(b);
		return NULL;
	}
	return b;
}

static void block_free(struct output *o, struct block *b)
{
	struct buf *bytes = &b->batch.bytes;
	if (bytes->cap == encoder_batch_size(&o->encoder))
		keep_buffer(o, bytes->data);
	else
		buf_deinit(bytes);
	free(b);
}

static void blocks_free(struct output *o, struct blocks *blocks)
{
	struct block *b;
	while ((b = blocks_take(blocks)) != NULL)
		block_free(o, b);
}

void output_shrink(struct output *o, struct block *b)
{
	struct buf *bytes = &b->batch.bytes;
	char *copy = bytes->len < bytes->cap / 2 ? malloc(bytes->len) : NULL;
	if (copy == NULL)
		return;
	memcpy(copy, bytes->data, bytes->len);
	keep_buffer(o, bytes->data);
	bytes->data = copy;
	bytes->cap = bytes->len;
}

static void wait_more(struct output *o, size_t octets)
{
	o->waiting += octets;
	if (o->waiting >= HIGH_MARK)
		o->full = true;
}

static void wait_less(struct output *o, size_t octets)
{
	o->waiting -= octets;
	if (o->waiting <= LOW_MARK)
		o->full = false;
}

/* ---- filling --------------------------------------------------------------------------------- */

static struct block *find_open(const struct output *o, unsigned lane)
{
	struct block *b;
	TAILQ_FOREACH(b, &o->open, link)
		if (b->batch.lane == lane)
			return b;
	return NULL;
}

/* An open block is done: it waits to be pulled. */
static void end_block(struct output *o, struct block *b)
{
	TAILQ_REMOVE(&o->open, b, link);
	o->opens--;
	TAILQ_INSERT_TAIL(&o->ready, b, link);
	o->ready_octets += b->batch.bytes.len;
}

static struct block *open_block(struct output *o, unsigned lane)
{
	struct block *oldest = TAILQ_FIRST(&o->open);
	if (o->opens == OPEN_BLOCKS) {
		end_block(o, oldest);
		output_shrink(o, oldest);
	}
	struct block *b = o->next;
	o->next = NULL;
	b->batch.lane = lane;
	b->first = o->taken;
	TAILQ_INSERT_TAIL(&o->open, b, link);
	o->opens++;
	TAILQ_INSERT_TAIL(&o->undelivered, b, age);
	wait_more(o, sizeof(*b));
	return b;
}

static struct tally tally_of(const struct flow *flow)
{
	return (struct tally){
		.flows = 1,
		.packets = flow_number(flow, FIELD_PACKETS),
		.octets = flow_number(flow, FIELD_BYTES),
	};
}

/* Adds a flow to the block of its lane, a new one when that is full. Gives back how many octets. */
static size_t add(struct output *o, const struct flow *flow)
{
	struct block *b = find_open(o, o->lane);
	size_t before = b == NULL ? 0 : b->batch.bytes.len;
	if (b == NULL || !encoder_add(&o->encoder, flow, &b->batch)) {
		if (b != NULL)
			end_block(o, b);
		if (o->ready_octets >= o->transport->class->hand_over)
			o->transport->class->kick(o->transport);
		before = 0;
		b = open_block(o, o->lane);
		/* Any record has room in an empty one. */
		(void)!encoder_add(&o->encoder, flow, &b->batch);
	}
	return b->batch.bytes.len - before;
}

bool output_prepare(struct output *o, const struct flow *flow)
{
	if (!o->begun && !output_begin(o, flow->format))
		return false;
	if (o->next == NULL)
		o->next = block_new(o, BLOCK_FLOWS);
	o->lane = encoder_lane(&o->encoder, flow);
	return o->next != NULL && o->lane != LANE_NONE;
}

void output_flow(struct output *o, const struct flow *flow)
{
	if (!encoder_takes(&o->encoder, flow)) {
		o->no_address++;
		output_skipped(o, flow);
		return;
	}
	size_t octets = add(o, flow);
	wait_more(o, octets);
	o->bytes += octets;
	o->taken++;
}

void output_skipped(struct output *o, const struct flow *flow)
{
	struct tally tally = tally_of(flow);
	encoder_not_sent(&o->encoder, o->lane, &tally);
}

void output_flush(struct output *o)
{
	if (TAILQ_EMPTY(&o->open) && TAILQ_EMPTY(&o->ready))
		return;
	o->flushing = !TAILQ_EMPTY(&o->open);
	o->transport->class->kick(o->transport);
}

void output_last_call(struct output *o)
{
	encoder_last_call(&o->encoder);
	o->flushing = !TAILQ_EMPTY(&o->open);
	o->transport->class->kick(o->transport);
}

/* ---- for the transports ---------------------------------------------------------------------- */

const struct output_config *output_config_of(const struct output *o)
{
	return o->config;
}

const struct tls_context *output_tls(const struct output *o)
{
	return o->tls;
}

void output_session(struct output *o)
{
	o->up = true;
	o->sessions++;
	encoder_new_session(&o->encoder);
}

void output_down(struct output *o)
{
	o->up = false;
}

void output_repeat(struct output *o)
{
	encoder_repeat(&o->encoder);
}

/* What has to be sent before the flows that are ready, or is due by itself; NULL: nothing. */
static struct block *pull_ahead(struct output *o, bool *failed)
{
	const struct block *next = TAILQ_FIRST(&o->ready);
	*failed = false;
	if (!encoder_may_be_ahead(&o->encoder))
		return NULL;
	bool header = o->encoder.settings.class->header != NULL;
	struct block *b = block_new(o, header ? BLOCK_HEADER : BLOCK_AHEAD);
	enum step step = b == NULL ? STEP_BAD
				   : encoder_ahead(&o->encoder,
						   next == NULL ? ANY_LANE : next->batch.lane,
						   uv_now(o->tick.loop), &b->batch);
	*failed = step == STEP_BAD;
	if (step == STEP_OK)
		return b;
	if (b != NULL)
		block_free(o, b);
	return NULL;
}

static struct block *pull_flows(struct output *o)
{
	struct block *b = blocks_take(&o->ready);
	if (b == NULL)
		return NULL;
	o->ready_octets -= b->batch.bytes.len;
	if (b->sent)
		o->resent += b->batch.tally.flows;
	b->sent = true;
	return b;
}

struct block *output_pull(struct output *o)
{
	bool failed;
	if (!o->up || !o->begun)
		return NULL;
	if (TAILQ_EMPTY(&o->ready) && o->flushing)
		end_block(o, TAILQ_FIRST(&o->open));
	o->flushing = o->flushing && !TAILQ_EMPTY(&o->open);
	/* Without memory for what comes first, the rest waits: the next tick tries again. */
	struct block *b = pull_ahead(o, &failed);
	if (b == NULL && !failed)
		b = pull_flows(o);
	if (b == NULL)
		return NULL;
	encoder_stamp(&o->encoder, &b->batch);
	b->carried = !b->delivered;
	o->carried += b->carried;
	return b;
}

/* The transport owes nothing for it any more. */
static void end_carrying(struct output *o, struct block *b)
{
	o->carried -= b->carried;
	b->carried = false;
}

void output_delivered(struct output *o, struct block *b)
{
	end_carrying(o, b);
	if (b->delivered || b->kind != BLOCK_FLOWS)
		return;
	b->delivered = true;
	TAILQ_REMOVE(&o->undelivered, b, age);
	o->bytes_delivered += b->batch.bytes.len;
	wait_less(o, b->batch.bytes.len + sizeof(*b));
}

void output_lost(struct output *o, unsigned lane, const struct tally *tally)
{
	o->lost += tally->flows;
	if (tally->flows > 0)
		encoder_not_sent(&o->encoder, lane, tally);
}

void output_recycle(struct output *o, struct block *b)
{
	block_free(o, b);
}

void output_return(struct output *o, struct blocks *blocks)
{
	struct block *b;
	while ((b = TAILQ_LAST(blocks, blocks)) != NULL) {
		TAILQ_REMOVE(blocks, b, link);
		end_carrying(o, b);
		if (b->kind != BLOCK_FLOWS) {
			block_free(o, b);
			continue;
		}
		TAILQ_INSERT_HEAD(&o->ready, b, link);
		o->ready_octets += b->batch.bytes.len;
	}
}

void output_fail(struct output *o, int error)
{
	if (o->error == 0)
		o->error = error;
	output_progress(o);
}

void output_progress(struct output *o)
{
	if (o->on_progress != NULL)
		o->on_progress(o->data);
}

/* ---- what was promised ----------------------------------------------------------------------- */

bool output_was_up(const struct output *o)
{
	return o->sessions > 0;
}

bool output_is_up(const struct output *o)
{
	return o->up;
}

bool output_full(const struct output *o)
{
	return o->full;
}

bool output_idle(const struct output *o)
{
	return TAILQ_EMPTY(&o->undelivered) && o->carried == 0;
}

uint64_t output_taken(const struct output *o)
{
	return o->taken;
}

uint64_t output_delivered_flows(const struct output *o)
{
	const struct block *oldest = TAILQ_FIRST(&o->undelivered);
	return oldest == NULL ? o->taken : oldest->first;
}

int output_error(const struct output *o)
{
	return o->error;
}

unsigned output_hides(const struct output *o, const struct format *format)
{
	unsigned hidden = 0;
	const struct encoder *e = &o->encoder;
	if (!encoder_names_columns(&e->settings) || !e->has_columns || e->settings.columns != NULL)
		return 0;
	for (unsigned i = 0; i < format->count; i++)
		hidden += !format_has(&e->columns, format_column_name(format, i));
	return hidden;
}

const char *output_name(const struct output *o)
{
	return o->config->name;
}

void output_count(const struct output *o, struct output_counters *sum)
{
	sum->flows += o->taken;
	sum->no_address += o->no_address;
	sum->texts_cut += encoder_texts_cut(&o->encoder);
	sum->up += o->up;
	sum->sessions += o->sessions;
	sum->flows_resent += o->resent;
	sum->flows_lost += o->lost;
	sum->flows_delivered += output_delivered_flows(o);
	sum->full += o->full;
	sum->bytes_queued += o->bytes - o->bytes_delivered;
	sum->bytes += o->bytes;
	sum->bytes_written += o->bytes_delivered;
}

void output_counters_add(struct output_counters *sum, const struct output_counters *more)
{
#define X(member, which, type, metric, help) sum->member += more->member;
	OUTPUT_COUNTERS(X)
#undef X
}

void output_counters_subtract(struct output_counters *c, const struct output_counters *before)
{
#define X(member, which, type, metric, help) c->member -= (type) == GAUGE ? 0 : before->member;
	OUTPUT_COUNTERS(X)
#undef X
}

const struct counter_row output_rows[] = {
#define X(member, which, type, metric, help)                                                       \
	{ #member, offsetof(struct output_counters, member), type, metric, "", help },
	OUTPUT_COUNTERS(X)
#undef X
};

const size_t output_row_count = sizeof(output_rows) / sizeof(*output_rows);

bool output_counts(const struct output_config *config, size_t row)
{
	static const enum output_kind kinds[] = {
#define X(member, which, type, metric, help) which,
		OUTPUT_COUNTERS(X)
#undef X
	};
	switch (kinds[row]) {
	case NETWORK:
		return destination_is_network(&config->destination);
	case AWS:
		return config->encoder.aws_elements != 0;
	default:
		return true;
	}
}

void output_counters_print(const struct output_counters *c, const struct output_config *config,
			   unsigned number, FILE *out)
{
	for (size_t i = 0; i < output_row_count; i++)
		if (output_counts(config, i))
			fprintf(out, "output%u_%s=%" PRIu64 "\n", number, output_rows[i].name,
				counter_of(c, &output_rows[i]));
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static const struct transport_class *transport_of(const struct destination *d)
{
	switch (d->kind) {
	case DESTINATION_TCP:
	case DESTINATION_TLS:
		return &transport_stream;
	case DESTINATION_UDP:
		return &transport_datagrams;
	default:
		return &transport_writer;
	}
}

static void on_tick(uv_timer_t *tick)
{
	struct output *o = tick->data;
	o->transport->class->kick(o->transport);
	output_progress(o);
}

void output_set_tls(struct output *o, struct tls_context *tls)
{
	if (tls == NULL || o->config->destination.kind != DESTINATION_TLS)
		return;
	tls_context_free(&o->tls);
	o->tls = tls_context_share(tls);
}

int output_open(struct output **o, const struct output_config *config, const struct output *beside,
		uv_loop_t *loop, output_progress_cb on_progress, void *data)
{
	struct output *new = calloc(1, sizeof(*new));
	if (new == NULL)
		return -ENOMEM;
	new->config = config;
	new->on_progress = on_progress;
	new->data = data;
	TAILQ_INIT(&new->open);
	TAILQ_INIT(&new->ready);
	TAILQ_INIT(&new->undelivered);
	new->columns = beside == NULL ? columns_new() : columns_share(beside->columns);
	if (new->columns == NULL) {
		free(new);
		return -ENOMEM;
	}
	encoder_init(&new->encoder, &config->encoder);
	int error = transport_of(&config->destination)
			    ->open(&new->transport, new, loop,
				   beside == NULL ? NULL : beside->transport);
	if (error != 0) {
		encoder_deinit(&new->encoder);
		columns_release(&new->columns);
		free(new);
		return error;
	}
	uv_timer_init(loop, &new->tick);
	new->tick.data = new;
	*o = new;
	return 0;
}

bool output_begin(struct output *o, const struct format *columns)
{
	if (o->begun)
		return true;
	if (encoder_needs_columns(&o->encoder))
		columns = columns_agree(o->columns, columns);
	if (columns == NULL || !encoder_begin(&o->encoder, columns))
		return false;
	o->begun = true;
	if (o->up)
		encoder_new_session(&o->encoder);
	uv_timer_start(&o->tick, on_tick, TICK_MS, TICK_MS);
	o->transport->class->kick(o->transport);
	return true;
}

void output_reopen(struct output *o, unsigned hup)
{
	if (o->transport->class->reopen == NULL)
		return;
	struct block *b = calloc(1, sizeof(*b));
	if (b == NULL) {
		log_error("output",
			  "cannot reopen, still writing to the old file output=%s "
			  "error=\"out of memory\"",
			  o->config->name);
		return;
	}
	b->output = o;
	b->kind = BLOCK_REOPEN;
	b->hup = hup;
	/* The old file ends here, with what belongs to its flows. */
	encoder_last_call(&o->encoder);
	o->flushing = !TAILQ_EMPTY(&o->open);
	o->transport->class->reopen(o->transport, b);
}

static void on_tick_closed(uv_handle_t *handle)
{
	struct output *o = handle->data;
	blocks_free(o, &o->open);
	blocks_free(o, &o->ready);
	if (o->next != NULL)
		block_free(o, o->next);
	while (o->spares > 0)
		free(o->spare[--o->spares]);
	encoder_deinit(&o->encoder);
	tls_context_free(&o->tls);
	columns_release(&o->columns);
	free(o);
}

void output_closed(struct output *o)
{
	o->transport = NULL;
	uv_close((uv_handle_t *)&o->tick, on_tick_closed);
}

/* What a collector acknowledged just before it went: acknowledged to peers, too. */
static void tell_unread(const struct output *o)
{
	const struct block *b;
	uint64_t flows = 0;
	TAILQ_FOREACH(b, &o->ready, link)
		if (b->delivered)
			flows += b->batch.tally.flows;
	if (flows > 0)
		log_warn("output",
			 "the collector had acknowledged flows when it went, and may not have read "
			 "them output=%s flows=%llu",
			 o->config->name, (unsigned long long)flows);
}

void output_close(struct output **o, bool abort)
{
	struct output *old = *o;
	*o = NULL;
	if (old == NULL)
		return;
	tell_unread(old);
	/* Nobody is there to be told any more. */
	old->on_progress = NULL;
	uv_timer_stop(&old->tick);
	old->flushing = !TAILQ_EMPTY(&old->open);
	old->transport->class->close(old->transport, abort);
}
