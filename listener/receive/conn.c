/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's socket, clock and end. What its octets mean is told by unframed.c and framed.c;
 * here the first of them are looked at to choose between the two. Reading stops whenever there is
 * no place for what would come, which is all the back-pressure there is.
 */
#include "receive/conn.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "receive/server.h"

enum {
	LINGER_MS = 1000, /* for the peer to read its last reply */
};

/* ---- the end --------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;
	server_forget(c->server, c);
	config_release(c->config);
	free(c);
}

/* No loss, or told before with more to say. */
static bool is_quiet(enum close_reason reason)
{
	return reason == CLOSE_DONE || reason == CLOSE_IDLE || reason == CLOSE_DRAINING ||
	       reason == CLOSE_COMMAND || reason == CLOSE_TLS;
}

static void log_end(const struct conn *c, enum close_reason reason)
{
	struct worker *w = c->worker;
	bool first = !is_quiet(reason) &&
		     once_first(&w->once, c->peer, ONCE_CLOSED + reason, uv_now(&w->loop));
	log_line(first ? LOG_WARN : LOG_DEBUG, "peer", "connection closed: %s peer=%s reason=%s",
		 close_reason_text(reason), c->peer, close_reason_name(reason));
}

void conn_tell_tls(struct conn *c, const char *why)
{
	struct worker *w = c->worker;
	char key[ADDRESS_TEXT + TLS_WHY];
	(void)snprintf(key, sizeof(key), "%s %s", c->peer, why);
	bool first = once_first(&w->once, key, ONCE_TLS, uv_now(&w->loop));
	log_line(first ? LOG_WARN : LOG_DEBUG, "peer", "connection closed: %s peer=%s reason=%s",
		 why, c->peer, close_reason_name(CLOSE_TLS));
}

void conn_close(struct conn *c, enum close_reason reason)
{
	if (c->mode == CONN_CLOSED)
		return;
	log_end(c, reason);
	c->worker->stats.closed[reason]++;
	c->mode = CONN_CLOSED;
	if (c->tls != NULL)
		secured_end(c);
	tls_session_free(&c->tls);
	worker_unschedule(c->worker, &c->turn);
	framed_free(c);
	conn_keep_input(c, SLICE_NONE);
	intake_free(&c->intake);
	worker_release(c->worker, &c->hold);
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	(void)status;
	free(request);
}

/*
 * The last reply is written. Closing now, with octets of the peer unread, would reset the
 * connection and may destroy that reply on its way; so say that no more comes and read on a little.
 */
void conn_linger(struct conn *c, enum close_reason reason)
{
	if (c->tls != NULL)
		secured_end(c);
	uv_shutdown_t *request = malloc(sizeof(*request));
	if (request == NULL || uv_shutdown(request, (uv_stream_t *)&c->tcp, on_shutdown) != 0) {
		free(request);
		conn_close(c, reason);
		return;
	}
	c->mode = CONN_LINGER;
	c->ending_reason = reason;
	conn_set_idle(c, false);
}

/* ---- writing --------------------------------------------------------------------------------- */

struct write {
	uv_write_t request;
	struct conn *conn;
	char octets[];
};

static void on_written(uv_write_t *request, int status)
{
	struct write *w = request->data;
	struct conn *c = w->conn;
	free(w);
	c->writes--;
	c->write_since_ms = uv_now(&c->worker->loop);
	if (c->mode == CONN_CLOSED)
		return;
	if (status < 0)
		conn_close(c, CLOSE_RESET);
	else
		conn_settle(c);
}

void conn_write(struct conn *c, struct slice octets)
{
	if (c->tls != NULL)
		secured_write(c, octets);
	else
		conn_send(c, octets);
}

void conn_send(struct conn *c, struct slice octets)
{
	uv_stream_t *stream = (uv_stream_t *)&c->tcp;
	if (c->writes == 0) {
		uv_buf_t now = uv_buf_init((char *)(uintptr_t)octets.data, (unsigned)octets.len);
		int n = uv_try_write(stream, &now, 1);
		if (n > 0)
			slice_skip(&octets, (size_t)n);
		if (octets.len == 0)
			return;
	}
	struct write *w = malloc(sizeof(*w) + octets.len);
	if (w == NULL) {
		conn_close(c, CLOSE_MEMORY);
		return;
	}
	w->conn = c;
	w->request.data = w;
	memcpy(w->octets, octets.data, octets.len);
	uv_buf_t later = uv_buf_init(w->octets, (unsigned)octets.len);
	if (c->writes++ == 0)
		c->write_since_ms = uv_now(&c->worker->loop);
	if (uv_write(&w->request, stream, &later, 1, on_written) == 0)
		return;
	c->writes--;
	free(w);
	conn_close(c, CLOSE_RESET);
}

