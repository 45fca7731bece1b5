/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One descriptor under one lock. Whole blocks and nothing else go through it, so that lines of several
 * workers never tear each other; a full disk is waited for with the lock held, since what others have
 * would not fit either.
 */
#include "deliver/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "deliver/file.h"

enum {
	FULL_DISK_PAUSE_MS = 500,
	LOCK_PAUSE_MS = 50, /* who waits for another writer looks so often whether it should */
};

struct sink {
	const struct output_config *config;
	const char *path; /* NULL: standard output */
	atomic_uint holders;
	atomic_bool open;      /* else a FIFO that has no reader yet */
	pthread_mutex_t mutex; /* of all that follows */
	int fd;		       /* negative until a FIFO has a reader */
	int error;
	bool waiting; /* for space, and said so */
	bool torn;    /* the file ends within a line */
	bool begun;   /* the header was looked after */
	unsigned hup; /* the last that the file was opened anew for */
	struct buf header;
};

static const char *name_of(const struct sink *s)
{
	return s->path == NULL ? "standard output" : s->path;
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

/* ---- octets ---------------------------------------------------------------------------------- */

/* Writes what it can; the number of octets is in *done even when it fails. */
static int write_some(const struct sink *s, struct slice bytes, const atomic_bool *abort,
		      size_t *done)
{
	*done = 0;
	while (*done < bytes.len) {
		if (atomic_load(abort))
			return -ECANCELED;
		ssize_t n = write(s->fd, bytes.data + *done, bytes.len - *done);
		if (n >= 0)
			*done += (size_t)n;
		else if (errno == EAGAIN)
			poll(&(struct pollfd){ .fd = s->fd, .events = POLLOUT }, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Cuts a regular file back to where a block began, so that no part of a record stays. */
static bool cut_back(const struct sink *s, off_t size, size_t done)
{
	/* Only what is ours: nobody else has appended meanwhile. */
	bool ours = s->path != NULL && size >= 0 && file_size(s->fd) == size + (off_t)done;
	return ours && ftruncate(s->fd, size) == 0;
}

static void say_waiting(struct sink *s, bool waiting, int error)
{
	if (waiting && !s->waiting)
		log_warn("output", "disk is full, waiting for space file=%s error=%s", name_of(s),
			 error_text(error));
	if (!waiting && s->waiting)
		log_info("output", "disk has space again file=%s", name_of(s));
	s->waiting = waiting;
}

/* Writes a block whole; on a full disk again and again, when that was asked for. */
static int write_block(struct sink *s, struct slice bytes, const atomic_bool *abort)
{
	for (;;) {
		off_t size = file_size(s->fd);
		size_t done;
		int error = write_some(s, bytes, abort, &done);
		if (error == 0) {
			say_waiting(s, false, 0);
			return 0;
		}
		if (!is_full(error) || !s->config->wait_for_space)
			return error;
		say_waiting(s, true, error);
		if (!cut_back(s, size, done))
			slice_skip(&bytes, done);
		pause_ms(FULL_DISK_PAUSE_MS);
	}
}

/* ---- files that have content ----------------------------------------------------------------- */

/* What was found in a file of text that has content. */
struct found {
	size_t header; /* octets of it */
	bool torn;     /* it ends within a line */
};

static bool cannot_look(const struct sink *s, int error)
{
	if (error != 0)
		log_error("output", "cannot look at the file file=%s error=\"%s\"", s->path,
			  error_text(error));
	return error != 0;
}

static bool fits_messages(const struct sink *s, int fd)
{
	int error = file_mend_messages(s->path, fd);
	if (error != -EINVAL)
		return !cannot_look(s, error);
	log_error("output", "the file is something else than IPFIX; move it away file=%s", s->path);
	return false;
}

/*
 * Of text that a crash cut short the rest comes again from the spool; without one that line is ended
 * before the next block. A header that was cut short is to be completed.
 */
static bool fits_text(const struct sink *s, int fd, off_t size, struct found *found)
{
	ssize_t same = file_begins_with(s->path, buf_slice(&s->header));
	if (same < 0)
		return !cannot_look(s, (int)same);
	found->header = (size_t)same;
	bool whole = found->header == s->header.len;
	/* Under another header the records to come would stand in the wrong columns. */
	if (!whole && same != size)
		log_error("output",
			  "the file begins with another header; move it away, or ask for the same "
			  "columns with --fields file=%s",
			  s->path);
	if (!whole)
		return same == size;
	return !cannot_look(s, file_mend_lines(s->path, fd, s->config->mend_lines, &found->torn));
}

/* Whether what is to be written can stand in a file that may have content; says why not. */
static bool fits_file(const struct sink *s, int fd, struct found *found)
{
	off_t size = s->path == NULL ? 0 : file_size(fd);
	*found = (struct found){ .header = 0 };
	if (size == 0 || size == -ESPIPE)
		return true;
	return s->config->encoder.class->messages ? fits_messages(s, fd)
						  : fits_text(s, fd, size, found);
}

/* What is not there yet. */
static int complete_header(struct sink *s, const struct found *found, const atomic_bool *abort)
{
	struct slice header = buf_slice(&s->header);
	slice_skip(&header, found->header);
	s->torn = found->torn;
	return write_block(s, header, abort);
}

static int write_header(struct sink *s, const atomic_bool *abort)
{
	struct found found = { .header = 0 };
	off_t size = file_size(s->fd);
	if (size < 0 && size != -ESPIPE)
		return (int)size;
	bool appending = (fcntl(s->fd, F_GETFL) & O_APPEND) != 0 && size > 0;
	/* Standard output that is appended to has its header. */
	if (appending && s->path == NULL)
		return 0;
	if (appending && !fits_file(s, s->fd, &found))
		return -EINVAL;
	return complete_header(s, &found, abort);
}

/* What is written begins on a line of its own. */
static int end_line(struct sink *s, const atomic_bool *abort)
{
	if (!s->torn)
		return 0;
	log_warn("output", "the file ends within a line, which stays and is ended file=%s",
		 s->path);
	s->torn = false;
	return write_block(s, SLICE_LITERAL("\n"), abort);
}

static int reopen(struct sink *s, const atomic_bool *abort)
{
	struct found found;
	int fd = file_open(s->path, false);
	if (fd < 0) {
		log_error("output", "cannot reopen, still writing to the old file file=%s error=%s",
			  s->path, error_text(fd));
		return 0;
	}
	if (!fits_file(s, fd, &found)) {
		log_error("output", "still writing to the old file file=%s", s->path);
		close(fd);
		return 0;
	}
	close(s->fd);
	s->fd = fd;
	log_info("output", "reopened file=%s", s->path);
	return complete_header(s, &found, abort);
}

/* ---- the writers' side ----------------------------------------------------------------------- */

/* 0 with the lock held, or why it is not. */
static int lock(struct sink *s, const atomic_bool *abort)
{
	int error;
	do {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOCK_PAUSE_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		error = pthread_mutex_timedlock(&s->mutex, &until);
	} while (error == ETIMEDOUT && !atomic_load(abort));
	if (error == 0 && s->error == 0)
		return 0;
	if (error != 0)
		return error == ETIMEDOUT ? -ECANCELED : -error;
	error = s->error;
	pthread_mutex_unlock(&s->mutex);
	return error;
}

/* Part of a block may be out: nothing goes behind that. */
static int unlock(struct sink *s, int error)
{
	s->error = error;
	pthread_mutex_unlock(&s->mutex);
	return error;
}

/* Opens a FIFO that had no reader; who gives up leaves it to the others. */
static int open_fifo(struct sink *s, const atomic_bool *abort)
{
	log_info("output", "waiting for a reader file=%s", s->path);
	do {
		if (atomic_load(abort))
			return -ECANCELED;
		s->fd = file_open(s->path, true);
	} while (s->fd == -EINTR);
	atomic_store(&s->open, s->fd >= 0);
	return s->fd < 0 ? s->fd : 0;
}

int sink_wait(struct sink *s, const atomic_bool *abort)
{
	int error = lock(s, abort);
	if (error != 0)
		return error;
	error = s->fd >= 0 ? 0 : open_fifo(s, abort);
	(void)unlock(s, error == -ECANCELED ? 0 : error);
	return error;
}

int sink_write(struct sink *s, struct slice block, const atomic_bool *abort)
{
	int error = lock(s, abort);
	if (error != 0)
		return error;
	error = end_line(s, abort);
	return unlock(s, error != 0 ? error : write_block(s, block, abort));
}

int sink_header(struct sink *s, struct buf *header, const atomic_bool *abort)
{
	int error = lock(s, abort);
	if (error != 0 || s->begun)
		return error != 0 ? error : unlock(s, 0);
	s->begun = true;
	s->header = *header;
	buf_init(header, header->max);
	return unlock(s, write_header(s, abort));
}

int sink_reopen(struct sink *s, unsigned hup, const atomic_bool *abort)
{
	int error = lock(s, abort);
	if (error != 0)
		return error;
	/* A writer may be so late that others come with the next HUP before it comes with this. */
	bool due = s->path != NULL && hup > s->hup;
	if (due)
		s->hup = hup;
	return unlock(s, due ? reopen(s, abort) : 0);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

/*
 * Opens the descriptor, unless it is a FIFO that has no reader. Whether text with a header fits its
 * file is looked at once that is known.
 */
static int open_descriptor(struct sink *s)
{
	s->fd = s->path == NULL ? STDOUT_FILENO : file_open(s->path, false);
	if (s->fd == -ENXIO && file_is_fifo(s->path))
		return 0;
	if (s->fd < 0)
		return s->fd;
	atomic_store(&s->open, true);
	if (s->config->encoder.class->header != NULL)
		return 0;
	if (s->config->encoder.class->messages && isatty(s->fd)) {
		log_error("output",
			  "IPFIX is binary, which a terminal cannot show; give a file or a "
			  "collector, or ask for ipfix-csv");
		return -EINVAL;
	}
	struct found found;
	bool fits = fits_file(s, s->fd, &found);
	s->torn = found.torn;
	return fits ? 0 : -EINVAL;
}

int sink_open(struct sink **s, const struct output_config *config)
{
	struct sink *new = calloc(1, sizeof(*new));
	if (new == NULL)
		return -ENOMEM;
	new->config = config;
	bool file = config->destination.kind == DESTINATION_FILE;
	new->path = file ? config->destination.path : NULL;
	atomic_init(&new->holders, 1);
	atomic_init(&new->open, false);
	pthread_mutex_init(&new->mutex, NULL);
	buf_init(&new->header, 0);
	int error = open_descriptor(new);
	if (error != 0) {
		sink_close(&new);
		return error;
	}
	*s = new;
	return 0;
}

bool sink_is_open(const struct sink *s)
{
	return atomic_load(&s->open);
}

struct sink *sink_share(struct sink *s)
{
	atomic_fetch_add(&s->holders, 1);
	return s;
}

void sink_close(struct sink **s)
{
	struct sink *old = *s;
	*s = NULL;
	if (old == NULL || atomic_fetch_sub(&old->holders, 1) > 1)
		return;
	if (old->path != NULL && old->fd >= 0)
		close(old->fd);
	buf_deinit(&old->header);
	pthread_mutex_destroy(&old->mutex);
	free(old);
}
