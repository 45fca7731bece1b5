/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows in, lists and series out. The worker writes into a small set of lists of its own, without a
 * lock; every second what is there goes to the slices of each window, which readers look at:
 *
 *   flow ─▶ now ──tick─┬─▶ minute   |5 s|5 s|...   12 slices, a ring
 *            (private) ├─▶ quarter  |1 min|...     15 slices
 *                      └─▶ start    |      |
 *                        (shared, behind the lock)
 *
 * A document has one log group, and so have many in a row: their flows are summed up until another comes.
 */
#include "watch/watch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "watch/heavy_add.h"

/* Kept out of what each flow goes through, whose registers it would take. */
#define APART __attribute__((noinline))

enum {
	PENDING_SECONDS = 8,
	RUN_NAME = 512, /* the longest name of a log group */
};

/* The slices of all windows lie in one array. */
enum {
#define X(code, name, seconds, slices) FIRST_##code, LAST_##code = FIRST_##code + (slices)-1,
	WATCH_WINDOWS(X)
#undef X
		SLICES_ALL
};

/* In the place of the first half of an address: no IPv6 address of 00ff::/16 is in use, RFC 4291 2.4. */
#define KEY_IPV4 UINT64_C(0x00ffffffffffffff)

static const struct {
	const char *name;
	enum { ADDRESS, PORT, NAME } keys;
	const char *unit;
	unsigned bits;
	size_t room;
} lists[LIST_COUNT] = {
#define X(code, name, keys, unit, bits, room) [LIST_##code] = { name, keys, #unit, bits, room },
	WATCH_LISTS(X)
#undef X
};

static const struct {
	const char *name;
	uint64_t seconds;
	unsigned slices;
	unsigned first; /* of all slices */
} windows[WINDOW_COUNT] = {
#define X(code, name, seconds, slices) [WINDOW_##code] = { name, seconds, slices, FIRST_##code },
	WATCH_WINDOWS(X)
#undef X
};

struct slice_of_time {
	uint64_t number; /* seconds / length */
	struct lists lists;
};

/* A log group and what it has since it came. */
struct run {
	uint64_t document; /* the last that was seen to be of it; 0: none */
	size_t len;
	uint64_t weight;
	char name[RUN_NAME];
};

/* Seconds that readers have not seen. */
struct pending {
	unsigned count;
	uint64_t number[PENDING_SECONDS];
	struct second second[PENDING_SECONDS];
};

struct watch {
	struct lists now;
	struct run group;
	uint64_t until_ms; /* the end of the present second */
	uint64_t number;   /* of the present second */
	struct second present;
	struct pending pending;

	uv_mutex_t mutex; /* of what follows */
	uint64_t seen;	  /* the second of the last tick */
	struct series series;
	struct slice_of_time slice[SLICES_ALL];
};

const char *watch_list_name(enum watch_list list)
{
	return lists[list].name;
}

const char *watch_list_unit(enum watch_list list)
{
	return lists[list].unit;
}

