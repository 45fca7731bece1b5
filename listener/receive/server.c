/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets and the list of connections. At the limit of connections nobody is turned away:
 * the next one is accepted when another has gone, until then it waits in the kernel's queue.
 */
#include "receive/server.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

enum {
	BACKLOG = 1024,
	TICK_MS = 250,
	QUIET_MS = 2000, /* after so long without an octet others may have use for the memory */
};

static uint64_t most_connections(const struct server *s)
{
	return worker_share(s->worker, s->worker->config->limits.connections);
}

static bool has_room(const struct server *s)
{
	return s->count < most_connections(s);
}

static void accept_one(struct listener *l)
{
	struct server *s = l->server;
	l->waiting = false;
	struct conn *c = conn_accept(s, (uv_stream_t *)&l->tcp);
	if (c == NULL) {
		/* The next tick tries again. */
		l->waiting = true;
		if (once_first(&s->worker->once, "memory", 0, uv_now(&s->worker->loop)))
			log_warn("listen", "cannot accept error=\"out of memory\"");
		return;
	}
	LIST_INSERT_HEAD(&s->conns, c, link);
	s->count++;
	s->worker->stats.connections++;
	s->worker->stats.connections_open = s->count;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct listener *l = stream->data;
	struct server *s = l->server;
	if (status != 0) {
		log_warn("listen", "cannot accept error=\"%s\"", uv_strerror(status));
		return;
	}
	if (has_room(s)) {
		accept_one(l);
		return;
	}
	l->waiting = true;
	if (once_first(&s->worker->once, "connections", 0, uv_now(&s->worker->loop)))
		log_warn("listen", "limit of connections reached, new peers wait limit=%llu",
			 (unsigned long long)most_connections(s));
}

static void accept_waiting(struct server *s)
{
	for (unsigned i = 0; i < s->listeners && has_room(s); i++)
		if (s->listener[i].waiting && s->listener[i].open)
			accept_one(&s->listener[i]);
}

void server_forget(struct server *s, struct conn *c)
{
	LIST_REMOVE(c, link);
	if (c->household != NULL)
		census_leave(c->household);
	s->count--;
	s->worker->stats.connections_open = s->count;
	accept_waiting(s);
	if (s->draining && LIST_EMPTY(&s->conns) && s->on_drained != NULL)
		s->on_drained(s);
}

void server_tell_fault(struct server *s, const char *peer, const char *what,
		       const struct fault *fault)
{
	struct worker *w = s->worker;
	w->stats.payloads_rejected++;
	w->stats.fault[fault->code]++;
	if (!once_first(&w->once, peer, fault->code, uv_now(&w->loop)))
		return;
	char text[LOG_ESCAPED];
	log_warn("payload", "payload rejected: %s peer=%s id=%s offset=%zu octets=\"%s\"",
		 fault_text(fault->code), peer, what, fault->offset,
		 log_escape(fault_sample(fault), text));
}

/* ---- listening ------------------------------------------------------------------------------- */

/* Takes the descriptor, unless it fails before. */
static int listen_on(struct server *s, struct listener *l, int *fd)
{
	l->server = s;
	int error = uv_tcp_init(&s->worker->loop, &l->tcp);
	if (error != 0)
		return error;
	l->tcp.data = l;
	l->open = true;
	error = uv_tcp_open(&l->tcp, *fd);
	if (error != 0)
		return error;
	*fd = -1;
	return uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
}

static int listen_on_all(struct server *s, struct sockets *sockets, unsigned number)
{
	int error = 0;
	for (unsigned i = 0; i < sockets->count && error == 0; i++) {
		struct listening *row = &sockets->row[i];
		error = listen_on(s, &s->listener[s->listeners++], &row->fd[number]);
		if (error != 0)
			log_error("listen", "cannot listen address=%s error=\"%s\"", row->address,
				  error_text(error));
	}
	return error;
}

static void close_listener(struct listener *l)
{
	if (l->open)
		uv_close((uv_handle_t *)&l->tcp, NULL);
	l->open = false;
}

/* ---- the server ------------------------------------------------------------------------------ */

/* Memory is kept from one payload to the next, but not when none comes. */
static void look_for_quiet(struct server *s, uint64_t now_ms)
{
	uint64_t received = s->worker->stats.bytes_received;
	if (received != s->received) {
		s->received = received;
		s->heard_ms = now_ms;
		s->gave_back = false;
	} else if (!s->gave_back && s->worker->held == 0 && now_ms - s->heard_ms >= QUIET_MS) {
		memory_give_back();
		s->gave_back = true;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct server *s = timer->data;
	uint64_t now_ms = uv_now(&s->worker->loop);
	struct conn *c = LIST_FIRST(&s->conns);
	while (c != NULL) {
		/* A closed connection stays in the list until its handle is closed. */
		struct conn *next = LIST_NEXT(c, link);
		conn_tick(c, now_ms);
		c = next;
	}
	takes_tick(&s->takes);
	look_for_quiet(s, now_ms);
	accept_waiting(s);
}

int server_init(struct server *s, struct worker *w, struct sockets *sockets, unsigned number,
		struct seen *seen, struct spool *spool)
{
	uint64_t seed = 0;
	*s = (struct server){ .worker = w };
	LIST_INIT(&s->conns);
	takes_init(&s->takes, s, seen, spool);
	/* Without it chains may grow longer, to --max-connections at most. */
	(void)!uv_random(NULL, NULL, &seed, sizeof(seed), 0, NULL);
	census_init(&s->census, seed);
	uv_timer_init(&w->loop, &s->tick);
	s->tick.data = s;
	s->heard_ms = uv_now(&w->loop);
	uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	return listen_on_all(s, sockets, number);
}

void server_drain(struct server *s, void (*on_drained)(struct server *s))
{
	s->draining = true;
	s->on_drained = on_drained;
	for (unsigned i = 0; i < s->listeners; i++)
		close_listener(&s->listener[i]);
	struct conn *c = LIST_FIRST(&s->conns);
	if (c == NULL)
		on_drained(s);
	while (c != NULL) {
		struct conn *next = LIST_NEXT(c, link);
		conn_drain(c);
		c = next;
	}
}

void server_close(struct server *s)
{
	s->on_drained = NULL;
	for (unsigned i = 0; i < s->listeners; i++)
		close_listener(&s->listener[i]);
	struct conn *c = LIST_FIRST(&s->conns);
	while (c != NULL) {
		struct conn *next = LIST_NEXT(c, link);
		if (c->mode == CONN_FRAMED)
			framed_give_up(c);
		conn_close(c, CLOSE_DRAINING);
		c = next;
	}
	if (!uv_is_closing((uv_handle_t *)&s->tick))
		uv_close((uv_handle_t *)&s->tick, NULL);
}

bool server_is_taking(const struct server *s)
{
	return s->takes.count > 0;
}

void server_deinit(struct server *s)
{
	takes_deinit(&s->takes);
}
