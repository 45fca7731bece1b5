/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip by ISA-L, which does the deflate inside. Header and trailer (RFC 1952 section 2.3) are read
 * here, octet by octet: ISA-L's own reading of them forgets the flags of a header that is cut.
 *
 *   FIXED ─▶ EXTRA_LEN ─▶ EXTRA ─▶ NAME ─▶ COMMENT ─▶ HEADER_CRC ─▶ BODY ─▶ TRAILER ─▶ ENDED
 *   10 octets   (each of these only with its flag)                    ISA-L   8 octets
 *
 * ISA-L keeps 64 KiB of output in its state and so reads that much ahead of what it gave out.
 */
#include "decode/inflater.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

enum place { FIXED, EXTRA_LEN, EXTRA, NAME, COMMENT, HEADER_CRC, BODY, TRAILER, ENDED };

enum flag {
	FLAG_HEADER_CRC = 2,
	FLAG_EXTRA = 4,
	FLAG_NAME = 8,
	FLAG_COMMENT = 16,
	FLAGS_RESERVED = 0xe0,
};

enum {
	DEFLATE = 8,
	FIXED_OCTETS = 10,
	TRAILER_OCTETS = 8,
	DOUBTFUL = 2 * ISAL_DEF_MAX_MATCH, /* octets before damage: a match, and some to be sure */
};

struct isal {
	struct inflater inflater;
	enum place place;
	unsigned at;	/* octets of the place read */
	unsigned flags; /* of the header */
	unsigned extra; /* octets of EXTRA */
	uint32_t crc;	/* of the header */
	uint32_t field; /* a number of several octets, so far */
	struct inflate_state body;
};

static struct isal *isal_of(struct inflater *i)
{
	return CONTAINER_OF(i, struct isal, inflater);
}

static void isal_again(struct inflater *i)
{
	struct isal *s = isal_of(i);
	s->place = FIXED;
	s->at = 0;
	s->flags = 0;
	s->crc = 0;
	s->field = 0;
	isal_inflate_init(&s->body);
	/* Damaged codes may point to places that no code filled: nothing of others lies there. */
	memset(&s->body.lit_huff_code, 0, sizeof(s->body.lit_huff_code));
	memset(&s->body.dist_huff_code, 0, sizeof(s->body.dist_huff_code));
	/* The checksum of the output is kept, and what frames it is left to us. */
	s->body.crc_flag = ISAL_GZIP_NO_HDR;
}

static struct inflater *isal_new(void)
{
	struct isal *s = malloc(sizeof(*s));
	if (s == NULL)
		return NULL;
	s->inflater.class = &inflater_isal;
	isal_again(&s->inflater);
	return &s->inflater;
}

static void isal_free(struct inflater *i)
{
	free(isal_of(i));
}

/* ---- header ---------------------------------------------------------------------------------- */

/* The first place from `from` on that this header has. */
static void go_to(struct isal *s, enum place from)
{
	static const unsigned flags[] = {
		[EXTRA_LEN] = FLAG_EXTRA, [EXTRA] = FLAG_EXTRA,		  [NAME] = FLAG_NAME,
		[COMMENT] = FLAG_COMMENT, [HEADER_CRC] = FLAG_HEADER_CRC,
	};
	while (from < BODY && (s->flags & flags[from]) == 0)
		from++;
	s->place = from;
	s->at = 0;
	s->field = 0;
}

/* Damage is told where zlib tells it: after the magic number, after method and flags. */
static bool fixed_octet(struct isal *s, unsigned octet)
{
	switch (s->at++) {
	case 0:
		s->field = octet;
		return true;
	case 1:
		return s->field == 0x1f && octet == 0x8b;
	case 2:
		s->field = octet;
		return true;
	case 3:
		s->flags = octet;
		return s->field == DEFLATE && (octet & FLAGS_RESERVED) == 0;
	case FIXED_OCTETS - 1:
		go_to(s, EXTRA_LEN);
		return true;
	default:
		return true;
	}
}

