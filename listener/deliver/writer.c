/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to a file or standard output (sink.c), which may block: one thread, and a queue between it
 * and the loop. Blocks are written in order; after an error nothing more is written.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "deliver/sink.h"
#include "deliver/transport.h"

enum {
	ABORT_PAUSE_MS = 10,
	/*
	 * Blocks with the thread: what else is encoded meanwhile fills larger ones. Full ones are so much
	 * that none of them waits for the loop, which is back from its turns only after some thousands of
	 * flows.
	 */
	QUEUE_MOST = 16,
	/* It is woken for some blocks together: each time costs as much as some hundreds of flows. */
	HAND_OVER = 512 * 1024,
};

/* Interrupts a write(2) that would otherwise never return. */
#define ABORT_SIGNAL SIGUSR2

struct writer {
	struct transport transport;
	struct sink *sink;
	uv_async_t finished_async;
	uv_thread_t thread;
	uv_mutex_t mutex;
	uv_cond_t wake;
	struct blocks queue;	/* guarded by mutex */
	struct blocks finished; /* guarded by mutex */
	bool waiting;		/* guarded by mutex: the thread, and nobody has woken it since */
	bool stop;		/* guarded by mutex */
	bool came;		/* guarded by mutex: a FIFO's reader, or none ever will */
	int came_error;		/* guarded by mutex */
	atomic_bool abort;
	bool open;	 /* else the thread waits for a FIFO's reader */
	unsigned queued; /* blocks that are with the thread */

	int error; /* the thread's own */
};

static int do_block(struct writer *w, struct block *block)
{
	switch (block->kind) {
	case BLOCK_REOPEN:
		return sink_reopen(w->sink, block->hup, &w->abort);
	case BLOCK_HEADER:
		return sink_header(w->sink, &block->batch.bytes, &w->abort);
	default:
		return sink_write(w->sink, buf_slice(&block->batch.bytes), &w->abort);
	}
}

/* The next block, waiting for one; NULL when there will be none. */
static struct block *next_block(struct writer *w)
{
	uv_mutex_lock(&w->mutex);
	while (TAILQ_EMPTY(&w->queue) && !w->stop) {
		w->waiting = true;
		uv_cond_wait(&w->wake, &w->mutex);
	}
	struct block *block = blocks_take(&w->queue);
	uv_mutex_unlock(&w->mutex);
	return block;
}

/* Back to the loop. */
static void finish(struct writer *w, struct block *block)
{
	uv_mutex_lock(&w->mutex);
	TAILQ_INSERT_TAIL(&w->finished, block, link);
	/* Within the lock: once it is released the writer may be closed at any time. */
	uv_async_send(&w->finished_async);
	uv_mutex_unlock(&w->mutex);
}

/* Until a FIFO has a reader. */
static void wait_for_reader(struct writer *w)
{
	w->error = sink_wait(w->sink, &w->abort);
	uv_mutex_lock(&w->mutex);
	w->came = true;
	w->came_error = w->error;
	uv_async_send(&w->finished_async);
	uv_mutex_unlock(&w->mutex);
}

static void run(void *arg)
{
	struct writer *w = arg;
	struct block *block;
	/* The loop's, but it stays false until the thread says otherwise. */
	if (!w->open)
		wait_for_reader(w);
	while ((block = next_block(w)) != NULL) {
		if (w->error == 0)
			w->error = do_block(w, block);
		block->error = w->error;
		finish(w, block);
	}
}

static void on_abort_signal(int signal)
{
	(void)signal;
}

