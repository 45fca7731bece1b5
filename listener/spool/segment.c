/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames out of files, by the parser that takes them from peers. A frame counts when its digest is
 * right; where it is not, the next place is looked for at which one stands that is, octet by octet.
 * Memory: one payload.
 */
#include "spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receive/frame.h"

enum {
	WINDOW = 64 * 1024,		 /* searched at a time */
	SEARCH_MOST = 512 * 1024 * 1024, /* octets that a search may digest in all */
	CLAIM_COST = 2048, /* octets that it could digest while it finds the next claim */
};

void segment_name(uint64_t number, const char *suffix, char name[SEGMENT_NAME])
{
	(void)snprintf(name, SEGMENT_NAME, "%016" PRIx64 "%s", number, suffix);
}

uint64_t segment_number(const char *name, const char *suffix)
{
	uint64_t number = 0;
	for (size_t i = 0; i < 16; i++) {
		bool decimal = name[i] >= '0' && name[i] <= '9';
		if (!decimal && !(name[i] >= 'a' && name[i] <= 'f'))
			return 0;
		unsigned digit = (unsigned)(name[i] - (decimal ? '0' : 'a' - 10));
		number = number << 4 | digit;
	}
	return strcmp(name + 16, suffix) == 0 ? number : 0;
}

size_t segment_header(const struct digest *digest, uint64_t length, char line[SEGMENT_HEADER])
{
	char text[DIGEST_TEXT + 1];
	digest_text(digest, text);
	return (size_t)snprintf(line, SEGMENT_HEADER, "PUT %s %" PRIu64 "\n", text, length);
}

void spooled_deinit(struct spooled *p)
{
	free(p->data);
	p->data = NULL;
}

/* ---- octets ---------------------------------------------------------------------------------- */

