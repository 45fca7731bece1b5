/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows in, blocks of whole records out to the writer's thread, and the count of what it has
 * written back. The marks bound what waits in memory: at HIGH the worker stops converting, which
 * stops reading from peers; at LOW it goes on.
 */
#include "deliver/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliver/writer.h"

enum {
	BLOCK_SIZE = 256 *
		     1024, /* a few times what a pipe holds, and fits the second-level cache */
	HIGH_MARK = 4 * 1024 * 1024,
	LOW_MARK = 1024 * 1024,
	SPARE_BLOCKS = 4,
};

struct output {
	struct output_config config;
	struct encoder encoder;
	struct writer *writer;
	struct block *open; /* being filled, or NULL */
	struct blocks spare;
	unsigned spares;
	bool begun;
	bool full;
	int error;
	size_t submitted; /* blocks that are with the writer */
	uint64_t position;
	uint64_t written;
	uint64_t flows;
	uint64_t no_address;

	uv_async_t finished_async;
	uv_mutex_t mutex;
	struct blocks finished; /* guarded by mutex */
	output_progress_cb on_progress;
	void *data;
};

static struct block *block_new(struct output *o, enum block_kind kind, size_t size)
{
	struct block *b = malloc(sizeof(*b));
	if (b == NULL)
		return NULL;
	*b = (struct block){ .output = o, .kind = kind };
	buf_init(&b->bytes, size);
	if (size > 0 && !buf_reserve(&b->bytes, size)) {
		free(b);
		return NULL;
	}
	return b;
}

static void block_free(struct block *b)
{
	if (b == NULL)
		return;
	buf_deinit(&b->bytes);
	free(b);
}

static void blocks_free(struct blocks *blocks)
{
	struct block *b;
	while ((b = blocks_take(blocks)) != NULL)
		block_free(b);
}

static struct block *take_spare(struct output *o)
{
	struct block *b = blocks_take(&o->spare);
	if (b == NULL)
		return block_new(o, BLOCK_FLOWS, BLOCK_SIZE);
	o->spares--;
	return b;
}

static void keep_spare(struct output *o, struct block *b)
{
	if (b->kind != BLOCK_FLOWS || o->spares == SPARE_BLOCKS) {
		block_free(b);
		return;
	}
	b->bytes.len = 0;
	blocks_put(&o->spare, b);
	o->spares++;
}

static void update_full(struct output *o)
{
	uint64_t waiting = o->position - o->written;
	o->full = o->full ? waiting > LOW_MARK : waiting >= HIGH_MARK;
}

static void submit(struct output *o, struct block *b)
{
	o->submitted++;
	writer_submit(o->writer, b);
}

static void take_back(struct output *o, struct block *b)
{
	o->submitted--;
	if (b->error != 0 && o->error == 0)
		o->error = b->error;
	if (b->error == 0 && b->kind == BLOCK_FLOWS)
		o->written += b->bytes.len;
	keep_spare(o, b);
}

static void take_back_finished(struct output *o)
{
	uv_mutex_lock(&o->mutex);
	struct block *b = o->finished.first;
	blocks_init(&o->finished);
	uv_mutex_unlock(&o->mutex);
	while (b != NULL) {
		struct block *next = b->next;
		take_back(o, b);
		b = next;
	}
	update_full(o);
}

static void on_finished(uv_async_t *async)
{
	struct output *o = async->data;
	take_back_finished(o);
	o->on_progress(o->data);
}

void output_finished(struct block *block)
{
	struct output *o = block->output;
	uv_mutex_lock(&o->mutex);
	blocks_put(&o->finished, block);
	/* Within the lock: once it is released the output may be closed at any time. */
	uv_async_send(&o->finished_async);
	uv_mutex_unlock(&o->mutex);
}

static void on_closed(uv_handle_t *handle)
{
	struct output *o = handle->data;
	uv_mutex_destroy(&o->mutex);
	free(o);
}

