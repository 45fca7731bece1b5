/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector over TCP, or TLS over it: sessions, one after another, for ever.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ UP ──broken──▶ BREAKING ─▶ RESTING ─┐
 *       ▲             └──refused: the next address, or ──────▶     │
 *       └──────────────── after the back-off ──────────────────────┘
 *
 * A block is delivered when the collector's kernel has acknowledged its last octet, or the end of the
 * TLS record that has it (wire.c). What a collector's kernel has taken its process may not have read
 * when it dies, and TCP does not tell; so acknowledged blocks are kept for a moment, and sent again in
 * the next session with all that was not acknowledged. Flows may come twice then, and are counted.
 * README.md beside this has what may be missing all the same.
 *
 *   output ─pull─▶ sent (written, not acknowledged) ─▶ kept (acknowledged) ─▶ output
 *      ▲                └──────────── the session broke ─────┘
 *      └────────────────────────────────────┘
 *
 * The first session has to come up: until then a failure is final, and the start has failed, unless
 * the output is patient.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "deliver/resolve.h"
#include "deliver/transport.h"
#include "deliver/wire.h"

enum {
	UNWRITTEN_MOST = 256 * 1024, /* octets that libuv holds for the socket */
	KEPT_MOST = 8 * 1024 * 1024, /* more than a receive buffer usually grows to */
	KEPT_MS = 2000,		     /* a collector reads what it got within this time */
	CONNECT_MS = 10 * 1000,	     /* for each address, TLS handshake and all */
	DOUBT_MS = 1000,	     /* a collector that refuses our certificate says so by then */
	REST_MS = 1000,		     /* the first back-off; doubled from there */
	LIVED_MS = 250,		     /* a session that lasted so long begins the back-off anew */
	CHECK_FIRST_MS = 1,	     /* how soon acknowledgements are looked for, then twice */
	CHECK_LAST_MS = 64,	     /* as long each time up to this */
};

enum stream_state { RESOLVING, CONNECTING, UP, BREAKING, RESTING, CLOSING };

struct stream {
	struct transport transport;
	const struct output_config *config;
	uv_loop_t *loop;
	enum stream_state state;
	struct resolver resolver;
	struct wire wire;
	uv_timer_t timer; /* of the state: connect deadline, back-off */
	uv_timer_t check; /* of acknowledgements */
	unsigned handles; /* not closed yet */
	bool was_up;
	bool told_absent;
	int error;	    /* of the last try */
	char told[TLS_WHY]; /* what was wrong with TLS when that was last told */
	uint64_t rest_ms;

	/* the session */
	struct blocks sent;
	struct blocks kept;
	size_t kept_octets;
	uint64_t up_ms; /* when it began */
	uint64_t acknowledged;
	uint64_t check_ms;
};

static struct stream *stream_of(struct transport *t)
{
	return CONTAINER_OF(t, struct stream, transport);
}

static struct stream *stream_of_wire(struct wire *w)
{
	return CONTAINER_OF(w, struct stream, wire);
}

static void begin_session(struct stream *s);

/* ---- between sessions ------------------------------------------------------------------------ */

static void on_rested(uv_timer_t *timer)
{
	begin_session(timer->data);
}

static void rest(struct stream *s)
{
	s->state = RESTING;
	uv_timer_start(&s->timer, on_rested, s->rest_ms, 0);
	s->rest_ms *= 2;
	if (s->rest_ms > s->config->reconnect_max_ms)
		s->rest_ms = s->config->reconnect_max_ms;
}

/* No address could be connected to. */
static void give_up_try(struct stream *s)
{
	if (!s->was_up && !s->config->patient) {
		output_fail(s->transport.output, s->error);
		return;
	}
	if (!s->was_up && !s->told_absent)
		log_warn("output", "not there yet, trying again output=%s error=\"%s\"",
			 s->config->name, uv_strerror(s->error));
	s->told_absent = true;
	log_debug("output", "no connection yet output=%s error=\"%s\" again_in_ms=%llu",
		  s->config->name, uv_strerror(s->error), (unsigned long long)s->rest_ms);
	rest(s);
}

static void on_connect_late(uv_timer_t *timer)
{
	struct stream *s = timer->data;
	s->error = UV_ETIMEDOUT;
	wire_close(&s->wire);
}

static void try_next_address(struct stream *s)
{
	const struct sockaddr *address = resolver_next(&s->resolver);
	if (address == NULL) {
		give_up_try(s);
		return;
	}
	s->state = CONNECTING;
	s->handles++;
	uv_timer_start(&s->timer, on_connect_late, CONNECT_MS, 0);
	wire_connect(&s->wire, s->loop, address, output_tls(s->transport.output),
		     s->config->destination.path);
}