/* ---- reading --------------------------------------------------------------------------------- */

void conn_set_idle(struct conn *c, bool idle)
{
	c->idle = idle;
	c->since_ms = uv_now(&c->worker->loop);
}

void conn_renew_config(struct conn *c)
{
	const struct config *before = c->config;
	c->config = config_reference(c->worker->config);
	config_release(before);
}

void conn_keep_input(struct conn *c, struct slice rest)
{
	c->in_len = rest.len;
	if (rest.len == 0) {
		if (!c->in_lent)
			free(c->in);
		c->in = NULL;
		c->in_lent = false;
	} else if (c->in_lent) {
		c->in = (char *)(uintptr_t)rest.data;
		c->in_room = rest.len;
	} else {
		c->in_first = (size_t)(rest.data - c->in);
	}
}

/*
 * To where octets stay, if that is known, more of them at once while little is held; else to a buffer.
 * False without memory.
 */
static bool begin_input(struct conn *c)
{
	size_t room = CONN_INPUT;
	size_t most = worker_is_laden(c->worker) ? CONN_INPUT : CONN_LENT;
	c->in = c->mode == CONN_UNFRAMED ? intake_room(c->intake, &room) : NULL;
	c->in_lent = c->in != NULL;
	if (!c->in_lent)
		c->in = malloc(CONN_INPUT);
	c->in_room = room < most ? room : most;
	c->in_first = 0;
	return c->in != NULL;
}

static uv_buf_t input_room(struct conn *c)
{
	if (c->in == NULL && !begin_input(c))
		return uv_buf_init(NULL, 0);
	if (c->in_first > 0) {
		memmove(c->in, c->in + c->in_first, c->in_len);
		c->in_first = 0;
	}
	return uv_buf_init(c->in + c->in_len, (unsigned)(c->in_room - c->in_len));
}

uv_buf_t conn_room(struct conn *c)
{
	uv_buf_t room = uv_buf_init(NULL, 0);
	if (c->mode == CONN_FRAMED)
		room = framed_room(c);
	return room.len == 0 ? input_room(c) : room;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	struct conn *c = handle->data;
	(void)suggested;
	/* In a turn there may have come to be less room than when reading went on. */
	*room = conn_wants_input(c) ? conn_room(c) : uv_buf_init(NULL, 0);
}

static bool is_input(const struct conn *c, const uv_buf_t *room)
{
	return c->in != NULL && room->base == c->in + c->in_first + c->in_len;
}

void conn_received(struct conn *c, size_t n, const uv_buf_t *room)
{
	c->worker->stats.bytes_received += n;
	if (!c->heard || c->idle)
		conn_set_idle(c, false);
	c->heard = true;
	c->heard_ms = uv_now(&c->worker->loop);
	if (is_input(c, room))
		c->in_len += n;
	else
		framed_received(c, n);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
	struct conn *c = stream->data;
	if (n == UV_ENOBUFS && conn_wants_input(c)) {
		conn_close(c, CLOSE_MEMORY);
		return;
	}
	if (n > 0) {
		conn_received(c, (size_t)n, room);
	} else if (n < 0 && n != UV_ENOBUFS) {
		c->eof = true;
		c->read_error = n == UV_EOF ? 0 : (int)n;
	}
	if (c->in_len == 0)
		conn_keep_input(c, SLICE_NONE);
	if (n != 0)
		conn_settle(c);
}

bool conn_wants_input(const struct conn *c)
{
	switch (c->mode) {
	case CONN_UNFRAMED:
		return (c->in == NULL || c->in_len < c->in_room / 2) && !c->wants_room;
	case CONN_FRAMED:
		return framed_wants_input(c);
	default:
		return true;
	}
}

