/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip in, octets out through one window that stays in cache. An engine checks header, checksum and
 * length of each member (inflater.h); members, their ends and the limits are seen to here.
 *
 * The ratio is checked at the end of each member, where every engine has used the same octets however
 * they were cut into reads. Until then engines differ in how far they read ahead, so what is stopped
 * in the middle of a member is only what has gone twice as far.
 */
#include "decode/gunzip.h"

#include <stdlib.h>

enum {
	WINDOW = 64 * 1024,
	BRAKE = 2,
};

struct gunzip {
	struct inflater *inflater;
	const struct limits *limits;
	uint64_t *tally;
	uint64_t in;  /* octets of gzip used, all members */
	uint64_t out; /* octets inflated, all members */
	bool ended;   /* between two members */
	bool damaged; /* reported by the next call, after what came out before */
	char window[WINDOW];
};

const struct inflater_class *gunzip_engine(void)
{
#ifdef VPCFLOWD_ISAL
	return &inflater_isal;
#else
	return &inflater_zlib;
#endif
}

size_t gunzip_cost(void)
{
	return sizeof(struct gunzip) + gunzip_engine()->octets;
}

struct gunzip *gunzip_new(const struct limits *limits, uint64_t *tally)
{
	return gunzip_new_by(gunzip_engine(), limits, tally);
}

struct gunzip *gunzip_new_by(const struct inflater_class *engine, const struct limits *limits,
			     uint64_t *tally)
{
	struct gunzip *g = malloc(sizeof(*g));
	if (g == NULL)
		return NULL;
	/* All but the window, which need not be cleared. */
	memset(g, 0, offsetof(struct gunzip, window));
	g->limits = limits;
	g->tally = tally;
	g->inflater = engine->new ();
	if (g->inflater == NULL)
		gunzip_free(&g);
	return g;
}

void gunzip_free(struct gunzip **g)
{
	if (*g == NULL)
		return;
	if ((*g)->inflater != NULL)
		(*g)->inflater->class->free((*g)->inflater);
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
	uint64_t most = g->ended ? g->limits->ratio : BRAKE * g->limits->ratio;
	if (g->out > WINDOW && g->out / most > g->in)
		return fault_set(fault, FAULT_RATIO, 0, g->in);
	return true;
}

static struct slice run(struct gunzip *g, struct slice *in, char *to, size_t room)
{
	size_t offered = in->len;
	enum inflated said = g->inflater->class->run(g->inflater, in, to, &room);
	g->in += offered - in->len;
	g->out += room;
	if (g->tally != NULL)
		*g->tally += room;
	g->ended = said == INFLATED_ENDED;
	g->damaged = said == INFLATED_BAD;
	return slice_of(to, room);
}

enum step gunzip_next_into(struct gunzip *g, struct slice *in, char *to, size_t room,
			   struct slice *out, struct fault *fault)
{
	*out = SLICE_NONE;
	if (g->ended) {
		if (in->len == 0)
			return STEP_MORE;
		g->inflater->class->again(g->inflater);
		g->ended = false;
	}
	if (!g->damaged)
		*out = run(g, in, to, room);
	if (!within_limits(g, fault))
		return STEP_BAD;
	if (out->len > 0 || g->ended)
		return STEP_OK;
	if (g->damaged) {
		fault_set(fault, FAULT_GZIP, 0, g->in);
		return STEP_BAD;
	}
	return STEP_MORE;
}

enum step gunzip_next(struct gunzip *g, struct slice *in, struct slice *out, struct fault *fault)
{
	return gunzip_next_into(g, in, g->window, WINDOW, out, fault);
}
