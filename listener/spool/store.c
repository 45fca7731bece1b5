/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends, in groups; the position; segments that go. Everything here but the two ends of the queue
 * runs on the store's own thread, as all of it may block. After an error a segment is cut back to
 * where it was good, so that no part of a frame is left in it; when even that fails it is left as it
 * is, and a new one begun: a part of a frame is known by its digest.
 */
#include "spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "spool/folder.h"
#include "spool/seen_file.h"

enum {
	NOTES_MOST = 64 * 1024, /* payloads that are not noted yet, some MB */
	WORTH_WHILE = 4,	/* the part of a segment that is removed when all is delivered */
};

TAILQ_HEAD(appends, append);

/* A payload whose digest is to be noted, while its octets need not be stored. */
struct note {
	STAILQ_ENTRY(note) link;
	struct seen_payload payload;
};

STAILQ_HEAD(notes, note);

struct store {
	struct folder folder;
	uint64_t segment_size;
	uv_async_t async;
	void (*on_octets)(void *data);
	void *data;
	uv_thread_t thread;
	uv_mutex_t mutex;
	uv_cond_t wake;
	struct appends queue;  /* guarded by mutex */
	struct appends stored; /* guarded by mutex */
	uint64_t waiting;      /* guarded by mutex: octets to be written that are counted already */
	struct place delivered; /* guarded by mutex */
	struct keeps asked;	/* guarded by mutex: segments to be kept */
	struct notes known;	/* guarded by mutex: to be noted */
	unsigned notes;		/* guarded by mutex: of those and of the thread's own */
	bool news;		/* guarded by mutex: of those three */
	struct place *cut;	/* guarded by mutex: where segments end before their files do */
	size_t cuts;		/* guarded by mutex */
	bool stop;		/* guarded by mutex */
	bool empty;		/* guarded by mutex */
	bool closed;

	/* the thread's own */
	uint64_t segment;
	int fd;	     /* of it, or -1: the next append begins one */
	bool spoilt; /* part of a frame could not be cut off */
	uint64_t synced;
	uint64_t written;
	uint64_t good;	  /* octets of frames that did not fail */
	struct place end; /* of the last of those */
	bool tight;	  /* the last one found no space */
	struct seen_file seen;
	struct notes unnoted;
};

int store_folder(const struct store *s)
{
	return s->folder.dir;
}

uint64_t store_octets(const struct store *s)
{
	return atomic_load(&s->folder.octets);
}

static uint64_t frame_octets(const struct append *a)
{
	char line[SEGMENT_HEADER];
	return segment_header(&a->payload.digest, a->octets.len, line) + a->octets.len;
}

/* ---- segments -------------------------------------------------------------------------------- */

/* Octets of the open segment, as far as that can be found out. */
static uint64_t open_octets(const struct store *s)
{
	struct stat st;
	return fstat(s->fd, &st) == 0 ? (uint64_t)st.st_size : s->good;
}

/* Without memory what failed is delivered, too. */
static void add_cut(struct store *s, struct place at)
{
	uv_mutex_lock(&s->mutex);
	struct place *grown = reallocarray(s->cut, s->cuts + 1, sizeof(*grown));
	if (grown != NULL) {
		s->cut = grown;
		s->cut[s->cuts++] = at;
	}
	uv_mutex_unlock(&s->mutex);
}

static void forget_cuts(struct store *s)
{
	size_t left = 0;
	uv_mutex_lock(&s->mutex);
	for (size_t i = 0; i < s->cuts; i++)
		if (s->cut[i].segment >= s->folder.oldest)
			s->cut[left++] = s->cut[i];
	s->cuts = left;
	uv_mutex_unlock(&s->mutex);
}

/*
 * What is left of frames that failed is counted from here on, since the file is removed as it is. It
 * ends before them for those who read.
 */