static int start_thread(struct writer *w)
{
	struct sigaction action = { .sa_handler = on_abort_signal };
	sigaction(ABORT_SIGNAL, &action, NULL);
	return thread_start(&w->thread, "writer", ABORT_SIGNAL, run, w);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static struct writer *writer_of(struct transport *t)
{
	return CONTAINER_OF(t, struct writer, transport);
}

/*
 * Hands blocks to the thread, and wakes it if it sleeps: once the lock is released, or it would wake up
 * only to wait for that.
 */
static void submit(struct writer *w, struct blocks *blocks)
{
	uv_mutex_lock(&w->mutex);
	TAILQ_CONCAT(&w->queue, blocks, link);
	bool wake = w->waiting;
	w->waiting = false;
	uv_mutex_unlock(&w->mutex);
	if (wake)
		uv_cond_signal(&w->wake);
}

/* Adds what is to be handed over, until the thread has so many blocks. */
static void pull(struct writer *w, unsigned most, struct blocks *blocks)
{
	struct block *block;
	while (w->queued < most && (block = output_pull(w->transport.output)) != NULL) {
		TAILQ_INSERT_TAIL(blocks, block, link);
		w->queued++;
	}
}

/* Hands the thread up to so many blocks. */
static void fill_queue(struct writer *w, unsigned most)
{
	struct blocks blocks = TAILQ_HEAD_INITIALIZER(blocks);
	pull(w, most, &blocks);
	if (!TAILQ_EMPTY(&blocks))
		submit(w, &blocks);
}

static void writer_kick(struct transport *t)
{
	fill_queue(writer_of(t), QUEUE_MOST);
}

static void take_back(struct writer *w, struct block *block)
{
	struct output *o = w->transport.output;
	w->queued--;
	if (block->error != 0) {
		struct blocks blocks = TAILQ_HEAD_INITIALIZER(blocks);
		int error = block->error;
		TAILQ_INSERT_TAIL(&blocks, block, link);
		output_return(o, &blocks);
		output_fail(o, error);
		return;
	}
	output_delivered(o, block);
	output_recycle(o, block);
}

static void take_back_finished(struct writer *w)
{
	struct blocks finished = TAILQ_HEAD_INITIALIZER(finished);
	struct block *block;
	uv_mutex_lock(&w->mutex);
	TAILQ_CONCAT(&finished, &w->finished, link);
	uv_mutex_unlock(&w->mutex);
	while ((block = blocks_take(&finished)) != NULL)
		take_back(w, block);
}

/* A FIFO has its reader now. */
static void take_reader(struct writer *w)
{
	uv_mutex_lock(&w->mutex);
	bool came = w->came;
	int error = w->came_error;
	uv_mutex_unlock(&w->mutex);
	if (w->open || !came)
		return;
	w->open = true;
	if (error == 0)
		output_session(w->transport.output);
	else
		output_fail(w->transport.output, error);
}

static void on_finished(uv_async_t *async)
{
	struct writer *w = async->data;
	take_reader(w);
	take_back_finished(w);
	fill_queue(w, QUEUE_MOST);
	output_progress(w->transport.output);
}

/*
 * All that was encoded goes to the old file first, and the new one begins with what a session begins
 * with: for IPFIX its templates, for text the header, which the thread has.
 */
static void writer_reopen(struct transport *t, struct block *reopen)
{
	struct writer *w = writer_of(t);
	struct blocks blocks = TAILQ_HEAD_INITIALIZER(blocks);
	pull(w, UINT_MAX, &blocks);
	TAILQ_INSERT_TAIL(&blocks, reopen, link);
	w->queued++;
	submit(w, &blocks);
	if (w->open && output_config_of(t->output)->encoder.class->messages)
		output_session(t->output);
}

static void release(struct writer *w)
{
	sink_close(&w->sink);
	free(w);
}

static int init_locks(struct writer *w)
{
	int error = uv_mutex_init(&w->mutex);
	if (error != 0)
		return error;
	error = uv_cond_init(&w->wake);
	if (error != 0)
		uv_mutex_destroy(&w->mutex);
	return error;
}

static void destroy_locks(struct writer *w)
{
	uv_cond_destroy(&w->wake);
	uv_mutex_destroy(&w->mutex);
}

static void on_never_started(uv_handle_t *handle)
{
	struct writer *w = handle->data;
	destroy_locks(w);
	release(w);
}

static struct writer *writer_new(struct output *o)
{
	struct writer *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	w->transport = (struct transport){ .class = &transport_writer, .output = o };
	w->finished_async.data = w;
	TAILQ_INIT(&w->queue);
	TAILQ_INIT(&w->finished);
	return w;
}

static int writer_open(struct transport **t, struct output *o, uv_loop_t *loop,
		       struct transport *beside)
{
	struct writer *w = writer_new(o);
	int error = 0;
	if (w == NULL)
		return -ENOMEM;
	if (beside != NULL)
		w->sink = sink_share(writer_of(beside)->sink);
	else
		error = sink_open(&w->sink, output_config_of(o));
	if (error == 0)
		error = init_locks(w);
	if (error != 0) {
		release(w);
		return error;
	}
	w->open = sink_is_open(w->sink);
	error = uv_async_init(loop, &w->finished_async, on_finished);
	if (error != 0) {
		destroy_locks(w);
		release(w);
		return error;
	}
	error = start_thread(w);
	if (error != 0) {
		uv_close((uv_handle_t *)&w->finished_async, on_never_started);
		return error;
	}
	*t = &w->transport;
	if (w->open)
		output_session(o);
	return 0;
}

/* Interrupts the thread until it has noticed: a signal may come just before it blocks. */
static void interrupt(struct writer *w)
{
	atomic_store(&w->abort, true);
	struct timespec until;
	do {
		pthread_kill(w->thread, ABORT_SIGNAL);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += ABORT_PAUSE_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	} while (pthread_timedjoin_np(w->thread, NULL, &until) == ETIMEDOUT);
}

static void on_closed(uv_handle_t *handle)
{
	struct writer *w = handle->data;
	struct output *o = w->transport.output;
	destroy_locks(w);
	release(w);
	output_closed(o);
}

static void writer_close(struct transport *t, bool abort)
{
	struct writer *w = writer_of(t);
	if (!abort)
		fill_queue(w, UINT_MAX);
	uv_mutex_lock(&w->mutex);
	w->stop = true;
	uv_mutex_unlock(&w->mutex);
	uv_cond_signal(&w->wake);
	if (abort || !w->open)
		interrupt(w);
	else
		uv_thread_join(&w->thread);
	take_back_finished(w);
	uv_close((uv_handle_t *)&w->finished_async, on_closed);
}

const struct transport_class transport_writer = {
	.hand_over = HAND_OVER,
	.open = writer_open,
	.kick = writer_kick,
	.reopen = writer_reopen,
	.close = writer_close,
};
