/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only code that may block: one thread, one descriptor, a queue between it and the loops. The
 * queue is bounded by those who fill it (output_full). A preamble is kept, and written whenever the
 * file turns out to be empty: at the start, and after it was opened anew.
 */
#include "deliver/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "deliver/output.h"

enum { FULL_DISK_PAUSE_MS = 500, ABORT_PAUSE_MS = 10 };

/* Interrupts a write(2) that would otherwise never return. */
#define ABORT_SIGNAL SIGUSR2

struct writer {
	const char *path; /* NULL: standard output */
	bool wait_for_space;
	uv_thread_t thread;
	uv_mutex_t mutex;
	uv_cond_t wake;
	struct blocks queue; /* guarded by mutex */
	bool stop;	     /* guarded by mutex */
	atomic_bool abort;

	/* the thread's own */
	int fd;
	int error;
	bool waiting; /* for space, and said so */
	struct buf preamble;
};

static const char *name_of(const struct writer *w)
{
	return w->path == NULL ? "standard output" : w->path;
}

static int open_path(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
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

static off_t size_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : -1;
}

/* Cuts a regular file back to where a block began, so that no part of a record stays. */
static bool cut_back(const struct writer *w, off_t size, size_t done)
{
	/* Only what is ours: nobody else has appended meanwhile. */
	bool ours = w->path != NULL && size >= 0 && size_of(w->fd) == size + (off_t)done;
	return ours && ftruncate(w->fd, size) == 0;
}

static void say_waiting(struct writer *w, bool waiting, int error)
{
	if (waiting && !w->waiting)
		log_warn("output", "disk is full, waiting for space file=%s error=%s", name_of(w),
			 uv_strerror(error));
	if (!waiting && w->waiting)
		log_info("output", "disk has space again file=%s", name_of(w));
	w->waiting = waiting;
}

/* Writes a block whole; on a full disk again and again, when that was asked for. */
static int write_block(struct writer *w, struct slice bytes)
{
	for (;;) {
		off_t size = size_of(w->fd);
		size_t done;
		int error = write_some(w, bytes, &done);
		if (error == 0) {
			say_waiting(w, false, 0);
			return 0;
		}
		if (!is_full(error) || !w->wait_for_space)
			return error;
		say_waiting(w, true, error);
		if (!cut_back(w, size, done))
			slice_skip(&bytes, done);
		pause_ms(FULL_DISK_PAUSE_MS);
	}
}

/* Whether the file at path begins with the preamble. */
static bool begins_with_preamble(const struct writer *w)
{
	struct slice preamble = buf_slice(&w->preamble);
	char first[ENCODED_ROOM];
	int fd = open(w->path, O_RDONLY | O_CLOEXEC);
	/* Who may write there but not read knows what they do. */
	if (fd < 0)
		return true;
	ssize_t n = read(fd, first, preamble.len);
	close(fd);
	return n >= 0 && slice_equal(slice_of(first, (size_t)n), preamble);
}

/*
 * Not when appending to a file that has content: it begins with one already. With another one the
 * records to come would stand under the wrong columns.
 */
static bool header_fits(const struct writer *w, int fd)
{
	if (w->path == NULL || w->preamble.len == 0 || size_of(fd) <= 0 || begins_with_preamble(w))
		return true;
	log_error("output",
		  "the file begins with another header; move it away, or ask for the same columns "
		  "with --fields file=%s",
		  w->path);
	return false;
}

static int write_preamble(struct writer *w)
{
	bool appending = (fcntl(w->fd, F_GETFL) & O_APPEND) != 0 && size_of(w->fd) > 0;
	if (!appending)
		return write_block(w, buf_slice(&w->preamble));
	return header_fits(w, w->fd) ? 0 : -EINVAL;
}

static int reopen(struct writer *w)
{
	if (w->path == NULL)
		return 0;
	int fd = open_path(w->path);
	if (fd < 0) {
		log_error("output", "cannot reopen, still writing to the old file file=%s error=%s",
			  w->path, uv_strerror(fd));
		return 0;
	}
	if (!header_fits(w, fd)) {
		log_error("output", "still writing to the old file file=%s", w->path);
		close(fd);
		return 0;
	}
	close(w->fd);
	w->fd = fd;
	log_info("output", "reopened file=%s", w->path);
	return write_preamble(w);
}

static int do_block(struct writer *w, struct block *block)
{
	switch (block->kind) {
	case BLOCK_REOPEN:
		return reopen(w);
	case BLOCK_PREAMBLE:
		buf_deinit(&w->preamble);
		w->preamble = block->bytes;
		buf_init(&block->bytes, block->bytes.max);
		return write_preamble(w);
	default:
		return write_block(w, buf_slice(&block->bytes));
	}
}

/* The next block, waiting for one; NULL when there will be none. */
static struct block *next_block(struct writer *w)
{
	uv_mutex_lock(&w->mutex);
	while (w->queue.first == NULL && !w->stop)
		uv_cond_wait(&w->wake, &w->mutex);
	struct block *block = blocks_take(&w->queue);
	uv_mutex_unlock(&w->mutex);
	return block;
}

static void run(void *arg)
{
	struct writer *w = arg;
	struct block *block;
	while ((block = next_block(w)) != NULL) {
		if (w->error == 0)
			w->error = do_block(w, block);
		block->error = w->error;
		output_finished(block);
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

static void release(struct writer *w)
{
	if (w->path != NULL && w->fd >= 0)
		close(w->fd);
	buf_deinit(&w->preamble);
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

int writer_open(struct writer **w, const char *path, bool wait_for_space)
{
	struct writer *new = calloc(1, sizeof(*new));
	if (new == NULL)
		return -ENOMEM;
	new->path = path;
	new->wait_for_space = wait_for_space;
	blocks_init(&new->queue);
	buf_init(&new->preamble, 0);
	new->fd = path == NULL ? STDOUT_FILENO : open_path(path);
	int error = new->fd < 0 ? new->fd : init_locks(new);
	if (error != 0) {
		release(new);
		return error;
	}
	error = start_thread(new);
	if (error != 0) {
		uv_cond_destroy(&new->wake);
		uv_mutex_destroy(&new->mutex);
		release(new);
		return error;
	}
	*w = new;
	return 0;
}

void writer_submit(struct writer *w, struct block *block)
{
	uv_mutex_lock(&w->mutex);
	blocks_put(&w->queue, block);
	uv_cond_signal(&w->wake);
	uv_mutex_unlock(&w->mutex);
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

void writer_close(struct writer **w, bool abort)
{
	struct writer *old = *w;
	if (old == NULL)
		return;
	uv_mutex_lock(&old->mutex);
	old->stop = true;
	uv_cond_signal(&old->wake);
	uv_mutex_unlock(&old->mutex);
	if (abort)
		interrupt(old);
	else
		uv_thread_join(&old->thread);
	uv_cond_destroy(&old->wake);
	uv_mutex_destroy(&old->mutex);
	release(old);
	*w = NULL;
}