static void on_resolved(struct resolver *r, int error)
{
	struct stream *s = CONTAINER_OF(r, struct stream, resolver);
	/* The answer may come while the end has begun. */
	if (s->state != RESOLVING)
		return;
	s->error = error;
	if (error != 0)
		give_up_try(s);
	else
		try_next_address(s);
}

static void begin_session(struct stream *s)
{
	s->state = RESOLVING;
	s->error = resolver_ask(&s->resolver, s->loop, &s->config->destination, on_resolved);
	if (s->error != 0)
		give_up_try(s);
}

/* ---- the end of a session -------------------------------------------------------------------- */

static void drop_kept(struct stream *s, struct block *b)
{
	TAILQ_REMOVE(&s->kept, b, link);
	s->kept_octets -= b->batch.bytes.len + sizeof(*b);
	output_recycle(s->transport.output, b);
}

/* Everything that the collector may not have goes back, in the order of sending. */
static void return_blocks(struct stream *s)
{
	struct blocks all = TAILQ_HEAD_INITIALIZER(all);
	TAILQ_CONCAT(&all, &s->kept, link);
	TAILQ_CONCAT(&all, &s->sent, link);
	s->kept_octets = 0;
	output_return(s->transport.output, &all);
}

static void break_session(struct stream *s, int error, const char *why)
{
	s->state = BREAKING;
	/* One that ends at once is a load balancer's without a collector: no reason to hurry. */
	if (s->acknowledged > 0 && uv_now(s->loop) - s->up_ms >= LIVED_MS)
		s->rest_ms = REST_MS;
	log_warn("output", "connection lost, trying again output=%s error=\"%s\"", s->config->name,
		 why != NULL	   ? why
		 : error == UV_EOF ? "closed by the collector"
				   : uv_strerror(error));
	uv_timer_stop(&s->check);
	output_down(s->transport.output);
	wire_close(&s->wire);
}

/* What is wrong with TLS is told once, not at each try. */
static void tell_tls(struct stream *s, const char *why)
{
	enum log_level level = !s->was_up ? LOG_ERROR : LOG_WARN;
	bool news = strcmp(why, s->told) != 0;
	(void)snprintf(s->told, sizeof(s->told), "%s", why);
	log_line(news ? level : LOG_DEBUG, "output", "no TLS session: %s output=%s", why,
		 s->config->name);
}

static void on_down(struct wire *w, int error, const char *why)
{
	struct stream *s = stream_of_wire(w);
	if (s->state == UP) {
		break_session(s, error, why);
	} else if (s->state == CONNECTING) {
		if (why != NULL)
			tell_tls(s, why);
		s->error = error;
		wire_close(w);
	}
}

/* ---- a session ------------------------------------------------------------------------------- */

static void keep(struct stream *s, struct block *b)
{
	output_delivered(s->transport.output, b);
	if (b->kind != BLOCK_FLOWS) {
		output_recycle(s->transport.output, b);
		return;
	}
	b->delivered_ms = uv_now(s->loop);
	TAILQ_INSERT_TAIL(&s->kept, b, link);
	s->kept_octets += b->batch.bytes.len + sizeof(*b);
}

/* While a collector takes nothing in, nobody knows what it has read: nothing is dropped for age. */
static void drop_old(struct stream *s, bool moving)
{
	struct block *b;
	uint64_t now_ms = uv_now(s->loop);
	while ((b = TAILQ_FIRST(&s->kept)) != NULL &&
	       (s->kept_octets > KEPT_MOST || (moving && now_ms - b->delivered_ms >= KEPT_MS)))
		drop_kept(s, b);
}

static void on_check(uv_timer_t *timer);

static void check_again(struct stream *s)
{
	if (TAILQ_EMPTY(&s->sent) && TAILQ_EMPTY(&s->kept))
		uv_timer_stop(&s->check);
	else
		uv_timer_start(&s->check, on_check, s->check_ms, 0);
}

/* Takes note of what has arrived; whether that was something. */
static bool take_acknowledged(struct stream *s)
{
	struct block *b;
	uint64_t before = s->acknowledged;
	s->acknowledged = wire_acknowledged(&s->wire, before);
	while ((b = TAILQ_FIRST(&s->sent)) != NULL && b->end <= s->acknowledged && b->write_done) {
		TAILQ_REMOVE(&s->sent, b, link);
		keep(s, b);
	}
	return s->acknowledged > before;
}

