/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in turns, like a peer that is always ready. Regular files are read when their turn comes;
 * pipes and terminals are waited for by the loop, so that signals are heard meanwhile.
 */
#include "receive/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

enum { READ_SIZE = 256 * 1024 };

struct reader {
	struct worker *worker;
	struct reading *reading;
	size_t read; /* files read to their end */
	void (*on_done)(struct reader *r, void *data);
	void *data;
	struct turn turn;
	bool failed;
	bool stopped;

	/* the file being read */
	const char *name; /* NULL between two */
	int fd;
	int flags; /* of a descriptor that the loop waits for, to be put back; -1 else */
	bool eof;
	int error; /* why it ended early, 0 else */
	struct intake *intake;
	struct slice in; /* of octets or the intake's, not yet used */
	uv_poll_t *poll; /* NULL for what never blocks */
	char octets[READ_SIZE];
};

static void fail(struct reader *r, const char *name, int error)
{
	char text[LOG_ESCAPED];
	r->failed = true;
	log_error("read", "cannot read file=\"%s\" error=\"%s\"",
		  log_escape(slice_text(name), text), error_text(error));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct reader *r = poll->data;
	(void)status;
	(void)events;
	uv_poll_stop(poll);
	worker_schedule(r->worker, &r->turn);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

/* Pipes, sockets and terminals can be waited for; what cannot never blocks. */
static void watch(struct reader *r)
{
	r->flags = fcntl(r->fd, F_GETFL);
	r->poll = malloc(sizeof(*r->poll));
	if (r->poll != NULL && uv_poll_init(&r->worker->loop, r->poll, r->fd) == 0) {
		r->poll->data = r;
		return;
	}
	free(r->poll);
	r->poll = NULL;
	r->flags = -1;
}

static bool open_file(struct reader *r, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	r->fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0) {
		fail(r, name, -errno);
		return false;
	}
	r->intake = intake_new(&r->worker->pipeline, PAYLOAD_STREAM, name);
	if (r->intake == NULL) {
		fail(r, name, -ENOMEM);
		if (!standard)
			close(r->fd);
		return false;
	}
	r->name = name;
	r->eof = false;
	r->error = 0;
	r->in = SLICE_NONE;
	watch(r);
	return true;
}

static void close_file(struct reader *r)
{
	if (r->name == NULL)
		return;
	r->failed = r->failed || intake_rejected(r->intake) > 0;
	intake_free(&r->intake);
	if (r->poll != NULL)
		uv_close((uv_handle_t *)r->poll, on_poll_closed);
	r->poll = NULL;
	/* The loop made it non-blocking, and others may share it. */
	if (r->flags >= 0)
		fcntl(r->fd, F_SETFL, r->flags);
	if (r->fd != STDIN_FILENO)
		close(r->fd);
	r->name = NULL;
}

/* False: nothing came, and the loop waits for it. */
static bool read_more(struct reader *r)
{
	ssize_t n;
	size_t room = sizeof(r->octets);
	char *to = intake_room(r->intake, &room);
	if (to == NULL)
		to = r->octets;
	do
		n = read(r->fd, to, room);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN && r->poll != NULL) {
		uv_poll_start(r->poll, UV_READABLE, on_readable);
		return false;
	}
	if (n < 0) {
		r->error = -errno;
		fail(r, r->name, r->error);
	}
	r->eof = n <= 0;
	r->in = slice_of(to, n > 0 ? (size_t)n : 0);
	r->worker->stats.bytes_received += r->in.len;
	return true;
}

static void tell_fault(struct reader *r, const struct fault *fault)
{
	char name[LOG_ESCAPED];
	char sample[LOG_ESCAPED];
	r->failed = true;
	r->worker->stats.payloads_rejected++;
	r->worker->stats.fault[fault->code]++;
	if (!once_first(&r->worker->once, r->name, fault->code, uv_now(&r->worker->loop)))
		return;
	log_error("payload", "payload rejected: %s file=\"%s\" offset=%zu octets=\"%s\"",
		  fault_text(fault->code), log_escape(slice_text(r->name), name), fault->offset,
		  log_escape(fault_sample(fault), sample));
}

/* The next file that nobody has taken; NULL when there is none. */
static const char *next_file(struct reader *r)
{
	size_t next = r->stopped ? r->reading->files : atomic_fetch_add(&r->reading->next, 1);
	return next < r->reading->files ? r->reading->file[next] : NULL;
}

static enum turn_result on_turn(struct turn *turn)
{
	struct reader *r = CONTAINER_OF(turn, struct reader, turn);
	struct fault fault;
	while (r->name == NULL) {
		const char *name = next_file(r);
		if (name == NULL) {
			r->on_done(r, r->data);
			return TURN_DONE;
		}
		(void)open_file(r, name);
	}
	if (r->in.len == 0 && !r->eof && !intake_pending(r->intake) && !read_more(r))
		return TURN_DONE;
	enum step step = intake_run(r->intake, &r->in, r->eof && r->error == 0, &fault);
	if (r->worker->pipeline.sums_error != 0) {
		/* Nothing more can be of use: the owner knows what to say. */
		reader_stop(r);
		r->on_done(r, r->data);
		return TURN_DONE;
	}
	if (step == STEP_BAD)
		tell_fault(r, &fault);
	bool lost = step == STEP_BAD && !fault.contained;
	bool whole = step == STEP_MORE && r->eof && r->error == 0;
	if (whole)
		r->read++;
	if (lost || (step == STEP_MORE && r->eof))
		close_file(r);
	return TURN_YIELD;
}

struct reader *reader_new(struct worker *w, struct reading *reading,
			  void (*on_done)(struct reader *r, void *data), void *data)
{
	struct reader *r = malloc(sizeof(*r));
	if (r == NULL)
		return NULL;
	r->worker = w;
	r->reading = reading;
	r->read = 0;
	r->on_done = on_done;
	r->data = data;
	r->turn = (struct turn){ .work = on_turn };
	r->failed = false;
	r->stopped = false;
	r->name = NULL;
	r->intake = NULL;
	worker_schedule(w, &r->turn);
	return r;
}

void reader_stop(struct reader *r)
{
	r->stopped = true;
	worker_unschedule(r->worker, &r->turn);
	close_file(r);
}

bool reader_failed(const struct reader *r)
{
	return r->failed;
}

size_t reader_files(const struct reader *r)
{
	return r->read;
}

void reader_free(struct reader **r)
{
	free(*r);
	*r = NULL;
}