static void update_reading(struct conn *c)
{
	bool secured = c->tls != NULL;
	bool want = c->mode != CONN_CLOSED && !c->eof && conn_wants_input(c);
	if (want && !c->reading)
		c->reading = uv_read_start((uv_stream_t *)&c->tcp,
					   secured ? secured_alloc : on_alloc,
					   secured ? secured_read : on_read) == 0;
	else if (!want && c->reading && c->mode != CONN_CLOSED) {
		uv_read_stop((uv_stream_t *)&c->tcp);
		c->reading = false;
	}
}

/* ---- what to do next ------------------------------------------------------------------------- */

static void sniff(struct conn *c)
{
	if (c->in_len == 0) {
		if (c->eof)
			conn_close(c, c->read_error != 0 ? conn_broken(c) : CLOSE_DONE);
		else if (c->draining)
			conn_close(c, CLOSE_DRAINING);
		return;
	}
	/* Within TLS it would be another session, which is as wrong. */
	enum step hello = tls_sniff(conn_input(c));
	enum frame_sniff kind = frame_sniff(conn_input(c));
	if ((kind == SNIFF_MORE || hello == STEP_MORE) && !c->eof) {
		if (c->draining)
			conn_close(c, CLOSE_DRAINING);
		return;
	}
	if (hello == STEP_OK) {
		conn_tell_tls(c, c->tls != NULL ? "TLS within TLS"
						: "TLS on a port without --tls-cert");
		conn_close(c, CLOSE_TLS);
	} else if (kind == SNIFF_FRAMED) {
		framed_begin(c);
	} else if (c->worker->config->tokens.count > 0) {
		c->worker->stats.auth_failures++;
		conn_close(c, CLOSE_AUTH);
	} else {
		unframed_begin(c);
	}
}

/* A framed peer whose last PUT is answered leaves when everything is written. */
static void end_if_answered(struct conn *c)
{
	if (c->mode != CONN_FRAMED || !c->ending || !STAILQ_EMPTY(&c->puts))
		return;
	if (!c->eof)
		conn_linger(c, c->ending_reason);
	else if (c->writes == 0)
		conn_close(c, c->ending_reason);
}

static void settle_framed(struct conn *c)
{
	if (c->read_error != 0) {
		conn_close(c, conn_broken(c));
		return;
	}
	framed_settle(c);
	end_if_answered(c);
}

static void settle_linger(struct conn *c)
{
	conn_keep_input(c, SLICE_NONE);
	if (c->eof)
		conn_close(c, c->ending_reason);
}

static void settle_once(struct conn *c)
{
	if (c->mode == CONN_SNIFF)
		sniff(c);
	if (c->mode == CONN_UNFRAMED)
		unframed_settle(c);
	else if (c->mode == CONN_FRAMED)
		settle_framed(c);
	else if (c->mode == CONN_LINGER)
		settle_linger(c);
}

void conn_settle(struct conn *c)
{
	do
		settle_once(c);
	while (c->tls != NULL && conn_wants_input(c) && secured_pull(c));
	update_reading(c);
}

/* ---- the clock ------------------------------------------------------------------------------- */

/* Whether it is our side that everything waits for. */
static bool is_paused(const struct conn *c)
{
	if (c->mode == CONN_UNFRAMED)
		return c->in_len > 0 || c->wants_room || intake_pending(c->intake);
	if (c->mode == CONN_FRAMED)
		return c->wants_room || c->refuse_ms != 0 || !framed_wants_input(c) ||
		       (c->receiving == NULL && c->skip == 0 && c->in_len == 0 && !c->idle);
	return false;
}

/* The deadline that has passed; CLOSE_COUNT for none. */
static enum close_reason overdue(const struct conn *c, uint64_t now_ms)
{
	const struct limits *limits = &c->config->limits;
	uint64_t waited = now_ms - c->since_ms;
	if (c->writes > 0 && now_ms - c->write_since_ms >= limits->whole_payload * 1000)
		return CLOSE_DEAF;
	if (c->mode == CONN_LINGER)
		return waited >= LINGER_MS ? c->ending_reason : CLOSE_COUNT;
	if (c->tls != NULL && !tls_is_up(c->tls))
		return waited >= limits->handshake * 1000 ? CLOSE_HANDSHAKE : CLOSE_COUNT;
	if (!c->heard)
		return waited >= limits->first_byte * 1000 ? CLOSE_FIRST_BYTE : CLOSE_COUNT;
	if (c->idle)
		return waited >= limits->idle * 1000 ? CLOSE_IDLE : CLOSE_COUNT;
	return waited >= limits->whole_payload * 1000 ? CLOSE_SLOW : CLOSE_COUNT;
}