/* Fills data from the offset on, short only at the file's end. The octets, or a negative errno. */
static ssize_t read_at(int fd, uint64_t offset, char *data, size_t len)
{
	size_t got = 0;
	while (got < len) {
		ssize_t n = pread(fd, data + got, len - got, (off_t)(offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* ---- a frame --------------------------------------------------------------------------------- */

enum found {
	FOUND,	     /* as it was written */
	FOUND_CUT,   /* it goes on behind the end */
	FOUND_OTHER, /* something else */
	FOUND_ERROR, /* r->error */
};

struct header {
	uint64_t octets; /* of the command line */
	uint64_t length; /* of the payload */
	struct digest digest;
};

static enum found parse_header(struct slice in, bool at_end, uint64_t longest, struct header *h)
{
	struct frame frame;
	const char *why;
	size_t given = in.len;
	enum step step = frame_next(&in, &frame, &why);
	if (step == STEP_MORE && at_end && frame_sniff(slice_of(in.data, given)) != SNIFF_UNFRAMED)
		return FOUND_CUT;
	if (step != STEP_OK || frame.kind != FRAME_PUT || frame.length > longest ||
	    !digest_parse(slice_text(frame.id), &h->digest))
		return FOUND_OTHER;
	h->octets = given - in.len;
	h->length = frame.length;
	return FOUND;
}

/* Reads the payload that the header tells of, and holds it to its digest. */
static enum found read_payload(struct segment_reader *r, uint64_t offset, const struct header *h,
			       struct spooled *p)
{
	struct digest digest;
	size_t len = (size_t)h->length;
	p->data = malloc(len == 0 ? 1 : len);
	ssize_t got = p->data == NULL ? -ENOMEM : read_at(r->fd, offset + h->octets, p->data, len);
	if (got >= 0 && !digest_of(slice_of(p->data, (size_t)got), &digest))
		got = -ENOMEM;
	bool same = got == (ssize_t)len && digest_equal(&digest, &h->digest);
	if (!same)
		spooled_deinit(p);
	if (got < 0) {
		r->error = (int)got;
		return FOUND_ERROR;
	}
	return same ? FOUND : FOUND_OTHER;
}

/* The frame at an offset, all of which has to lie before end. */
static enum found read_frame(struct segment_reader *r, uint64_t offset, uint64_t end,
			     struct spooled *p)
{
	char line[FRAME_LINE];
	uint64_t left = end - offset;
	p->len = 0;
	size_t want = left < sizeof(line) ? (size_t)left : sizeof(line);
	ssize_t got = read_at(r->fd, offset, line, want);
	if (got < 0) {
		r->error = (int)got;
		return FOUND_ERROR;
	}
	struct header h;
	enum found found = parse_header(slice_of(line, (size_t)got), want == left, r->longest, &h);
	if (found != FOUND)
		return found;
	if (h.length > left - h.octets)
		return FOUND_CUT;
	p->digest = h.digest;
	p->len = (size_t)h.length;
	p->at = (struct place){ r->at.segment, offset };
	p->end = (struct place){ r->at.segment, offset + h.octets + h.length };
	return read_payload(r, offset, &h, p);
}

/* ---- beyond damage --------------------------------------------------------------------------- */

/* Where in the window a whole command line stands that tells of a payload; len when nowhere. */
static size_t find_command(struct slice window, uint64_t longest)
{
	static const char word[] = "PUT ";
	enum { WORD = sizeof(word) - 1 };
	size_t at = 0;
	const char *found;
	while ((found = memmem(window.data + at, window.len - at, word, WORD)) != NULL) {
		struct header h;
		at = (size_t)(found - window.data);
		size_t left = window.len - at;
		struct slice line = slice_of(found, left < FRAME_LINE ? left : FRAME_LINE);
		if (parse_header(line, false, longest, &h) == FOUND)
			return at;
		at++;
	}
	return window.len;
}

/* The next offset from which a frame may go on; end when there is none. Or a negative errno. */
static int find_claim(const struct segment_reader *r, uint64_t *offset, uint64_t end)
{
	char window[WINDOW];
	while (*offset < end) {
		uint64_t left = end - *offset;
		ssize_t got = read_at(r->fd, *offset, window,
				      left < WINDOW ? (size_t)left : WINDOW);
		if (got < 0)
			return (int)got;
		size_t len = (size_t)got;
		size_t at = find_command(slice_of(window, len), r->longest);
		if (at < len) {
			*offset += at;
			return 0;
		}
		/* A line that the window cuts is whole in the next one. */
		bool more = len == WINDOW && left > WINDOW;
		*offset = more ? *offset + WINDOW - SEGMENT_HEADER : end;
	}
	return 0;
}

/*
 * The next intact frame behind an offset where there is none. What only claims to be one costs a
 * digest; so that a payload made of such claims does not cost for ever, there is an end to that.
 */
static enum found search(struct segment_reader *r, uint64_t offset, uint64_t end, struct spooled *p)
{
	uint64_t budget = SEARCH_MOST;
	uint64_t at = offset + 1;
	while (budget > 0) {
		r->error = find_claim(r, &at, end);
		if (r->error != 0)
			return FOUND_ERROR;
		if (at == end)
			break;
		enum found found = read_frame(r, at, end, p);
		if (found == FOUND || found == FOUND_ERROR)
			return found;
		uint64_t cost = CLAIM_COST + p->len;
		budget = cost < budget ? budget - cost : 0;
		at++;
	}
	return FOUND_OTHER;
}

/* ---- from segment to segment ----------------------------------------------------------------- */

void segment_reader_init(struct segment_reader *r, int dir, struct place at, uint64_t longest)
{
	*r = (struct segment_reader){ .dir = dir, .at = at, .longest = longest, .fd = -1 };
}

void segment_reader_deinit(struct segment_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void segment_go_to(struct segment_reader *r, struct place at)
{
	if (at.segment != r->at.segment)
		segment_reader_deinit(r);
	r->at = at;
}

/* Opens the segment it stands in, or the first one behind that is there. */
static int open_segment(struct segment_reader *r, struct place until)
{
	while (r->fd < 0 && place_compare(r->at, until) < 0) {
		char name[SEGMENT_NAME];
		segment_name(r->at.segment, ".put", name);
		r->fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC);
		if (r->fd < 0 && errno != ENOENT)
			return -errno;
		if (r->fd < 0)
			segment_go_to(r, (struct place){ r->at.segment + 1, 0 });
	}
	return 0;
}

/* Where this segment ends for us. */
static int find_end(const struct segment_reader *r, struct place until, uint64_t *end)
{
	struct stat st;
	if (fstat(r->fd, &st) != 0)
		return -errno;
	*end = (uint64_t)st.st_size;
	if (r->at.segment == until.segment && until.offset < *end)
		*end = until.offset;
	return 0;
}

static void note_damage(struct segment_reader *r, uint64_t to, bool torn)
{
	r->damage = (struct damage){ .octets = to - r->at.offset, .at = r->at, .torn = torn };
}

/* The next intact frame of this segment; STEP_MORE at its end. */
static enum step next_here(struct segment_reader *r, uint64_t end, struct spooled *p)
{
	if (r->at.offset >= end)
		return STEP_MORE;
	enum found first = read_frame(r, r->at.offset, end, p);
	enum found found = first;
	if (found == FOUND_CUT || found == FOUND_OTHER)
		found = search(r, r->at.offset, end, p);
	if (found == FOUND_ERROR)
		return STEP_BAD;
	if (found != FOUND) {
		note_damage(r, end, first == FOUND_CUT);
		r->at.offset = end;
		return STEP_MORE;
	}
	if (first != FOUND)
		note_damage(r, p->at.offset, false);
	r->at = p->end;
	return STEP_OK;
}

enum step segment_next(struct segment_reader *r, struct place until, struct spooled *p)
{
	uint64_t end = 0;
	r->damage = (struct damage){ .octets = 0 };
	*p = (struct spooled){ .data = NULL };
	for (;;) {
		r->error = open_segment(r, until);
		if (r->error != 0)
			return STEP_BAD;
		if (r->fd < 0)
			return STEP_MORE;
		r->error = find_end(r, until, &end);
		if (r->error != 0)
			return STEP_BAD;
		enum step step = next_here(r, end, p);
		if (step != STEP_MORE)
			return step;
		if (r->at.segment >= until.segment)
			return STEP_MORE;
		segment_go_to(r, (struct place){ r->at.segment + 1, 0 });
		/* What was passed over has to be told before more is found. */
		if (r->damage.octets > 0)
			return STEP_MORE;
	}
}
