/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file or standard output, and the only code that may block: one thread, one descriptor, a queue
 * between it and the loop. Blocks are written whole and in order; after an error nothing more is
 * written. A header is kept, and written whenever the file turns out to be empty: at the start, and
 * after it was opened anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "deliver/file.h"
#include "deliver/transport.h"

enum {
	FULL_DISK_PAUSE_MS = 500,
	ABORT_PAUSE_MS = 10,
	QUEUE_MOST =
		4, /* blocks with the thread: what else is encoded meanwhile fills larger ones */
};

/* Interrupts a write(2) that would otherwise never return. */
#define ABORT_SIGNAL SIGUSR2

struct writer {
	struct transport transport;
	const struct output_config *config;
	const char *path; /* NULL: standard output */
	uv_async_t finished_async;
	uv_thread_t thread;
	uv_mutex_t mutex;
	uv_cond_t wake;
	struct blocks queue;	/* guarded by mutex */
	struct blocks finished; /* guarded by mutex */
	bool stop;		/* guarded by mutex */
	bool came;		/* guarded by mutex: a FIFO's reader, or none ever will */
	int came_error;		/* guarded by mutex */
	atomic_bool abort;
	bool open;	 /* else the thread waits for a FIFO's reader */
	unsigned queued; /* blocks that are with the thread */

	/* the thread's own */
	int fd; /* -1 while it waits for a reader */
	int error;
	bool waiting; /* for space, and said so */
	bool torn;    /* the file ends within a line */
	struct buf header;
};

static const char *name_of(const struct writer *w)
{
	return w->path == NULL ? "standard output" : w->path;
}

static bool is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

static void pause_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	nanosleep(&t, NULL);
}