int output_open(struct output **o, const struct output_config *config, uv_loop_t *loop,
		output_progress_cb on_progress, void *data)
{
	struct output *new = calloc(1, sizeof(*new));
	if (new == NULL)
		return -ENOMEM;
	new->config = *config;
	new->on_progress = on_progress;
	new->data = data;
	blocks_init(&new->spare);
	blocks_init(&new->finished);
	encoder_init(&new->encoder, config->class, config->columns);
	int error = uv_mutex_init(&new->mutex);
	if (error != 0) {
		free(new);
		return error;
	}
	error = writer_open(&new->writer, config->path, config->wait_for_space);
	if (error == 0)
		error = uv_async_init(loop, &new->finished_async, on_finished);
	if (error != 0) {
		writer_close(&new->writer, false);
		uv_mutex_destroy(&new->mutex);
		free(new);
		return error;
	}
	new->finished_async.data = new;
	*o = new;
	return 0;
}

bool output_begin(struct output *o, const struct format *columns)
{
	if (o->begun)
		return true;
	o->begun = true;
	if (o->encoder.class->needs_columns)
		encoder_choose_columns(&o->encoder, columns);
	if (o->encoder.class->preamble == NULL)
		return true;
	struct block *b = block_new(o, BLOCK_PREAMBLE, ENCODED_ROOM);
	if (b == NULL)
		return false;
	o->encoder.class->preamble(&o->encoder, &b->bytes);
	submit(o, b);
	return true;
}

bool output_flow(struct output *o, const struct flow *flow)
{
	if (!encoder_takes(&o->encoder, flow)) {
		o->no_address++;
		return true;
	}
	if (o->open == NULL && (o->open = take_spare(o)) == NULL)
		return false;
	struct buf *out = &o->open->bytes;
	size_t before = out->len;
	o->encoder.class->flow(&o->encoder, flow, out);
	o->position += out->len - before;
	o->flows++;
	if (out->max - out->len < ENCODED_ROOM)
		output_flush(o);
	return true;
}

void output_flush(struct output *o)
{
	if (o->open == NULL)
		return;
	submit(o, o->open);
	o->open = NULL;
	update_full(o);
}

bool output_full(const struct output *o)
{
	return o->full;
}

bool output_idle(const struct output *o)
{
	return o->open == NULL && o->submitted == 0;
}

uint64_t output_position(const struct output *o)
{
	return o->position;
}

uint64_t output_written(const struct output *o)
{
	return o->written;
}

int output_error(const struct output *o)
{
	return o->error;
}

uint64_t output_no_address(const struct output *o)
{
	return o->no_address;
}

unsigned output_hides(const struct output *o, const struct format *format)
{
	unsigned hidden = 0;
	if (!o->encoder.class->needs_columns || !o->encoder.has_columns ||
	    o->config.columns != NULL)
		return 0;
	for (unsigned i = 0; i < format->count; i++)
		hidden += !format_has(&o->encoder.columns, format_column_name(format, i));
	return hidden;
}

const char *output_name(const struct output *o)
{
	return o->config.name;
}

void output_reopen(struct output *o)
{
	output_flush(o);
	struct block *b = block_new(o, BLOCK_REOPEN, 0);
	if (b != NULL)
		submit(o, b);
}

void output_print_stats(const struct output *o, unsigned number, FILE *out)
{
	fprintf(out, "output%u_flows=%" PRIu64 "\n", number, o->flows);
	fprintf(out, "output%u_no_address=%" PRIu64 "\n", number, o->no_address);
	fprintf(out, "output%u_bytes=%" PRIu64 "\n", number, o->position);
	fprintf(out, "output%u_bytes_written=%" PRIu64 "\n", number, o->written);
}

void output_close(struct output **o, bool abort)
{
	struct output *old = *o;
	*o = NULL;
	if (old == NULL)
		return;
	output_flush(old);
	writer_close(&old->writer, abort);
	take_back_finished(old);
	blocks_free(&old->spare);
	uv_close((uv_handle_t *)&old->finished_async, on_closed);
}