void conn_tick(struct conn *c, uint64_t now_ms)
{
	if (c->mode == CONN_CLOSED)
		return;
	if (is_paused(c))
		c->since_ms = now_ms;
	enum close_reason reason = overdue(c, now_ms);
	if (reason != CLOSE_COUNT)
		conn_close(c, reason);
	else if (c->mode == CONN_FRAMED)
		framed_tick(c, now_ms);
}

void conn_drain(struct conn *c)
{
	c->draining = true;
	if (c->mode == CONN_FRAMED)
		framed_drain(c);
	conn_settle(c);
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* The peer's address, IPv4 as such even when it came to an IPv6 socket (RFC 4291 2.5.5.2). */
static bool peer_address(struct conn *c, struct address *a)
{
	struct sockaddr_storage storage;
	int len = sizeof(storage);
	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&storage, &len) != 0)
		return false;
	char text[ADDRESS_TEXT];
	if (uv_ip_name((struct sockaddr *)&storage, text, sizeof(text)) != 0)
		return false;
	const char *mapped = "::ffff:";
	bool v4 = strncmp(text, mapped, strlen(mapped)) == 0 && strchr(text, '.') != NULL;
	struct slice s = slice_text(v4 ? text + strlen(mapped) : text);
	memcpy(c->peer, s.data, s.len + 1);
	return address_parse(s, a);
}

static bool is_allowed(const struct config *config, const struct address *a)
{
	for (size_t i = 0; i < config->allows; i++)
		if (a != NULL && cidr_contains(&config->allow[i], a))
			return true;
	return config->allows == 0;
}

static void refuse(struct conn *c)
{
	struct worker *w = c->worker;
	w->stats.connections_refused++;
	if (once_first(&w->once, c->peer, ONCE_REFUSED, uv_now(&w->loop)))
		log_warn("peer", "connection refused: address not in --allow peer=%s", c->peer);
}

static uint64_t most_of_an_address(const struct conn *c)
{
	return worker_share(c->worker, c->config->limits.connections_per_address);
}

static void refuse_one_more(struct conn *c)
{
	struct worker *w = c->worker;
	w->stats.connections_refused_per_address++;
	if (once_first(&w->once, c->peer, ONCE_CROWDED, uv_now(&w->loop)))
		log_warn("peer",
			 "connection refused: --max-connections-per-address reached peer=%s "
			 "limit=%llu",
			 c->peer, (unsigned long long)most_of_an_address(c));
}

/* Whether the peer may stay; a NULL address is that of a peer which is gone again. */
static bool admit(struct conn *c, const struct address *a)
{
	if (!is_allowed(c->config, a)) {
		refuse(c);
		return false;
	}
	c->network = a == NULL ? UINT64_MAX : address_network(a);
	int error = census_enter(&c->server->census, c->network, most_of_an_address(c),
				 &c->household);
	if (error == -EDQUOT)
		refuse_one_more(c);
	else if (error != 0)
		log_warn("peer", "cannot accept error=\"%s\" peer=%s", error_text(error), c->peer);
	return error == 0;
}

struct conn *conn_accept(struct server *server, uv_stream_t *listener)
{
	struct conn *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->server = server;
	c->worker = server->worker;
	c->config = config_reference(server->worker->config);
	c->tcp.data = c;
	STAILQ_INIT(&c->puts);
	if (uv_tcp_init(&c->worker->loop, &c->tcp) != 0) {
		config_release(c->config);
		free(c);
		return NULL;
	}
	struct address a;
	bool accepted = uv_accept(listener, (uv_stream_t *)&c->tcp) == 0;
	bool known = accepted && peer_address(c, &a);
	/* A peer that reset the connection by now has no address, but its octets may be here. */
	if (accepted && !known)
		memcpy(c->peer, "unknown", sizeof("unknown"));
	if (!accepted || !admit(c, known ? &a : NULL)) {
		c->mode = CONN_CLOSED;
		uv_close((uv_handle_t *)&c->tcp, on_closed);
		return c;
	}
	log_debug("peer", "connection accepted peer=%s", c->peer);
	conn_set_idle(c, false);
	if (c->config->tls_listener != NULL && !secured_begin(c))
		conn_close(c, CLOSE_MEMORY);
	conn_settle(c);
	return c;
}
