/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether payloads can be taken and delivered. In: the newest publication, and how old it is. Out: ok,
 * or a line for each reason. An output counts as stuck only after a while, since a full one is how a
 * slow reader holds peers back.
 */
#include "watch/health.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	STUCK_MS = 3000,
	OLD_MS = 10000, /* a worker that has not answered for so long hangs */
	LINE_ROOM = 512,
};

/* The first failure to add to the body, or to find a reason. */
struct judgement {
	struct buf *body;
	bool bad;
	bool lost; /* a line, for want of memory */
};

static void blame(struct judgement *j, const char *format, ...) PRINTF_LIKE(2, 3);

static void blame(struct judgement *j, const char *format, ...)
{
	char line[LINE_ROOM];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	size_t n = (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1;
	j->bad = true;
	j->lost = !buf_add(j->body, line, n) || !buf_add(j->body, "\n", 1) || j->lost;
}

static void judge_workers(struct judgement *j, const struct published *p)
{
	uint64_t age_ms = (uv_hrtime() - p->at_ns) / 1000000;
	if (p->stage == PUBLISHED_STARTING)
		blame(j, "starting");
	if (p->stage == PUBLISHED_DRAINING)
		blame(j, "stopping");
	if (age_ms >= OLD_MS)
		blame(j, "a worker hangs");
}

static void judge_outputs(struct judgement *j, const struct published *p)
{
	if (p->stage == PUBLISHED_STARTING)
		return;
	for (size_t i = 0; i < p->first->outputs; i++) {
		const char *name = p->first->output[i].name;
		if (!p->output[i].up)
			blame(j, "output %zu is not connected: %s", i, name);
		else if (p->output[i].stuck_ms >= STUCK_MS)
			blame(j, "output %zu takes no flows: %s", i, name);
	}
}

unsigned health_make(struct buf *body, const struct published *p)
{
	struct judgement j = { .body = body };
	judge_workers(&j, p);
	judge_outputs(&j, p);
	if (!j.bad)
		j.lost = !buf_add(body, "ok\n", 3);
	if (j.lost)
		return 0;
	return j.bad ? 503 : 200;
}