static void extra_len_octet(struct isal *s, unsigned octet)
{
	s->field |= octet << (8 * s->at);
	if (++s->at < 2)
		return;
	s->extra = s->field;
	go_to(s, s->extra > 0 ? EXTRA : NAME);
}

/* The checksum is of all octets before its own. */
static bool crc_octet(struct isal *s, unsigned octet)
{
	s->field |= octet << (8 * s->at);
	if (++s->at < 2)
		return true;
	bool good = s->field == (s->crc & 0xffff);
	go_to(s, BODY);
	return good;
}

static bool header_octet(struct isal *s, unsigned char octet)
{
	if (s->place != HEADER_CRC)
		s->crc = crc32_gzip_refl(s->crc, &octet, 1);
	switch (s->place) {
	case FIXED:
		return fixed_octet(s, octet);
	case EXTRA_LEN:
		extra_len_octet(s, octet);
		return true;
	case EXTRA:
		if (++s->at == s->extra)
			go_to(s, NAME);
		return true;
	case HEADER_CRC:
		return crc_octet(s, octet);
	default:
		if (octet == 0)
			go_to(s, s->place + 1);
		return true;
	}
}

/* ---- trailer --------------------------------------------------------------------------------- */

static bool trailer_octet(struct isal *s, unsigned octet)
{
	s->field |= octet << (8 * (s->at % 4));
	if (++s->at % 4 != 0)
		return true;
	bool good = s->field == (s->at == 4 ? s->body.crc : s->body.total_out);
	s->field = 0;
	if (s->at == TRAILER_OCTETS)
		s->place = ENDED;
	return good;
}

/* The whole octets that ISA-L read beyond the body: at most eight, so all are the trailer's. */
static bool begin_trailer(struct isal *s)
{
	uint64_t ahead = s->body.read_in >> (s->body.read_in_length % 8);
	bool good = true;
	go_to(s, TRAILER);
	for (int left = s->body.read_in_length / 8; good && left > 0; left--, ahead >>= 8)
		good = trailer_octet(s, ahead & 0xff);
	return good;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool run_body(struct isal *s, struct slice *in, char *to, size_t *room)
{
	uint32_t offered = in->len < INT_MAX ? (uint32_t)in->len : INT_MAX;
	uint32_t most = *room < INT_MAX ? (uint32_t)*room : INT_MAX;
	s->body.next_in = (uint8_t *)(uintptr_t)in->data;
	s->body.avail_in = offered;
	s->body.next_out = (uint8_t *)to;
	s->body.avail_out = most;
	int status = isal_inflate(&s->body);
	*room = most - s->body.avail_out;
	/*
	 * At damage it may count octets beyond the input as used, and a match that it refused as put
	 * out, though nothing was put there.
	 */
	if (status != ISAL_DECOMP_OK) {
		*room -= *room < DOUBTFUL ? *room : DOUBTFUL;
		return false;
	}
	slice_skip(in, offered - s->body.avail_in);
	return s->body.block_state != ISAL_BLOCK_FINISH || begin_trailer(s);
}

static enum inflated isal_run(struct inflater *i, struct slice *in, char *to, size_t *room)
{
	struct isal *s = isal_of(i);
	bool good = true;
	for (; good && s->place < BODY && in->len > 0; slice_skip(in, 1))
		good = header_octet(s, (unsigned char)in->data[0]);
	if (good && s->place == BODY)
		good = run_body(s, in, to, room);
	else
		*room = 0;
	for (; good && s->place == TRAILER && in->len > 0; slice_skip(in, 1))
		good = trailer_octet(s, (unsigned char)in->data[0]);
	if (!good)
		return INFLATED_BAD;
	return s->place == ENDED ? INFLATED_ENDED : INFLATED_MORE;
}

const struct inflater_class inflater_isal = {
	.name = "isal",
	.octets = sizeof(struct isal),
	.new = isal_new,
	.free = isal_free,
	.again = isal_again,
	.run = isal_run,
};