static void on_check(uv_timer_t *timer)
{
	struct stream *s = timer->data;
	bool moved = take_acknowledged(s);
	s->check_ms = moved ? CHECK_FIRST_MS : s->check_ms * 2;
	if (s->check_ms > CHECK_LAST_MS)
		s->check_ms = CHECK_LAST_MS;
	drop_old(s, moved || TAILQ_EMPTY(&s->sent));
	check_again(s);
	if (moved)
		output_progress(s->transport.output);
}

/* Sends what the output has, as long as the socket keeps up. */
static void fill(struct stream *s)
{
	struct block *b;
	bool any = false;
	while (s->state == UP && wire_unwritten(&s->wire) < UNWRITTEN_MOST &&
	       (b = output_pull(s->transport.output)) != NULL) {
		output_shrink(s->transport.output, b);
		any = true;
		TAILQ_INSERT_TAIL(&s->sent, b, link);
		int error = wire_send(&s->wire, b);
		if (error != 0)
			break_session(s, error, NULL);
	}
	if (any && s->state == UP) {
		s->check_ms = CHECK_FIRST_MS;
		check_again(s);
	}
}

static void on_room(struct wire *w)
{
	struct stream *s = stream_of_wire(w);
	if (s->state == UP)
		fill(s);
}

static void on_up(struct wire *w)
{
	struct stream *s = stream_of_wire(w);
	char text[RESOLVED_TEXT];
	uv_timer_stop(&s->timer);
	log_info("output", "connected output=%s address=%s", s->config->name,
		 resolved_text((const struct sockaddr *)&w->peer, text));
	s->state = UP;
	s->was_up = true;
	s->told[0] = '\0';
	s->up_ms = uv_now(s->loop);
	s->acknowledged = 0;
	output_session(s->transport.output);
	fill(s);
	output_progress(s->transport.output);
}

static void on_doubt_over(uv_timer_t *timer)
{
	struct stream *s = timer->data;
	wire_trust(&s->wire);
}

static void on_doubt(struct wire *w)
{
	struct stream *s = stream_of_wire(w);
	uv_timer_start(&s->timer, on_doubt_over, DOUBT_MS, 0);
}

static void stream_kick(struct transport *t)
{
	struct stream *s = stream_of(t);
	if (s->state == UP)
		fill(s);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void on_forgotten(struct resolver *r)
{
	struct stream *s = CONTAINER_OF(r, struct stream, resolver);
	struct output *o = s->transport.output;
	return_blocks(s);
	free(s);
	output_closed(o);
}

static void end_handle(struct stream *s)
{
	s->handles--;
	if (s->state == CLOSING && s->handles == 0)
		resolver_forget(&s->resolver, on_forgotten);
}

static void on_timer_closed(uv_handle_t *handle)
{
	end_handle(handle->data);
}

/* All writes have had their callbacks: the blocks are nobody else's. */
static void on_wire_closed(struct wire *w)
{
	struct stream *s = stream_of_wire(w);
	uv_timer_stop(&s->timer);
	if (s->state == BREAKING) {
		return_blocks(s);
		rest(s);
	} else if (s->state == CONNECTING) {
		try_next_address(s);
	}
	end_handle(s);
}

static int stream_open(struct transport **t, struct output *o, uv_loop_t *loop,
		       struct transport *beside)
{
	(void)beside; /* each worker has a session of its own */
	struct stream *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->transport = (struct transport){ .class = &transport_stream, .output = o };
	s->config = output_config_of(o);
	s->loop = loop;
	s->rest_ms = REST_MS;
	s->wire.on_up = on_up;
	s->wire.on_doubt = on_doubt;
	s->wire.on_room = on_room;
	s->wire.on_down = on_down;
	s->wire.on_closed = on_wire_closed;
	TAILQ_INIT(&s->sent);
	TAILQ_INIT(&s->kept);
	int error = resolver_ask(&s->resolver, loop, &s->config->destination, on_resolved);
	if (error != 0) {
		free(s);
		return error;
	}
	uv_timer_init(loop, &s->timer);
	uv_timer_init(loop, &s->check);
	s->timer.data = s;
	s->check.data = s;
	s->handles = 2;
	*t = &s->transport;
	return 0;
}

/* What is acknowledged the collector's kernel keeps for it, so nothing has to be waited for. */
static void stream_close(struct transport *t, bool abort)
{
	struct stream *s = stream_of(t);
	(void)abort;
	s->state = CLOSING;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	uv_close((uv_handle_t *)&s->check, on_timer_closed);
	wire_close(&s->wire);
}

const struct transport_class transport_stream = {
	.hand_over = TRANSPORT_HAND_OVER,
	.open = stream_open,
	.kick = stream_kick,
	.close = stream_close,
};
