/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_SEGMENT_H
#define VPCFLOWD_SPOOL_SEGMENT_H

#include "base/digest.h"
#include "base/result.h"

/*
 * The spool's files. A segment is what a peer would send, PUT commands one after another, each named
 * by the SHA-256 of its payload:
 *
 *   0000000000000001.put   PUT <sha256> <length>\n<payload>PUT <sha256> <length>\n<payload>...
 *
 * Segments are numbered from 1 and only ever grow; a new one is begun at every start.
 */

/* A place between two frames. All of segment n lies before all of segment n + 1. */
struct place {
	uint64_t segment;
	uint64_t offset;
};

static inline int place_compare(struct place a, struct place b)
{
	if (a.segment != b.segment)
		return a.segment < b.segment ? -1 : 1;
	return a.offset < b.offset ? -1 : a.offset > b.offset;
}

enum { SEGMENT_NAME = 32, SEGMENT_HEADER = 4 + DIGEST_TEXT + 1 + 20 + 1 + 1 };

void segment_name(uint64_t number, const char *suffix, char name[SEGMENT_NAME]);
/* The number in a file name with this suffix, 0 for another file's. */
uint64_t segment_number(const char *name, const char *suffix);

/* Writes a frame's command line and a NUL; returns the line's octets. */
size_t segment_header(const struct digest *digest, uint64_t length, char line[SEGMENT_HEADER]);

/* A payload read back. Owns data. */
struct spooled {
	struct digest digest;
	char *data;
	size_t len;
	struct place at;
	struct place end;
};

void spooled_deinit(struct spooled *p);

/*
 * Reads frames from a place on, and goes from one segment to the next. Blocks: it is meant for a
 * thread of its own.
 */
struct segment_reader {
	int dir; /* borrowed */
	struct place at;
	uint64_t longest; /* payload; what claims to be longer is damage */
	int fd;		  /* of segment at.segment, or -1 */
	int error;	  /* why STEP_BAD, a negative errno */

	/* What was passed over to reach the last frame or the end. */
	struct damage {
		uint64_t octets; /* 0 for none */
		struct place at;
		bool torn; /* the file ends within a frame, as after a crash, and nothing follows */
	} damage;
};

void segment_reader_init(struct segment_reader *r, int dir, struct place at, uint64_t longest);
void segment_reader_deinit(struct segment_reader *r);
/* Goes on at another place. */
void segment_go_to(struct segment_reader *r, struct place at);

/*
 * The next frame that is as it was written, before the place `until`. STEP_OK: *p is the caller's.
 * STEP_MORE: there is none, or with damage found, none in this segment: call again. Damage may lie
 * before a frame, too: every intact frame behind it is found all the same, as its digest tells.
 * STEP_BAD: it cannot be read, error says why; nothing was passed over, try again.
 */
MUST_CHECK enum step segment_next(struct segment_reader *r, struct place until, struct spooled *p);

#endif