const char *watch_window_name(enum watch_window window)
{
	return windows[window].name;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

bool lists_init(struct lists *l, const struct heavy_seed *seed)
{
	bool made = true;
	*l = (struct lists){ .top = { { .set = NULL } } };
	for (unsigned i = 0; i < LIST_COUNT; i++)
		made = made && heavy_init(&l->top[i], seed, lists[i].bits, lists[i].room);
	if (!made)
		lists_deinit(l);
	return made;
}

/* Of the worker's own, names have twice the sets: seldom one has to make way, with its text. */
static bool now_init(struct lists *now, const struct heavy_seed *seed)
{
	if (!lists_init(now, seed))
		return false;
	struct heavy *names = &now->top[LIST_INTERFACES];
	heavy_deinit(names);
	return heavy_init(names, seed, lists[LIST_INTERFACES].bits + 1,
			  lists[LIST_INTERFACES].room);
}

void lists_deinit(struct lists *l)
{
	for (unsigned i = 0; i < LIST_COUNT; i++)
		heavy_deinit(&l->top[i]);
}

void lists_clear(struct lists *l)
{
	for (unsigned i = 0; i < LIST_COUNT; i++)
		heavy_clear(&l->top[i]);
}

static void lists_merge(struct lists *l, const struct lists *more)
{
	for (unsigned i = 0; i < LIST_COUNT; i++)
		heavy_merge(&l->top[i], &more->top[i]);
}

struct watch *watch_new(const struct heavy_seed *seed)
{
	struct watch *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	if (uv_mutex_init(&w->mutex) != 0) {
		free(w);
		return NULL;
	}
	bool made = now_init(&w->now, seed);
	for (unsigned i = 0; i < SLICES_ALL; i++)
		made = made && lists_init(&w->slice[i].lists, seed);
	if (!made)
		watch_free(&w);
	return w;
}

void watch_free(struct watch **w)
{
	if (*w == NULL)
		return;
	uv_mutex_destroy(&(*w)->mutex);
	lists_deinit(&(*w)->now);
	for (unsigned i = 0; i < SLICES_ALL; i++)
		lists_deinit(&(*w)->slice[i].lists);
	free(*w);
	*w = NULL;
}

/* ---- a flow ---------------------------------------------------------------------------------- */

static inline struct heavy_key key_of(const struct address *a)
{
	struct heavy_key key = { KEY_IPV4, 0 };
	if (a->version == 4) {
		uint32_t octets;
		memcpy(&octets, a->octets, sizeof(octets));
		key.low = octets;
	} else {
		memcpy(&key.high, a->octets, sizeof(key.high));
		memcpy(&key.low, a->octets + sizeof(key.high), sizeof(key.low));
	}
	return key;
}

static void end_run(struct run *run, struct heavy *top)
{
	heavy_add_name(top, slice_of(run->name, run->len), run->weight);
	run->weight = 0;
}

/* Begins a document: goes on with the run of its group, or ends it and begins another. */
static APART void begin_document(struct run *run, struct heavy *top, const struct origin *origin)
{
	struct slice name = origin->group;
	run->document = origin->number;
	if (slice_equal(name, slice_of(run->name, run->len)))
		return;
	end_run(run, top);
	run->len = name.len;
	if (name.len > 0)
		memcpy(run->name, name.data, name.len);
}

static inline void add_group(struct run *run, struct heavy *top, const struct origin *origin,
			     uint64_t weight)
{
	if (origin->group.len > RUN_NAME) {
		heavy_add_name(top, origin->group, weight);
		return;
	}
	if (origin->number != run->document)
		begin_document(run, top, origin);
	run->weight = heavy_sum(run->weight, weight);
}

static inline bool is_refused(const struct flow *flow)
{
	return slice_equal(flow_field_text(flow, FIELD_ACTION), SLICE_LITERAL("REJECT"));
}

/* AWS's names for an interface, and for what is one of a transit gateway. */
static inline struct slice interface_of(const struct flow *flow)
{
	struct slice name = flow_field_text(flow, FIELD_INTERFACE_ID);
	return name.len > 0 ? name : flow_field_text(flow, FIELD_TGW_ATTACHMENT_ID);
}

static inline void add_refusal(struct heavy *top, const struct flow *flow,
			       const struct address *source)
{
	if (source != NULL)
		heavy_add(&top[LIST_REFUSED_SOURCES], key_of(source), 1);
	if (flow_field_text(flow, FIELD_DSTPORT).len > 0) {
		uint64_t number = flow_number(flow, FIELD_PROTOCOL) << 16 |
				  flow_number(flow, FIELD_DSTPORT);
		heavy_add(&top[LIST_REFUSED_PORTS], (struct heavy_key){ 0, number }, 1);
	}
}

static inline void add_to_lists(struct watch *w, const struct flow *flow, uint64_t bytes,
				bool refused)
{
	struct heavy *top = w->now.top;
	const struct address *source = flow_address(flow, FIELD_SRCADDR);
	const struct address *destination = flow_address(flow, FIELD_DSTADDR);
	if (source != NULL)
		heavy_add(&top[LIST_SOURCES], key_of(source), bytes);
	if (destination != NULL)
		heavy_add(&top[LIST_DESTINATIONS], key_of(destination), bytes);
	if (refused)
		add_refusal(top, flow, source);
	heavy_add_name(&top[LIST_INTERFACES], interface_of(flow), bytes);
	if (flow->origin != NULL)
		add_group(&w->group, &top[LIST_LOG_GROUPS], flow->origin, bytes);
}

/* The present second is over. Many of them without a tick become one. */
static void go_on(struct watch *w, uint64_t now_ms)
{
	struct pending *p = &w->pending;
	if (w->present.flows > 0) {
		unsigned at = p->count < PENDING_SECONDS ? p->count++ : PENDING_SECONDS - 1;
		p->number[at] = w->number;
		second_add(&p->second[at], &w->present);
		w->present = (struct second){ .flows = 0 };
	}
	w->number = now_ms / 1000;
	w->until_ms = (w->number + 1) * 1000;
}

void watch_flow(struct watch *w, const struct flow *flow, uint64_t now_ms)
{
	uint64_t bytes = flow_number(flow, FIELD_BYTES);
	bool refused = is_refused(flow);
	if (now_ms >= w->until_ms)
		go_on(w, now_ms);
	w->present.flows++;
	w->present.bytes = heavy_sum(w->present.bytes, bytes);
	w->present.refused += refused;
	add_to_lists(w, flow, bytes, refused);
}

/* ---- a second -------------------------------------------------------------------------------- */

static uint64_t slice_number(enum watch_window window, uint64_t second)
{
	return windows[window].seconds == 0 ? 0 : second / windows[window].seconds;
}

/* The slice that a second is in, emptied of what was in its place before. */
static struct lists *present_slice(struct watch *w, enum watch_window window, uint64_t second)
{
	uint64_t number = slice_number(window, second);
	struct slice_of_time *slice =
		&w->slice[windows[window].first + number % windows[window].slices];
	if (slice->number != number)
		lists_clear(&slice->lists);
	slice->number = number;
	return &slice->lists;
}

static void hand_over(struct watch *w, uint64_t second)
{
	for (unsigned i = 0; i < w->pending.count; i++)
		series_add(&w->series, w->pending.number[i], &w->pending.second[i]);
	w->pending = (struct pending){ .count = 0 };
	for (unsigned i = 0; i < WINDOW_COUNT; i++)
		lists_merge(present_slice(w, i, second), &w->now);
	w->seen = second;
}

void watch_tick(struct watch *w, uint64_t now_ms)
{
	if (now_ms >= w->until_ms)
		go_on(w, now_ms);
	end_run(&w->group, &w->now.top[LIST_LOG_GROUPS]);
	if (uv_mutex_trylock(&w->mutex) != 0)
		return;
	hand_over(w, w->number);
	uv_mutex_unlock(&w->mutex);
	lists_clear(&w->now);
}

/* ---- reading --------------------------------------------------------------------------------- */

void watch_gather(struct watch *w, enum watch_window window, struct lists *sum)
{
	uv_mutex_lock(&w->mutex);
	const struct slice_of_time *slice = &w->slice[windows[window].first];
	uint64_t last = slice_number(window, w->seen);
	for (unsigned i = 0; i < windows[window].slices; i++)
		if (slice[i].number + windows[window].slices > last)
			lists_merge(sum, &slice[i].lists);
	uv_mutex_unlock(&w->mutex);
}

uint64_t watch_series(struct watch *w, struct series *sum)
{
	uv_mutex_lock(&w->mutex);
	uint64_t seen = w->seen;
	for (uint64_t n = seen < SERIES_SECONDS ? 0 : seen - SERIES_SECONDS; n <= seen; n++) {
		struct second second = series_at(&w->series, n);
		series_add(sum, n, &second);
	}
	uv_mutex_unlock(&w->mutex);
	return seen;
}

static struct slice address_text(struct heavy_key key, char room[KEY_TEXT])
{
	struct in6_addr v6;
	struct in_addr v4 = { .s_addr = (uint32_t)key.low };
	memcpy(v6.s6_addr, &key.high, sizeof(key.high));
	memcpy(v6.s6_addr + sizeof(key.high), &key.low, sizeof(key.low));
	bool is_v4 = key.high == KEY_IPV4;
	const char *text = is_v4 ? inet_ntop(AF_INET, &v4, room, KEY_TEXT)
				 : inet_ntop(AF_INET6, &v6, room, KEY_TEXT);
	return text == NULL ? SLICE_NONE : slice_text(text);
}

/* Numbers of the IANA registry "Protocol Numbers". */
static struct slice port_text(struct heavy_key key, char room[KEY_TEXT])
{
	static const struct {
		unsigned number;
		const char *name;
		bool has_ports;
	} protocols[] = {
		{ 6, "tcp", true },   { 17, "udp", true },     { 132, "sctp", true },
		{ 1, "icmp", false }, { 58, "icmpv6", false },
	};
	unsigned protocol = (unsigned)(key.low >> 16);
	unsigned port = (unsigned)key.low & UINT16_MAX;
	int len = snprintf(room, KEY_TEXT, "%u/%u", port, protocol);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
		if (protocols[i].number != protocol)
			continue;
		len = protocols[i].has_ports || port != 0
			      ? snprintf(room, KEY_TEXT, "%u/%s", port, protocols[i].name)
			      : snprintf(room, KEY_TEXT, "%s", protocols[i].name);
	}
	return slice_of(room, (size_t)len);
}

struct slice watch_key_text(enum watch_list list, const struct heavy_item *item,
			    char room[KEY_TEXT])
{
	switch (lists[list].keys) {
	case ADDRESS:
		return address_text(item->key, room);
	case PORT:
		return port_text(item->key, room);
	default:
		return item->name;
	}
}
