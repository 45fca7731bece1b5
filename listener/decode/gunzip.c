/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip in, octets out through one window that stays in cache. zlib checks header, CRC and length
 * of each member. This is the only file that knows an inflater.
 *
 * The ratio is checked whenever the output reaches a multiple of the window past the first, and at
 * the end of a member; neither depends on how the input was cut into reads.
 */
#include "decode/gunzip.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { WINDOW = 64 * 1024 };

struct gunzip {
	z_stream z;
	const struct limits *limits;
	uint64_t *tally;
	uint64_t in;  /* octets of gzip used, all members */
	uint64_t out; /* octets inflated, all members */
	bool ended;   /* between two members */
	bool damaged; /* reported by the next call, after what came out before */
	char window[WINDOW];
};

struct gunzip *gunzip_new(const struct limits *limits, uint64_t *tally)
{
	struct gunzip *g = malloc(sizeof(*g));
	if (g == NULL)
		return NULL;
	/* All but the window, which need not be cleared. */
	memset(g, 0, offsetof(struct gunzip, window));
	g->limits = limits;
	g->tally = tally;
	/* 15 + 16: the largest window, and a gzip header rather than a zlib one (zlib.h). */
	if (inflateInit2(&g->z, 15 + 16) != Z_OK) {
		free(g);
		return NULL;
	}
	return g;
}

void gunzip_free(struct gunzip **g)
{
	if (*g == NULL)
		return;
	inflateEnd(&(*g)->z);
	free(*g);
	*g = NULL;
}

bool gunzip_member_ended(const struct gunzip *g)
{
	return g->ended;
}

static bool within_limits(const struct gunzip *g, struct fault *fault)
{
	if (g->tally != NULL && *g->tally > g->limits->inflated)
		return fault_set(fault, FAULT_INFLATED, 0, g->in);
	bool due = g->out > WINDOW && (g->out % WINDOW == 0 || g->ended);
	if (due && g->out / g->limits->ratio > g->in)
		return fault_set(fault, FAULT_RATIO, 0, g->in);
	return true;
}

enum step gunzip_next(struct gunzip *g, struct slice *in, struct slice *out, struct fault *fault)
{
	*out = SLICE_NONE;
	if (g->damaged) {
		fault_set(fault, FAULT_GZIP, 0, g->in);
		return STEP_BAD;
	}
	if (g->ended && in->len > 0) {
		inflateReset(&g->z);
		g->ended = false;
	}
	uInt offered = in->len < UINT_MAX ? (uInt)in->len : UINT_MAX;
	uInt room = (uInt)(WINDOW - g->out % WINDOW);
	g->z.next_in = (Bytef *)(uintptr_t)in->data;
	g->z.avail_in = offered;
	g->z.next_out = (Bytef *)g->window;
	g->z.avail_out = room;
	int status = g->ended ? Z_BUF_ERROR : inflate(&g->z, Z_NO_FLUSH);
	slice_skip(in, offered - g->z.avail_in);
	g->in += offered - g->z.avail_in;
	*out = slice_of(g->window, room - g->z.avail_out);
	g->out += out->len;
	if (g->tally != NULL)
		*g->tally += out->len;
	g->ended = g->ended || status == Z_STREAM_END;
	g->damaged = status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR;
	if (!within_limits(g, fault))
		return STEP_BAD;
	if (out->len > 0 || status == Z_STREAM_END)
		return STEP_OK;
	if (g->damaged) {
		fault_set(fault, FAULT_GZIP, 0, g->in);
		return STEP_BAD;
	}
	return STEP_MORE;
}