static void end_segment(struct store *s)
{
	if (s->fd < 0)
		return;
	uint64_t octets = open_octets(s);
	atomic_fetch_add(&s->folder.octets, octets - s->good);
	uint64_t end = s->end.segment == s->segment ? s->end.offset : 0;
	if (octets > end)
		add_cut(s, (struct place){ s->segment, end });
	close(s->fd);
	s->fd = -1;
}

/* Somebody put a file where the next segment belongs: it is not ours to remove. */
static void leave_alone(struct store *s, uint64_t number, const char *name)
{
	struct stat st;
	keeps_add(&s->folder.keeps, number);
	if (fstatat(s->folder.dir, name, &st, 0) == 0)
		atomic_fetch_add(&s->folder.octets, (uint64_t)st.st_size);
	log_warn("spool", "was not there before, it is kept as .kept file=%s", name);
}

/* Makes the file of the next free number. */
static int make_segment(struct store *s, char name[SEGMENT_NAME])
{
	for (;;) {
		segment_name(s->segment + 1, ".put", name);
		int fd = openat(s->folder.dir, name,
				O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -errno;
		/* Used up, even if it should not be possible to begin it, nor to remove it. */
		s->segment++;
		if (fd >= 0)
			return fd;
		leave_alone(s, s->segment, name);
	}
}

static int begin_segment(struct store *s)
{
	char name[SEGMENT_NAME];
	int fd = make_segment(s, name);
	if (fd < 0)
		return fd;
	if (fsync(s->folder.dir) != 0) {
		int error = -errno;
		close(fd);
		(void)unlinkat(s->folder.dir, name, 0);
		return error;
	}
	s->fd = fd;
	s->spoilt = false;
	s->synced = 0;
	s->written = 0;
	s->good = 0;
	return 0;
}

/* Nothing behind `to` stays; else nothing more than this group goes there. */
static void cut_back(struct store *s, uint64_t to)
{
	struct stat st;
	if (ftruncate(s->fd, (off_t)to) == 0) {
		s->written = to;
		return;
	}
	s->spoilt = true;
	if (fstat(s->fd, &st) == 0)
		s->written = (uint64_t)st.st_size;
}

static int write_octets(int fd, struct iovec *part, int parts)
{
	while (parts > 0) {
		ssize_t n = writev(fd, part, parts);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		size_t left = (size_t)n;
		for (; parts > 0 && left >= part->iov_len; part++, parts--)
			left -= part->iov_len;
		if (parts > 0) {
			part->iov_base = (char *)part->iov_base + left;
			part->iov_len -= left;
		}
	}
	return 0;
}

static int write_frame(struct store *s, struct append *a)
{
	char line[SEGMENT_HEADER];
	int error = s->fd < 0 ? begin_segment(s) : 0;
	if (error != 0)
		return error;
	struct iovec parts[] = {
		{ line, segment_header(&a->payload.digest, a->octets.len, line) },
		{ (char *)(uintptr_t)a->octets.data, a->octets.len },
	};
	size_t octets = parts[0].iov_len + parts[1].iov_len;
	a->at = (struct place){ s->segment, s->written };
	error = write_octets(s->fd, parts, 2);
	if (error != 0) {
		cut_back(s, s->written);
		return error;
	}
	s->written += octets;
	a->end = (struct place){ s->segment, s->written };
	return 0;
}

/* ---- what was seen --------------------------------------------------------------------------- */

/* Puts off what could not be noted, unless that is too much already. */
static void note_later(struct store *s, struct notes *notes, const struct seen_payload *payload)
{
	struct note *n = malloc(sizeof(*n));
	if (n == NULL)
		return;
	n->payload = *payload;
	uv_mutex_lock(&s->mutex);
	bool room = s->notes < NOTES_MOST;
	s->notes += room;
	if (room)
		STAILQ_INSERT_TAIL(notes, n, link);
	s->news = true;
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->mutex);
	if (!room)
		free(n);
}

