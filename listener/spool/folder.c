/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in the spool's folder at a start, where delivery goes on, and segments that go. Nothing is
 * removed that the position does not tell of, nor what is to be kept.
 */
#include "spool/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "spool/seen_file.h"

enum {
	POSITION_TEXT = 64,
	POSITION_OCTETS = 16 + 1 + 20 + 1, /* segment in hexadecimal, offset, newline */
};

/* ---- segments that go ------------------------------------------------------------------------ */

/* Under its name nothing of it is delivered again, as it lies before the position. */
static int keep_segment(struct folder *f, uint64_t number, const char *name)
{
	int error = keep_rename(f->dir, number);
	if (error == 0)
		return 0;
	/* So that the next start knows. */
	(void)!keep_mark(f->dir, number);
	f->left = true;
	log_error("spool",
		  "cannot rename what is kept, it stays as it is until a start can file=%s "
		  "error=\"%s\"",
		  name, strerror(-error));
	return error;
}

static int unlink_segment(const struct folder *f, const char *name)
{
	if (unlinkat(f->dir, name, 0) == 0)
		return 0;
	if (errno != ENOENT)
		log_warn("spool", "cannot remove what was delivered file=%s error=\"%s\"", name,
			 strerror(errno));
	return -errno;
}

/* All of it is delivered, or as much as can be. */
static void remove_segment(struct folder *f, uint64_t number)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(number, ".put", name);
	uint64_t octets = fstatat(f->dir, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
	bool kept = keeps_has(&f->keeps, number) || keep_is_marked(f->dir, number);
	if ((kept ? keep_segment(f, number, name) : unlink_segment(f, name)) == 0)
		atomic_fetch_sub(&f->octets, octets);
}

void folder_remove_before(struct folder *f, uint64_t number)
{
	while (f->oldest < number)
		remove_segment(f, f->oldest++);
}

/* ---- the position ---------------------------------------------------------------------------- */

/*
 * In place: a crash of the process leaves the old text or the new one. A crash of the machine may
 * leave an older one: then more is delivered twice.
 */
static int write_position(struct folder *f, struct place to)
{
	char text[POSITION_TEXT];
	int len = snprintf(text, sizeof(text), "%016" PRIx64 " %020" PRIu64 "\n", to.segment,
			   to.offset);
	ssize_t n = pwrite(f->position_fd, text, (size_t)len, 0);
	return n == len ? 0 : n < 0 ? -errno : -ENOSPC;
}

void folder_note(struct folder *f, struct place to)
{
	(void)!write_position(f, to);
	f->noted = to;
}

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
static struct place read_position(const struct folder *f)
{
	char text[POSITION_TEXT];
	struct place p = { 0, 0 };
	ssize_t n = pread(f->position_fd, text, sizeof(text), 0);
	bool whole = n == POSITION_OCTETS && text[16] == ' ' && text[37] == '\n' &&
		     read_digits(text, 16, 16, &p.segment) &&
		     read_digits(text + 17, 20, 10, &p.offset);
	return whole ? p : (struct place){ 0, 0 };
}

/* ---- the start ------------------------------------------------------------------------------- */

/* What is there. */
struct view {
	uint64_t first; /* segments; 0 for none */
	uint64_t last;
	uint64_t used; /* the highest number, of those that are kept too */
	struct place noted;
};

static bool is_there(const struct folder *f, uint64_t number)
{
	char name[SEGMENT_NAME];
	segment_name(number, ".put", name);
	return faccessat(f->dir, name, F_OK, 0) == 0 || errno != ENOENT;
}

/* The number of a file of the spool, 0 for others; a mark without a segment goes. */
static uint64_t number_of(const struct folder *f, const char *name)
{
	uint64_t put = segment_number(name, ".put");
	uint64_t kept = segment_number(name, ".kept");
	uint64_t mark = segment_number(name, ".keep");
	if (mark != 0 && !is_there(f, mark))
		(void)unlinkat(f->dir, name, 0);
	return put != 0 ? put : kept != 0 ? kept : mark;
}

