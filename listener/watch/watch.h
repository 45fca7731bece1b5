/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_WATCH_H
#define VPCFLOWD_WATCH_WATCH_H

#include "flow/flow.h"
#include "watch/heavy.h"
#include "watch/series.h"

/*
 * Who talks and who is refused, as the flows of one worker go by: lists of the greatest in each window
 * and a series by the second. Time is that of arrival, not of the flow: AWS delivers a flow minutes
 * after it began.
 *
 * The lists: code, name in /api, what keys are, what is summed, 2^n sets of entries, octets of a name.
 */
#define WATCH_LISTS(X)                                                                             \
	X(SOURCES, "sources", ADDRESS, bytes, 7, 0)                                                \
	X(DESTINATIONS, "destinations", ADDRESS, bytes, 7, 0)                                      \
	X(REFUSED_SOURCES, "refused_sources", ADDRESS, flows, 7, 0)                                \
	X(REFUSED_PORTS, "refused_ports", PORT, flows, 7, 0)                                       \
	X(INTERFACES, "interfaces", NAME, bytes, 7, 32)                                            \
	X(LOG_GROUPS, "log_groups", NAME, bytes, 6, 158)

enum watch_list {
#define X(code, name, keys, unit, bits, room) LIST_##code,
	WATCH_LISTS(X)
#undef X
		LIST_COUNT
};

/*
 * The windows: code, name in /api, seconds of a slice, slices. The slice being filled is the last of
 * them, so that a window covers up to one slice less than its name says. 0: since start.
 */
#define WATCH_WINDOWS(X)                                                                           \
	X(MINUTE, "minute", 5, 12)                                                                 \
	X(QUARTER, "quarter", 60, 15)                                                              \
	X(START, "start", 0, 1)

enum watch_window {
#define X(code, name, seconds, slices) WINDOW_##code,
	WATCH_WINDOWS(X)
#undef X
		WINDOW_COUNT
};

const char *watch_list_name(enum watch_list list);
/* "bytes" or "flows". */
const char *watch_list_unit(enum watch_list list);
const char *watch_window_name(enum watch_window window);

enum { KEY_TEXT = 48 };

/* One list of one window: all that was added, and the sums of its greatest keys. */
struct lists {
	struct heavy top[LIST_COUNT];
};

struct watch;

/*
 * About 4.3 MiB. The seed must be the same for all whose lists are put together. NULL without memory.
 */
struct watch *watch_new(const struct heavy_seed *seed);
void watch_free(struct watch **w);

/* ---- the worker's thread --------------------------------------------------------------------- */

/* A flow that was handed to the outputs. now_ms: a clock that does not go back, the same for all. */
void watch_flow(struct watch *w, const struct flow *flow, uint64_t now_ms);
/*
 * Lets readers see what went by until now. Due every second: the lists take what came since the last
 * time for the present's. Does not wait: while a reader is in there, it is put off to the next time.
 */
void watch_tick(struct watch *w, uint64_t now_ms);

/* ---- any thread ------------------------------------------------------------------------------ */

/* Room for what lists of several watches come to. False without memory. */
MUST_CHECK bool lists_init(struct lists *l, const struct heavy_seed *seed);
void lists_deinit(struct lists *l);
void lists_clear(struct lists *l);
/* Adds what a watch has of a window, as of its last tick. */
void watch_gather(struct watch *w, enum watch_window window, struct lists *sum);
/*
 * Adds its series. Returns the first second that is not complete: as many seconds as SERIES_SECONDS
 * before that are.
 */
uint64_t watch_series(struct watch *w, struct series *sum);

/*
 * An item of a list as people write it: 10.0.0.1, 2001:db8::1, 22/tcp, icmp, the name. In room, or
 * borrowed from the item.
 */
struct slice watch_key_text(enum watch_list list, const struct heavy_item *item,
			    char room[KEY_TEXT]);

#endif