/* What fails is tried again with the next work. */
static void write_notes(struct store *s)
{
	struct note *n;
	unsigned written = 0;
	while ((n = STAILQ_FIRST(&s->unnoted)) != NULL && seen_file_write(&s->seen, &n->payload)) {
		STAILQ_REMOVE_HEAD(&s->unnoted, link);
		free(n);
		written++;
	}
	uv_mutex_lock(&s->mutex);
	s->notes -= written;
	uv_mutex_unlock(&s->mutex);
}

static void free_notes(struct notes *notes)
{
	struct note *n;
	while ((n = STAILQ_FIRST(notes)) != NULL) {
		STAILQ_REMOVE_HEAD(notes, link);
		free(n);
	}
}

/* ---- a group --------------------------------------------------------------------------------- */

/* Makes safe what was written since the last time; what was not then fails, all of it. */
static void sync_group(struct store *s, struct append *first, const struct append *end)
{
	int error = s->fd < 0 ? 0 : fdatasync(s->fd) == 0 ? 0 : -errno;
	if (error == 0)
		s->synced = s->written;
	for (struct append *a = first; a != end; a = TAILQ_NEXT(a, link)) {
		if (a->error == 0)
			a->error = error;
		if (a->error != 0) {
			atomic_fetch_sub(&s->folder.octets, frame_octets(a));
			continue;
		}
		s->good += frame_octets(a);
		s->end = a->end;
		if (!seen_file_write(&s->seen, &a->payload))
			note_later(s, &s->unnoted, &a->payload);
	}
	if (error == 0)
		return;
	/* What the kernel could not write it may have forgotten: nothing goes behind that. */
	cut_back(s, s->synced);
	end_segment(s);
}

/* Whether it is within its limit, with all that is there but nothing that waits behind it. */
static bool has_room(struct store *s, const struct append *a)
{
	uv_mutex_lock(&s->mutex);
	s->waiting -= frame_octets(a);
	uint64_t octets = store_octets(s) - s->waiting;
	uv_mutex_unlock(&s->mutex);
	return a->most == 0 || octets <= a->most;
}

static void write_group(struct store *s, struct appends *group)
{
	struct append *unsynced = TAILQ_FIRST(group);
	const struct append *last = TAILQ_LAST(group, appends);
	for (struct append *a = unsynced; a != NULL; a = TAILQ_NEXT(a, link)) {
		if (s->fd >= 0 && s->written >= s->segment_size) {
			sync_group(s, unsynced, a);
			unsynced = a;
			end_segment(s);
		}
		a->error = has_room(s, a) ? write_frame(s, a) : -EDQUOT;
	}
	sync_group(s, unsynced, NULL);
	s->tight = last->error == -ENOSPC || last->error == -EDQUOT;
	if (s->spoilt)
		end_segment(s);
}

/* ---- what is delivered ----------------------------------------------------------------------- */

/*
 * Marks the segments that are to be kept. While one cannot be, the position stays before it: a start
 * finds out again what is wrong with it.
 */
static struct place hold_back(struct store *s, struct place to)
{
	uv_mutex_lock(&s->mutex);
	keeps_move(&s->asked, &s->folder.keeps);
	uv_mutex_unlock(&s->mutex);
	uint64_t unmarked = keeps_mark(&s->folder.keeps, s->folder.dir);
	bool behind = unmarked != 0 && to.segment >= unmarked;
	return behind ? (struct place){ unmarked, 0 } : to;
}

static void note_position(struct store *s, struct place delivered)
{
	struct place to = hold_back(s, delivered);
	if (place_compare(to, s->folder.noted) <= 0)
		return;
	folder_note(&s->folder, to);
	if (s->folder.oldest >= to.segment)
		return;
	/* The digests of what goes are known from the segment until it goes, from here on not. */
	seen_file_sync(&s->seen);
	folder_remove_before(&s->folder, to.segment);
	forget_cuts(s);
}

/* Once everything is delivered nothing has to wait for the open segment to be full. */
static void remove_delivered(struct store *s, struct place delivered)
{
	if (place_compare(delivered, s->end) != 0 || s->end.segment < s->folder.oldest)
		return;
	end_segment(s);
	note_position(s, (struct place){ s->segment + 1, 0 });
}