/* 0, or why a segment could not be looked at: one that was overlooked would never be delivered. */
static int look_at(struct folder *f, const char *name, struct view *view)
{
	struct stat st;
	uint64_t number = number_of(f, name);
	view->used = number > view->used ? number : view->used;
	if (number == 0 || segment_number(name, ".put") == 0)
		return 0;
	if (fstatat(f->dir, name, &st, 0) != 0)
		return -errno;
	atomic_fetch_add(&f->octets, (uint64_t)st.st_size);
	/* Delivered, and not renamed yet. */
	if (number < view->noted.segment && keep_is_marked(f->dir, number)) {
		remove_segment(f, number);
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

static int look_around(struct folder *f, struct view *view)
{
	int copy = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (dir == NULL) {
		int error = -errno;
		if (copy >= 0)
			close(copy);
		return error;
	}
	const struct dirent *entry;
	int error;
	while ((entry = next_entry(dir, &error)) != NULL) {
		if (seen_file_is_old(entry->d_name))
			(void)unlinkat(f->dir, entry->d_name, 0);
		error = look_at(f, entry->d_name, view);
		if (error != 0)
			break;
	}
	closedir(dir);
	return error;
}

static int open_files(struct folder *f, const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -errno;
	f->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0)
		return -errno;
	f->lock = openat(f->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->lock < 0 || flock(f->lock, LOCK_EX | LOCK_NB) != 0)
		return -errno;
	f->position_fd = openat(f->dir, "position", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return f->position_fd < 0 ? -errno : 0;
}

/* Octets of a segment, 0 when it is not there. */
static uint64_t segment_octets(const struct folder *f, uint64_t number)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(number, ".put", name);
	return fstatat(f->dir, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static int replace_position(struct folder *f, struct place to)
{
	int error = write_position(f, to);
	return error != 0 || fdatasync(f->position_fd) == 0 ? error : -errno;
}

/*
 * Where delivery goes on, after segments are gone that lie before it. A position outside of what is
 * there tells nothing, except that all of it is delivered: better twice than never. It does not stay,
 * or it would tell of segments to come that they are.
 */
static int find_state(struct folder *f, struct place *at, struct place *end_at)
{
	struct place noted = read_position(f);
	struct view view = { .noted = noted };
	int error = look_around(f, &view);
	if (error != 0)
		return error;
	struct place end = { view.used + 1, 0 };
	struct place oldest = { view.first == 0 ? end.segment : view.first, 0 };
	bool all = view.first != 0 && place_compare(noted, (struct place){ view.last + 1, 0 }) == 0;
	bool within = noted.segment >= oldest.segment && noted.segment <= view.last &&
		      noted.offset <= segment_octets(f, noted.segment);
	struct place delivered = all ? end : within ? noted : oldest;
	f->oldest = oldest.segment;
	f->noted = delivered;
	*at = delivered;
	*end_at = end;
	if (noted.segment == 0)
		(void)!ftruncate(f->position_fd, 0);
	else if (place_compare(noted, delivered) != 0)
		error = replace_position(f, delivered);
	folder_remove_before(f, delivered.segment);
	return error;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void folder_init(struct folder *f)
{
	*f = (struct folder){ .dir = -1, .lock = -1, .position_fd = -1 };
}

int folder_open(struct folder *f, const char *path, struct place *delivered, struct place *end)
{
	int error = open_files(f, path);
	return error != 0 ? error : find_state(f, delivered, end);
}

void folder_unlock(struct folder *f)
{
	keeps_deinit(&f->keeps);
	if (f->position_fd >= 0)
		close(f->position_fd);
	if (f->lock >= 0)
		close(f->lock);
	f->position_fd = f->lock = -1;
}

void folder_close(struct folder *f)
{
	folder_unlock(f);
	if (f->dir >= 0)
		close(f->dir);
	f->dir = -1;
}
