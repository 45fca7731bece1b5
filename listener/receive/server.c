/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets and the list of connections. At the limit of connections nobody is turned away:
 * the next one is accepted when another has gone, until then it waits in the kernel's queue.
 */
#include "receive/server.h"

#include <netinet/in.h>

#include "base/log.h"

enum { BACKLOG = 1024, TICK_MS = 250 };

static bool has_room(const struct server *s)
{
	return s->count < s->worker->config->limits.connections;
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
			 (unsigned long long)s->worker->config->limits.connections);
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

static int bind_address(uv_tcp_t *tcp, const char *host, uint16_t port)
{
	struct sockaddr_storage storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	if (uv_ip6_addr(host, port, v6) != 0 && uv_ip4_addr(host, port, v4) != 0)
		return UV_EINVAL;
	return uv_tcp_bind(tcp, (struct sockaddr *)&storage, 0);
}

/* Host and port that a listener is bound to, as ADDR:PORT. */
static int find_address(struct listener *l)
{
	struct sockaddr_storage storage;
	int len = sizeof(storage);
	char host[ADDRESS_TEXT] = "?";
	int error = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&storage, &len);
	if (error != 0)
		return error;
	uv_ip_name((struct sockaddr *)&storage, host, sizeof(host));
	bool v6 = storage.ss_family == AF_INET6;
	uint16_t port = v6 ? ((struct sockaddr_in6 *)&storage)->sin6_port
			   : ((struct sockaddr_in *)&storage)->sin_port;
	(void)snprintf(l->address, sizeof(l->address), v6 ? "[%s]:%u" : "%s:%u", host, ntohs(port));
	return 0;
}

/* Begins to listen on what is bound. */
static int begin_listening(struct listener *l)
{
	int error = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
	if (error == 0)
		error = find_address(l);
	if (error == 0)
		log_info("listen", "listening address=%s", l->address);
	return error;
}

static int open_listener(struct server *s, struct listener *l, const char *host, uint16_t port)
{
	l->server = s;
	int error = uv_tcp_init(&s->worker->loop, &l->tcp);
	if (error != 0)
		return error;
	l->tcp.data = l;
	l->open = true;
	error = bind_address(&l->tcp, host, port);
	return error != 0 ? error : begin_listening(l);
}

static void close_listener(struct listener *l)
{
	if (l->open)
		uv_close((uv_handle_t *)&l->tcp, NULL);
	l->open = false;
}

static int listen_on_inherited(struct server *s, int fd)
{
	struct listener *l = &s->listener[s->listeners++];
	l->server = s;
	int error = uv_tcp_init(&s->worker->loop, &l->tcp);
	if (error == 0) {
		l->tcp.data = l;
		l->open = true;
		error = uv_tcp_open(&l->tcp, fd);
	}
	if (error == 0)
		error = begin_listening(l);
	if (error != 0)
		log_error("listen", "cannot listen descriptor=%d error=\"%s\"", fd,
			  uv_strerror(error));
	return error;
}

static int listen_on(struct server *s, const struct listen_address *a)
{
	struct listener *l = &s->listener[s->listeners];
	int error = open_listener(s, l, a->host, a->port);
	/* Without IPv6 in the kernel the standard address is IPv4's. */
	if (a->standard && (error == UV_EAFNOSUPPORT || error == UV_EADDRNOTAVAIL)) {
		close_listener(l);
		l = &s->listener[++s->listeners];
		error = open_listener(s, l, "0.0.0.0", a->port);
	}
	s->listeners++;
	if (error != 0)
		log_error("listen", "cannot listen option=\"--listen %s\" error=\"%s\"", a->text,
			  uv_strerror(error));
	return error;
}

void server_print_addresses(const struct server *s, FILE *out)
{
	for (unsigned i = 0; i < s->listeners; i++)
		if (s->listener[i].open)
			fprintf(out, "%s\n", s->listener[i].address);
}

/* ---- the server ------------------------------------------------------------------------------ */

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
	accept_waiting(s);
}

int server_init(struct server *s, struct worker *w, unsigned inherited, struct seen *seen,
		struct spool *spool)
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
	uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	int error = 0;
	for (unsigned i = 0; i < inherited && error == 0; i++)
		error = listen_on_inherited(s, INHERITED_FIRST + (int)i);
	for (size_t i = 0; i < w->config->listens && error == 0; i++)
		if (inherited == 0 || !w->config->listen[i].standard)
			error = listen_on(s, &w->config->listen[i]);
	return error;
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