/* Notes what is delivered, which goes when it is worth while, or space is needed. */
static void let_go(struct store *s, struct place delivered, bool all)
{
	note_position(s, delivered);
	if (all || s->tight || s->fd < 0 || s->written >= s->segment_size / WORTH_WHILE)
		remove_delivered(s, delivered);
}

/* The position stays only where a start has to know that what is left was delivered. */
static void remove_everything(struct store *s)
{
	end_segment(s);
	note_position(s, (struct place){ s->segment + 1, 0 });
	if (!s->folder.left && s->folder.oldest > s->segment)
		(void)unlinkat(s->folder.dir, "position", 0);
}

/* ---- the thread ------------------------------------------------------------------------------ */

struct work {
	struct appends group;
	struct place delivered;
	bool stop;
	bool empty;
};

static bool has_work(const struct store *s)
{
	return !TAILQ_EMPTY(&s->queue) || s->stop || s->news;
}

static void wait_for_work(struct store *s, struct work *work)
{
	TAILQ_INIT(&work->group);
	uv_mutex_lock(&s->mutex);
	while (!has_work(s))
		uv_cond_wait(&s->wake, &s->mutex);
	TAILQ_CONCAT(&work->group, &s->queue, link);
	STAILQ_CONCAT(&s->unnoted, &s->known);
	work->delivered = s->delivered;
	s->news = false;
	work->stop = s->stop;
	work->empty = s->empty;
	uv_mutex_unlock(&s->mutex);
}

static bool needs_room(const struct appends *group)
{
	const struct append *a;
	TAILQ_FOREACH(a, group, link)
		if (a->most != 0)
			return true;
	return false;
}

static void hand_back(struct store *s, struct appends *group)
{
	uv_mutex_lock(&s->mutex);
	TAILQ_CONCAT(&s->stored, group, link);
	uv_mutex_unlock(&s->mutex);
	uv_async_send(&s->async);
}

static void run(void *arg)
{
	struct store *s = arg;
	struct work work;
	do {
		wait_for_work(s, &work);
		if (needs_room(&work.group))
			let_go(s, work.delivered, true);
		if (!TAILQ_EMPTY(&work.group)) {
			write_group(s, &work.group);
			hand_back(s, &work.group);
		}
		write_notes(s);
		uint64_t before = store_octets(s);
		let_go(s, work.delivered, false);
		if (store_octets(s) != before)
			uv_async_send(&s->async);
	} while (!work.stop);
	if (work.empty)
		remove_everything(s);
	end_segment(s);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

void store_append(struct store *s, struct append *a)
{
	uv_mutex_lock(&s->mutex);
	atomic_fetch_add(&s->folder.octets, frame_octets(a));
	s->waiting += frame_octets(a);
	TAILQ_INSERT_TAIL(&s->queue, a, link);
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->mutex);
}

void store_delivered(struct store *s, struct place to)
{
	uv_mutex_lock(&s->mutex);
	s->delivered = to;
	s->news = true;
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->mutex);
}

struct place store_cut(struct store *s, struct place from)
{
	struct place next = { UINT64_MAX, 0 };
	uv_mutex_lock(&s->mutex);
	for (size_t i = 0; i < s->cuts; i++)
		if (place_compare(s->cut[i], from) >= 0 && place_compare(s->cut[i], next) < 0)
			next = s->cut[i];
	uv_mutex_unlock(&s->mutex);
	return next;
}

void store_keep(struct store *s, uint64_t segment)
{
	uv_mutex_lock(&s->mutex);
	keeps_add(&s->asked, segment);
	s->news = true;
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->mutex);
}

void store_remember(struct store *s, const struct seen_payload *payload)
{
	note_later(s, &s->known, payload);
}

