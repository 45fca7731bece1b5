/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends, in groups; the position; segments that go. Everything here but the two ends of the queue
 * runs on the store's own thread, as all of it may block. After an error a segment is cut back to
 * where it was good, so that no part of a frame is left in it; when even that fails it is left as it
 * is, and a new one begun: a part of a frame is known by its digest.
 */
#include "spool/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "spool/keep.h"

enum {
	SEEN_RECORD = DIGEST_SIZE + 8 + 8, /* digest, seconds and flows, little-endian */
	SEEN_HOURS = 24,		   /* files of hours before these are not looked at */
	HOUR = 3600,
	NOTES_MOST = 64 * 1024, /* payloads that are not noted yet, some MB */
	WORTH_WHILE = 4,	/* the part of a segment that is removed when all is delivered */
	POSITION_TEXT = 64,
	POSITION_OCTETS = 16 + 1 + 20 + 1, /* segment in hexadecimal, offset, newline */
};

TAILQ_HEAD(appends, append);

/* A payload whose digest is to be noted, while its octets need not be stored. */
struct note {
	STAILQ_ENTRY(note) link;
	struct seen_payload payload;
};

STAILQ_HEAD(notes, note);

struct store {
	int dir;
	int lock;
	uint64_t segment_size;
	uv_async_t async;
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
	atomic_uint_least64_t octets;

	/* the thread's own */
	uint64_t oldest; /* segment that is there */
	struct keeps keeps;
	bool left; /* a segment before the oldest could not be renamed */
	uint64_t segment;
	int fd;	     /* of it, or -1: the next append begins one */
	bool spoilt; /* part of a frame could not be cut off */
	uint64_t synced;
	uint64_t written;
	uint64_t good;	  /* octets of frames that did not fail */
	struct place end; /* of the last of those */
	bool tight;	  /* the last one found no space */
	struct place noted;
	int position_fd;
	int seen_fd;
	int64_t seen_hour;
	bool seen_dirty;
	bool seen_failed;
	struct notes unnoted;
};

int store_folder(const struct store *s)
{
	return s->dir;
}

uint64_t store_octets(const struct store *s)
{
	return atomic_load(&s->octets);
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
		if (s->cut[i].segment >= s->oldest)
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
	atomic_fetch_add(&s->octets, octets - s->good);
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
	keeps_add(&s->keeps, number);
	if (fstatat(s->dir, name, &st, 0) == 0)
		atomic_fetch_add(&s->octets, (uint64_t)st.st_size);
	log_warn("spool", "was not there before, it is kept as .kept file=%s", name);
}

