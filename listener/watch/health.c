/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether payloads can be taken and delivered. In: the newest publication, and how old it is. Out: ok,
 * or a line for each reason. An output counts as stuck only after a while, since a full one is how a
 * slow reader holds peers back.
 */
#include "watch/health.h"

#include "watch/text.h"

enum {
	STUCK_MS = 2000,
	OLD_MS = 10000,	  /* a worker that has not answered for so long hangs */
	AGAIN_MS = 10000, /* after a refusal another payload may be tried */
};

static void judge_workers(struct text *t, const struct published *p)
{
	uint64_t age_ms = (uv_hrtime() - p->at_ns) / 1000000;
	if (p->stage == PUBLISHED_STARTING)
		text_add(t, "starting\n");
	if (p->stage == PUBLISHED_DRAINING)
		text_add(t, "stopping\n");
	if (age_ms >= OLD_MS)
		text_add(t, "a worker hangs\n");
}

static void judge_outputs(struct text *t, const struct published *p)
{
	if (p->stage == PUBLISHED_STARTING)
		return;
	for (size_t i = 0; i < p->first->outputs; i++) {
		const char *name = p->first->output[i].name;
		if (!p->output[i].up)
			text_add(t, "output %zu is not connected: %s\n", i, name);
		else if (p->output[i].stuck_ms >= STUCK_MS)
			text_add(t, "output %zu takes no flows: %s\n", i, name);
	}
}

unsigned health_make(struct buf *body, const struct published *p)
{
	struct text t = { .buf = body };
	judge_workers(&t, p);
	judge_outputs(&t, p);
	if (p->spool_full)
		text_add(&t, "the spool is full: %s\n", p->first->spool);
	bool well = body->len == 0;
	if (well)
		text_add(&t, "ok\n");
	if (t.failed)
		return 0;
	return well ? 200 : 503;
}

bool health_spool_is_full(struct spool_health *h, const struct published *p)
{
	const struct stats *tick = &p->tick.stats;
	uint64_t octets = p->counts.stats.spool_bytes;
	if (p->first->spool == NULL)
		return false;
	bool small = octets < p->config->limits.spool_max / 2;
	uint64_t since_ms = (p->at_ns - h->at_ns) / 1000000;
	if (tick->spool_refused > 0)
		*h = (struct spool_health){ .refused = true, .at_ns = p->at_ns, .octets = octets };
	else if (tick->spooled > 0 || octets < h->octets || (small && since_ms >= AGAIN_MS))
		h->refused = false;
	return h->refused;
}