void store_refuse(struct store *s, struct append *a, int error)
{
	struct appends one = TAILQ_HEAD_INITIALIZER(one);
	a->error = error;
	TAILQ_INSERT_TAIL(&one, a, link);
	hand_back(s, &one);
}

void store_watch(struct store *s, void (*on_octets)(void *data), void *data)
{
	s->on_octets = on_octets;
	s->data = data;
}

static void on_stored(uv_async_t *async)
{
	struct store *s = async->data;
	struct appends stored = TAILQ_HEAD_INITIALIZER(stored);
	struct append *a;
	uv_mutex_lock(&s->mutex);
	TAILQ_CONCAT(&stored, &s->stored, link);
	uv_mutex_unlock(&s->mutex);
	while (!s->closed && (a = TAILQ_FIRST(&stored)) != NULL) {
		TAILQ_REMOVE(&stored, a, link);
		a->done(a);
	}
	if (!s->closed && s->on_octets != NULL)
		s->on_octets(s->data);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void close_files(struct store *s)
{
	seen_file_close(&s->seen);
	free_notes(&s->known);
	free_notes(&s->unnoted);
	keeps_deinit(&s->asked);
	free(s->cut);
	s->cut = NULL;
	s->cuts = 0;
	folder_unlock(&s->folder);
}

static void close_folder(struct store *s)
{
	close_files(s);
	folder_close(&s->folder);
}

static int init_locks(struct store *s)
{
	int error = uv_mutex_init(&s->mutex);
	if (error != 0)
		return error;
	error = uv_cond_init(&s->wake);
	if (error != 0)
		uv_mutex_destroy(&s->mutex);
	return error;
}

static void destroy_locks(struct store *s)
{
	uv_cond_destroy(&s->wake);
	uv_mutex_destroy(&s->mutex);
}

static void on_never_started(uv_handle_t *handle)
{
	struct store *s = handle->data;
	destroy_locks(s);
	free(s);
}

static struct store *store_new(uint64_t segment_size)
{
	struct store *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	folder_init(&s->folder);
	s->seen.fd = s->fd = -1;
	s->segment_size = segment_size;
	TAILQ_INIT(&s->queue);
	TAILQ_INIT(&s->stored);
	STAILQ_INIT(&s->known);
	STAILQ_INIT(&s->unnoted);
	s->async.data = s;
	return s;
}

int store_open(struct store **s, const char *path, uint64_t segment_size, uv_loop_t *loop,
	       struct seen *seen, struct store_state *state)
{
	struct store *new = store_new(segment_size);
	if (new == NULL)
		return -ENOMEM;
	int error = folder_open(&new->folder, path, &state->delivered, &state->end);
	if (error == 0) {
		new->seen.dir = new->folder.dir;
		new->segment = state->end.segment - 1;
		new->delivered = state->delivered;
		seen_file_load(&new->seen, seen);
		error = init_locks(new);
	}
	if (error != 0) {
		close_folder(new);
		free(new);
		return error;
	}
	error = uv_async_init(loop, &new->async, on_stored);
	if (error != 0) {
		close_folder(new);
		destroy_locks(new);
		free(new);
		return error;
	}
	error = thread_start(&new->thread, "spool", 0, run, new);
	if (error != 0) {
		close_folder(new);
		uv_close((uv_handle_t *)&new->async, on_never_started);
		return error;
	}
	*s = new;
	return 0;
}

void store_close(struct store *s, bool empty)
{
	uv_mutex_lock(&s->mutex);
	s->stop = true;
	s->empty = empty;
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->mutex);
	uv_thread_join(&s->thread);
	s->closed = true;
	close_files(s);
	uv_close((uv_handle_t *)&s->async, NULL);
}

void store_free(struct store **s)
{
	if (*s == NULL)
		return;
	close_folder(*s);
	destroy_locks(*s);
	free(*s);
	*s = NULL;
}

void store_remove_folder(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	(void)unlinkat(dir, "lock", 0);
	close(dir);
	/* Digests of the last hours keep it, and segments that were kept. */
	(void)rmdir(path);
}
