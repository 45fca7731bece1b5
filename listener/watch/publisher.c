/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In: what all workers have counted, a few times a second. Out: a publication on the board, with what
 * changed since the one before. Without memory for one the last stays up.
 */
#include "watch/publisher.h"

#include <errno.h>
#include <stdlib.h>

#include "watch/health.h"
#include "watch/http.h"
#include "watch/routes.h"

struct publisher {
	const struct config *first; /* a reference */
	const struct watches *watches;
	struct board *board;
	struct http *http;
	uint64_t number; /* of the last publication */
	uint64_t started;
	uint64_t started_ns;
	uint64_t at_ns; /* the last */
	struct counts counts;
	uint64_t stuck_ms[OUTPUT_LIMIT];
	struct spool_health spool;
};

static uint64_t time_ms(void)
{
	uv_timeval64_t now = { .tv_sec = 0 };
	(void)uv_gettimeofday(&now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

static void publish_outputs(struct publisher *p, struct published *new)
{
	for (size_t i = 0; i < p->first->outputs; i++) {
		const struct output_counters *now = &new->counts.output[i];
		const struct output_counters *tick = &new->tick.output[i];
		bool stuck = now->full > 0 && tick->flows_delivered == 0;
		p->stuck_ms[i] = stuck ? p->stuck_ms[i] + new->tick_ms : 0;
		new->output[i] = (struct published_output){
			.up = now->up == p->watches->count,
			.stuck_ms = p->stuck_ms[i],
		};
	}
}

void publisher_put(struct publisher *p, const struct counts *counts, const struct config *config,
		   enum published_stage stage)
{
	struct published *new = published_new();
	if (new == NULL)
		return;
	new->number = ++p->number;
	new->first = config_reference(p->first);
	new->config = config_reference(config);
	new->stage = stage;
	new->workers = p->watches->count;
	new->watches = p->watches;
	new->started = p->started;
	new->time = time_ms();
	new->at_ns = uv_hrtime();
	new->uptime_ms = (new->at_ns - p->started_ns) / 1000000;
	new->tick_ms = (new->at_ns - p->at_ns) / 1000000;
	new->counts = *counts;
	new->tick = *counts;
	counts_subtract(&new->tick, &p->counts);
	publish_outputs(p, new);
	new->spool_full = health_spool_is_full(&p->spool, new);
	p->at_ns = new->at_ns;
	p->counts = *counts;
	board_put(p->board, new);
	if (p->http != NULL)
		http_tick(p->http);
}

int publisher_open(struct publisher **p, const struct config *config, const struct watches *watches)
{
	struct publisher *new = calloc(1, sizeof(*new));
	if (new == NULL || (new->board = board_new()) == NULL) {
		log_error("http", "out of memory");
		free(new);
		return -ENOMEM;
	}
	new->first = config_reference(config);
	new->watches = watches;
	new->started = time_ms();
	new->started_ns = uv_hrtime();
	new->at_ns = new->started_ns;
	*p = new;
	const struct counts none = { .stats = { 0 } };
	publisher_put(new, &none, config, PUBLISHED_STARTING);
	int error = -ENOMEM;
	if (new->number == 0)
		log_error("http", "out of memory");
	else
		error = http_open(&new->http, &config->http, watch_routes, new->board);
	if (error != 0)
		publisher_close(p);
	return error;
}

const char *publisher_address(const struct publisher *p)
{
	return http_address(p->http);
}

void publisher_close(struct publisher **p)
{
	struct publisher *old = *p;
	*p = NULL;
	if (old == NULL)
		return;
	http_close(&old->http);
	board_free(&old->board);
	config_release(old->first);
	free(old);
}