/* Makes the file of the next free number. */
static int make_segment(struct store *s, char name[SEGMENT_NAME])
{
	for (;;) {
		segment_name(s->segment + 1, ".put", name);
		int fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
				0600);
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
	if (fsync(s->dir) != 0) {
		int error = -errno;
		close(fd);
		(void)unlinkat(s->dir, name, 0);
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

static void put_number(unsigned char *to, uint64_t n)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(n >> (8 * i));
}

static uint64_t get_number(const unsigned char *from)
{
	uint64_t n = 0;
	for (int i = 7; i >= 0; i--)
		n = n << 8 | from[i];
	return n;
}

static void seen_name(int64_t hour, char name[SEGMENT_NAME])
{
	(void)snprintf(name, SEGMENT_NAME, "seen-%" PRId64, hour);
}

/* The hour of a file of digests, or -1. */
static int64_t seen_file_hour(const char *name)
{
	int64_t hour = 0;
	if (strncmp(name, "seen-", 5) != 0 || strlen(name) > 15 || name[5] == '\0')
		return -1;
	for (name += 5; *name != '\0'; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		hour = hour * 10 + (*name - '0');
	}
	return hour;
}

static void sync_seen(struct store *s)
{
	if (s->seen_dirty && s->seen_fd >= 0 && fdatasync(s->seen_fd) == 0)
		s->seen_dirty = false;
}

static void close_seen(struct store *s)
{
	sync_seen(s);
	if (s->seen_fd >= 0)
		close(s->seen_fd);
	s->seen_fd = -1;
}

/* Hours may have gone by without a payload, so one file's time was over at any of the last. */
static void forget_seen(struct store *s, int64_t hour)
{
	for (int64_t old = hour - 2 * SEEN_HOURS; old < hour - SEEN_HOURS; old++) {
		char name[SEGMENT_NAME];
		seen_name(old, name);
		(void)unlinkat(s->dir, name, 0);
	}
}

/* Opens the hour's file, without the part of a record that a crash may have left at its end. */
static bool open_seen(struct store *s, int64_t hour)
{
	char name[SEGMENT_NAME];
	struct stat st;
	close_seen(s);
	seen_name(hour, name);
	s->seen_fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (s->seen_hour != hour)
		forget_seen(s, hour);
	s->seen_hour = hour;
	if (s->seen_fd < 0)
		return false;
	bool known = fstat(s->seen_fd, &st) == 0;
	off_t rest = known ? st.st_size % SEEN_RECORD : 0;
	if (!known || (rest != 0 && ftruncate(s->seen_fd, st.st_size - rest) != 0))
		close_seen(s);
	return s->seen_fd >= 0;
}

/* Without this a payload may be taken twice over a restart: worth a line, not a refusal. */
static bool write_seen(struct store *s, const struct seen_payload *p)
{
	unsigned char record[SEEN_RECORD];
	int64_t hour = p->seconds / HOUR;
	bool ok = s->seen_fd >= 0 && s->seen_hour == hour;
	if (!ok)
		ok = open_seen(s, hour);
	memcpy(record, p->digest.octets, DIGEST_SIZE);
	put_number(record + DIGEST_SIZE, (uint64_t)p->seconds);
	put_number(record + DIGEST_SIZE + 8, p->flows);
	ssize_t n = ok ? write(s->seen_fd, record, sizeof(record)) : -1;
	ok = n == (ssize_t)sizeof(record);
	s->seen_dirty = true;
	if (!ok && !s->seen_failed)
		log_warn("spool",
			 "cannot note what was taken, a restart may take it again error=\"%s\"",
			 strerror(errno));
	/* Opened anew next time, which removes the part of a record. */
	if (!ok)
		close_seen(s);
	s->seen_failed = !ok;
	return ok;
}

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
	while ((n = STAILQ_FIRST(&s->unnoted)) != NULL && write_seen(s, &n->payload)) {
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

static void read_seen(int fd, struct seen *seen, int64_t now)
{
	unsigned char record[SEEN_RECORD];
	FILE *file = fdopen(fd, "r");
	if (file == NULL) {
		close(fd);
		return;
	}
	while (fread(record, sizeof(record), 1, file) == 1) {
		struct seen_payload p = {
			.seconds = (int64_t)get_number(record + DIGEST_SIZE),
			.flows = get_number(record + DIGEST_SIZE + 8),
		};
		memcpy(p.digest.octets, record, DIGEST_SIZE);
		/* A time to come is a clock's mistake: such a record would never grow old. */
		if (p.seconds <= now + HOUR)
			(void)seen_add(seen, &p, now);
	}
	(void)fclose(file);
}

static void load_seen(struct store *s, struct seen *seen)
{
	int64_t now = time(NULL);
	for (int64_t hour = now / HOUR - SEEN_HOURS; hour <= now / HOUR + 1; hour++) {
		char name[SEGMENT_NAME];
		seen_name(hour, name);
		int fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			read_seen(fd, seen, now);
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
			atomic_fetch_sub(&s->octets, frame_octets(a));
			continue;
		}
		s->good += frame_octets(a);
		s->end = a->end;
		if (!write_seen(s, &a->payload))
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

/* Under its name nothing of it is delivered again, as it lies before the position. */
static int keep_segment(struct store *s, uint64_t number, const char *name)
{
	int error = keep_rename(s->dir, number);
	if (error == 0)
		return 0;
	/* So that the next start knows. */
	(void)!keep_mark(s->dir, number);
	s->left = true;
	log_error("spool",
		  "cannot rename what is kept, it stays as it is until a start can file=%s "
		  "error=\"%s\"",
		  name, strerror(-error));
	return error;
}

static int unlink_segment(const struct store *s, const char *name)
{
	if (unlinkat(s->dir, name, 0) == 0)
		return 0;
	if (errno != ENOENT)
		log_warn("spool", "cannot remove what was delivered file=%s error=\"%s\"", name,
			 strerror(errno));
	return -errno;
}

/* All of it is delivered, or as much as can be. */
static void remove_segment(struct store *s, uint64_t number)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(number, ".put", name);
	uint64_t octets = fstatat(s->dir, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
	bool kept = keeps_has(&s->keeps, number) || keep_is_marked(s->dir, number);
	if ((kept ? keep_segment(s, number, name) : unlink_segment(s, name)) == 0)
		atomic_fetch_sub(&s->octets, octets);
}

static void remove_before(struct store *s, uint64_t number)
{
	while (s->oldest < number)
		remove_segment(s, s->oldest++);
}

/*
 * In place: a crash of the process leaves the old text or the new one. A crash of the machine may
 * leave an older one: then more is delivered twice.
 */
static int write_position(struct store *s, struct place to)
{
	char text[POSITION_TEXT];
	int len = snprintf(text, sizeof(text), "%016" PRIx64 " %020" PRIu64 "\n", to.segment,
			   to.offset);
	ssize_t n = pwrite(s->position_fd, text, (size_t)len, 0);
	return n == len ? 0 : n < 0 ? -errno : -ENOSPC;
}

/*
 * Marks the segments that are to be kept. While one cannot be, the position stays before it: a start
 * finds out again what is wrong with it.
 */
static struct place hold_back(struct store *s, struct place to)
{
	uv_mutex_lock(&s->mutex);
	keeps_move(&s->asked, &s->keeps);
	uv_mutex_unlock(&s->mutex);
	uint64_t unmarked = keeps_mark(&s->keeps, s->dir);
	bool behind = unmarked != 0 && to.segment >= unmarked;
	return behind ? (struct place){ unmarked, 0 } : to;
}

static void note_position(struct store *s, struct place delivered)
{
	struct place to = hold_back(s, delivered);
	if (place_compare(to, s->noted) <= 0)
		return;
	(void)!write_position(s, to);
	s->noted = to;
	if (s->oldest >= to.segment)
		return;
	/* The digests of what goes are known from the segment until it goes, from here on not. */
	sync_seen(s);
	remove_before(s, to.segment);
	forget_cuts(s);
}

/* Once everything is delivered nothing has to wait for the open segment to be full. */
static void remove_delivered(struct store *s, struct place delivered)
{
	if (place_compare(delivered, s->end) != 0 || s->end.segment < s->oldest)
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
	if (!s->left && s->oldest > s->segment)
		(void)unlinkat(s->dir, "position", 0);
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
		let_go(s, work.delivered, false);
	} while (!work.stop);
	if (work.empty)
		remove_everything(s);
	end_segment(s);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

void store_append(struct store *s, struct append *a)
{
	uv_mutex_lock(&s->mutex);
	atomic_fetch_add(&s->octets, frame_octets(a));
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
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static bool read_digits(const char *text, size_t count, unsigned base, uint64_t *n)
{
	static const char digits[] = "0123456789abcdef";
	*n = 0;
	for (size_t i = 0; i < count; i++) {
		const char *digit = memchr(digits, text[i], base);
		if (digit == NULL)
			return false;
		*n = *n * base + (uint64_t)(digit - digits);
	}
	return true;
}

/* Everything before it is delivered; where it cannot be read, nothing is known to be. */
static struct place read_position(const struct store *s)
{
	char text[POSITION_TEXT];
	struct place p = { 0, 0 };
	ssize_t n = pread(s->position_fd, text, sizeof(text), 0);
	bool whole = n == POSITION_OCTETS && text[16] == ' ' && text[37] == '\n' &&
		     read_digits(text, 16, 16, &p.segment) &&
		     read_digits(text + 17, 20, 10, &p.offset);
	return whole ? p : (struct place){ 0, 0 };
}

/* What is there. */
struct view {
	uint64_t first; /* segments; 0 for none */
	uint64_t last;
	uint64_t used; /* the highest number, of those that are kept too */
	struct place noted;
};

static bool is_there(const struct store *s, uint64_t number)
{
	char name[SEGMENT_NAME];
	segment_name(number, ".put", name);
	return faccessat(s->dir, name, F_OK, 0) == 0 || errno != ENOENT;
}

/* The number of a file of the spool, 0 for others; a mark without a segment goes. */
static uint64_t number_of(const struct store *s, const char *name)
{
	uint64_t put = segment_number(name, ".put");
	uint64_t kept = segment_number(name, ".kept");
	uint64_t mark = segment_number(name, ".keep");
	if (mark != 0 && !is_there(s, mark))
		(void)unlinkat(s->dir, name, 0);
	return put != 0 ? put : kept != 0 ? kept : mark;
}

/* 0, or why a segment could not be looked at: one that was overlooked would never be delivered. */
static int look_at(struct store *s, const char *name, struct view *view)
{
	struct stat st;
	uint64_t number = number_of(s, name);
	view->used = number > view->used ? number : view->used;
	if (number == 0 || segment_number(name, ".put") == 0)
		return 0;
	if (fstatat(s->dir, name, &st, 0) != 0)
		return -errno;
	atomic_fetch_add(&s->octets, (uint64_t)st.st_size);
	/* Delivered, and not renamed yet. */
	if (number < view->noted.segment && keep_is_marked(s->dir, number)) {
		remove_segment(s, number);
		return 0;
	}
	view->first = view->first == 0 || number < view->first ? number : view->first;
	view->last = number > view->last ? number : view->last;
	return 0;
}

/* NULL at the end, or with an error. */
static const struct dirent *next_entry(DIR *dir, int *error)
{
	errno = 0;
	const struct dirent *entry = readdir(dir);
	*error = entry == NULL ? -errno : 0;
	return entry;
}

static int look_around(struct store *s, struct view *view)
{
	int copy = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (dir == NULL) {
		int error = -errno;
		if (copy >= 0)
			close(copy);
		return error;
	}
	int64_t oldest_hour = time(NULL) / HOUR - SEEN_HOURS;
	const struct dirent *entry;
	int error;
	while ((entry = next_entry(dir, &error)) != NULL) {
		int64_t hour = seen_file_hour(entry->d_name);
		if (hour >= 0 && hour < oldest_hour)
			(void)unlinkat(s->dir, entry->d_name, 0);
		error = look_at(s, entry->d_name, view);
		if (error != 0)
			break;
	}
	closedir(dir);
	return error;
}

static int open_folder(struct store *s, const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -errno;
	s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return -errno;
	s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0 || flock(s->lock, LOCK_EX | LOCK_NB) != 0)
		return -errno;
	s->position_fd = openat(s->dir, "position", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return s->position_fd < 0 ? -errno : 0;
}

/* Octets of a segment, 0 when it is not there. */
static uint64_t segment_octets(const struct store *s, uint64_t number)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(number, ".put", name);
	return fstatat(s->dir, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static int replace_position(struct store *s, struct place to)
{
	int error = write_position(s, to);
	return error != 0 || fdatasync(s->position_fd) == 0 ? error : -errno;
}

/*
 * Where delivery goes on, after segments are gone that lie before it. A position outside of what is
 * there tells nothing, except that all of it is delivered: better twice than never. It does not stay,
 * or it would tell of segments to come that they are.
 */
static int find_state(struct store *s, struct store_state *state)
{
	struct place noted = read_position(s);
	struct view view = { .noted = noted };
	int error = look_around(s, &view);
	if (error != 0)
		return error;
	struct place end = { view.used + 1, 0 };
	struct place oldest = { view.first == 0 ? end.segment : view.first, 0 };
	bool all = view.first != 0 && place_compare(noted, (struct place){ view.last + 1, 0 }) == 0;
	bool within = noted.segment >= oldest.segment && noted.segment <= view.last &&
		      noted.offset <= segment_octets(s, noted.segment);
	struct place delivered = all ? end : within ? noted : oldest;
	s->oldest = oldest.segment;
	s->segment = view.used;
	s->noted = delivered;
	s->delivered = delivered;
	state->delivered = delivered;
	state->end = end;
	if (noted.segment == 0)
		(void)!ftruncate(s->position_fd, 0);
	else if (place_compare(noted, delivered) != 0)
		error = replace_position(s, delivered);
	remove_before(s, delivered.segment);
	return error;
}

static void close_files(struct store *s)
{
	close_seen(s);
	free_notes(&s->known);
	free_notes(&s->unnoted);
	keeps_deinit(&s->asked);
	keeps_deinit(&s->keeps);
	free(s->cut);
	s->cut = NULL;
	s->cuts = 0;
	if (s->position_fd >= 0)
		close(s->position_fd);
	if (s->lock >= 0)
		close(s->lock);
	s->position_fd = s->lock = -1;
}

static void close_folder(struct store *s)
{
	close_files(s);
	if (s->dir >= 0)
		close(s->dir);
	s->dir = -1;
}

/* The signals are the main loop's. */
static int start_thread(struct store *s)
{
	sigset_t blocked;
	sigset_t before;
	sigfillset(&blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	int error = uv_thread_create(&s->thread, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
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
	s->dir = s->lock = s->position_fd = s->seen_fd = s->fd = -1;
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
	int error = open_folder(new, path);
	if (error == 0)
		error = find_state(new, state);
	if (error == 0) {
		load_seen(new, seen);
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
	error = start_thread(new);
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