/* Writes what it can; the number of octets is in *done even when it fails. */
static int write_some(struct writer *w, struct slice bytes, size_t *done)
{
	*done = 0;
	while (*done < bytes.len) {
		if (atomic_load(&w->abort))
			return -ECANCELED;
		ssize_t n = write(w->fd, bytes.data + *done, bytes.len - *done);
		if (n >= 0)
			*done += (size_t)n;
		else if (errno == EAGAIN)
			poll(&(struct pollfd){ .fd = w->fd, .events = POLLOUT }, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Cuts a regular file back to where a block began, so that no part of a record stays. */
static bool cut_back(const struct writer *w, off_t size, size_t done)
{
	/* Only what is ours: nobody else has appended meanwhile. */
	bool ours = w->path != NULL && size >= 0 && file_size(w->fd) == size + (off_t)done;
	return ours && ftruncate(w->fd, size) == 0;
}

static void say_waiting(struct writer *w, bool waiting, int error)
{
	if (waiting && !w->waiting)
		log_warn("output", "disk is full, waiting for space file=%s error=%s", name_of(w),
			 error_text(error));
	if (!waiting && w->waiting)
		log_info("output", "disk has space again file=%s", name_of(w));
	w->waiting = waiting;
}

/* Writes a block whole; on a full disk again and again, when that was asked for. */
static int write_block(struct writer *w, struct slice bytes)
{
	for (;;) {
		off_t size = file_size(w->fd);
		size_t done;
		int error = write_some(w, bytes, &done);
		if (error == 0) {
			say_waiting(w, false, 0);
			return 0;
		}
		if (!is_full(error) || !w->config->wait_for_space)
			return error;
		say_waiting(w, true, error);
		if (!cut_back(w, size, done))
			slice_skip(&bytes, done);
		pause_ms(FULL_DISK_PAUSE_MS);
	}
}

/* What was found in a file of text that has content. */
struct found {
	size_t header; /* octets of it */
	bool torn;     /* it ends within a line */
};

static bool cannot_look(const struct writer *w, int error)
{
	if (error != 0)
		log_error("output", "cannot look at the file file=%s error=\"%s\"", w->path,
			  error_text(error));
	return error != 0;
}

static bool fits_messages(const struct writer *w, int fd)
{
	int error = file_mend_messages(w->path, fd);
	if (error != -EINVAL)
		return !cannot_look(w, error);
	log_error("output", "the file is something else than IPFIX; move it away file=%s", w->path);
	return false;
}

/*
 * Of text that a crash cut short the rest comes again from the spool; without one that line is ended
 * before the next block. A header that was cut short is to be completed.
 */
static bool fits_text(const struct writer *w, int fd, off_t size, struct found *found)
{
	ssize_t same = file_begins_with(w->path, buf_slice(&w->header));
	if (same < 0)
		return !cannot_look(w, (int)same);
	found->header = (size_t)same;
	bool whole = found->header == w->header.len;
	/* Under another header the records to come would stand in the wrong columns. */
	if (!whole && same != size)
		log_error("output",
			  "the file begins with another header; move it away, or ask for the same "
			  "columns with --fields file=%s",
			  w->path);
	if (!whole)
		return same == size;
	return !cannot_look(w, file_mend_lines(w->path, fd, w->config->mend_lines, &found->torn));
}

/* Whether what is to be written can stand in a file that may have content; says why not. */
static bool fits_file(const struct writer *w, int fd, struct found *found)
{
	off_t size = w->path == NULL ? 0 : file_size(fd);
	*found = (struct found){ .header = 0 };
	if (size == 0 || size == -ESPIPE)
		return true;
	return w->config->encoder.class->messages ? fits_messages(w, fd)
						  : fits_text(w, fd, size, found);
}

/* What is not there yet. */
static int complete_header(struct writer *w, const struct found *found)
{
	struct slice header = buf_slice(&w->header);
	slice_skip(&header, found->header);
	w->torn = found->torn;
	return write_block(w, header);
}

static int write_header(struct writer *w)
{
	struct found found = { .header = 0 };
	off_t size = file_size(w->fd);
	if (size < 0 && size != -ESPIPE)
		return (int)size;
	bool appending = (fcntl(w->fd, F_GETFL) & O_APPEND) != 0 && size > 0;
	/* Standard output that is appended to has its header. */
	if (appending && w->path == NULL)
		return 0;
	if (appending && !fits_file(w, w->fd, &found))
		return -EINVAL;
	return complete_header(w, &found);
}

/* What is written begins on a line of its own. */
static int end_line(struct writer *w)
{
	if (!w->torn)
		return 0;
	log_warn("output", "the file ends within a line, which stays and is ended file=%s",
		 w->path);
	w->torn = false;
	return write_block(w, SLICE_LITERAL("\n"));
}

static int reopen(struct writer *w)
{
	if (w->path == NULL)
		return 0;
	struct found found;
	int fd = file_open(w->path, false);
	if (fd < 0) {
		log_error("output", "cannot reopen, still writing to the old file file=%s error=%s",
			  w->path, error_text(fd));
		return 0;
	}
	if (!fits_file(w, fd, &found)) {
		log_error("output", "still writing to the old file file=%s", w->path);
		close(fd);
		return 0;
	}
	close(w->fd);
	w->fd = fd;
	log_info("output", "reopened file=%s", w->path);
	return complete_header(w, &found);
}

static int do_block(struct writer *w, struct block *block)
{
	int error;
	switch (block->kind) {
	case BLOCK_REOPEN:
		return reopen(w);
	case BLOCK_HEADER:
		buf_deinit(&w->header);
		w->header = block->batch.bytes;
		buf_init(&block->batch.bytes, block->batch.bytes.max);
		return write_header(w);
	default:
		error = end_line(w);
		return error != 0 ? error : write_block(w, buf_slice(&block->batch.bytes));
	}
}

/* The next block, waiting for one; NULL when there will be none. */
static struct block *next_block(struct writer *w)
{
	uv_mutex_lock(&w->mutex);
	while (TAILQ_EMPTY(&w->queue) && !w->stop)
		uv_cond_wait(&w->wake, &w->mutex);
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

/* Opens a FIFO that had no reader. */
static void wait_for_reader(struct writer *w)
{
	log_info("output", "waiting for a reader file=%s", w->path);
	do {
		w->fd = file_open(w->path, true);
	} while (w->fd == -EINTR && !atomic_load(&w->abort));
	w->error = w->fd < 0 ? w->fd : 0;
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
	if (w->fd < 0)
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

/* The thread sees no signal but the one that interrupts it; the others are the main loop's. */
static int start_thread(struct writer *w)
{
	struct sigaction action = { .sa_handler = on_abort_signal };
	sigset_t blocked;
	sigset_t before;
	sigaction(ABORT_SIGNAL, &action, NULL);
	sigfillset(&blocked);
	sigdelset(&blocked, ABORT_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	int error = uv_thread_create(&w->thread, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static struct writer *writer_of(struct transport *t)
{
	return CONTAINER_OF(t, struct writer, transport);
}

static void submit(struct writer *w, struct block *block)
{
	w->queued++;
	uv_mutex_lock(&w->mutex);
	TAILQ_INSERT_TAIL(&w->queue, block, link);
	uv_cond_signal(&w->wake);
	uv_mutex_unlock(&w->mutex);
}

/* Hands the thread up to so many blocks. */
static void fill_queue(struct writer *w, unsigned most)
{
	struct block *block;
	while (w->queued < most && (block = output_pull(w->transport.output)) != NULL)
		submit(w, block);
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
	fill_queue(w, UINT_MAX);
	submit(w, reopen);
	if (w->open && w->config->encoder.class->messages)
		output_session(t->output);
}

static void release(struct writer *w)
{
	if (w->path != NULL && w->fd >= 0)
		close(w->fd);
	buf_deinit(&w->header);
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

/*
 * Opens the descriptor; of a FIFO that has no reader the thread does. Whether text with a header fits
 * its file is looked at once that is known.
 */
static int open_descriptor(struct writer *w)
{
	w->fd = w->path == NULL ? STDOUT_FILENO : file_open(w->path, false);
	w->open = w->fd != -ENXIO || !file_is_fifo(w->path);
	if (!w->open)
		return 0;
	if (w->fd < 0)
		return w->fd;
	if (w->config->encoder.class->header != NULL)
		return 0;
	if (w->config->encoder.class->messages && isatty(w->fd)) {
		log_error("output",
			  "IPFIX is binary, which a terminal cannot show; give a file or a "
			  "collector, or ask for ipfix-csv");
		return -EINVAL;
	}
	struct found found;
	bool fits = fits_file(w, w->fd, &found);
	w->torn = found.torn;
	return fits ? 0 : -EINVAL;
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
	w->config = output_config_of(o);
	bool file = w->config->destination.kind == DESTINATION_FILE;
	w->path = file ? w->config->destination.path : NULL;
	w->finished_async.data = w;
	TAILQ_INIT(&w->queue);
	TAILQ_INIT(&w->finished);
	buf_init(&w->header, 0);
	return w;
}

static int writer_open(struct transport **t, struct output *o, uv_loop_t *loop)
{
	struct writer *w = writer_new(o);
	if (w == NULL)
		return -ENOMEM;
	int error = open_descriptor(w);
	if (error == 0)
		error = init_locks(w);
	if (error != 0) {
		release(w);
		return error;
	}
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
	uv_cond_signal(&w->wake);
	uv_mutex_unlock(&w->mutex);
	if (abort || !w->open)
		interrupt(w);
	else
		uv_thread_join(&w->thread);
	take_back_finished(w);
	uv_close((uv_handle_t *)&w->finished_async, on_closed);
}

const struct transport_class transport_writer = {
	.open = writer_open,
	.kick = writer_kick,
	.reopen = writer_reopen,
	.close = writer_close,
};
