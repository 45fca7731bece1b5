/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS way between a connection and its socket. Ciphertext is read into a buffer that all peers
 * share, and plaintext taken out of it right into where it belongs, as much as there is room for.
 * What is left when there is none is the session's until conn_settle() finds room again; until then
 * nothing is read, so there is never more of it than one read.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "receive/conn.h"
#include "receive/server.h"

bool secured_begin(struct conn *c)
{
	c->tls = tls_session_new(c->config->tls_listener, NULL);
	return c->tls != NULL;
}

/* ---- out ------------------------------------------------------------------------------------- */

static void send_output(struct conn *c)
{
	struct buf output;
	tls_take_output(c->tls, &output);
	if (output.len > 0)
		conn_send(c, buf_slice(&output));
	buf_deinit(&output);
}

void secured_write(struct conn *c, struct slice octets)
{
	char why[TLS_WHY];
	if (tls_write(c->tls, octets)) {
		send_output(c);
	} else if (tls_is_broken(c->tls)) {
		conn_tell_tls(c, tls_why(c->tls, why));
		conn_close(c, CLOSE_TLS);
	} else {
		conn_close(c, CLOSE_MEMORY);
	}
}

void secured_end(struct conn *c)
{
	struct buf output;
	tls_end(c->tls);
	tls_take_output(c->tls, &output);
	uv_buf_t now = uv_buf_init(output.data, (unsigned)output.len);
	/* Behind what is queued it could not be sent at once; a peer that reads so slowly misses it. */
	if (output.len > 0 && c->writes == 0)
		(void)uv_try_write((uv_stream_t *)&c->tcp, &now, 1);
	buf_deinit(&output);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* The stream of octets is over, and not by the peer's word. */
static void break_input(struct conn *c, const char *why)
{
	conn_tell_tls(c, why);
	c->eof = true;
	c->read_error = UV_EPROTO;
}

/* The session is broken; the peer is told so in TLS's own words, if those can be sent. */
static void end_broken(struct conn *c)
{
	char why[TLS_WHY];
	if (tls_is_up(c->tls)) {
		break_input(c, tls_why(c->tls, why));
	} else {
		conn_tell_tls(c, tls_why(c->tls, why));
		conn_linger(c, CLOSE_TLS);
	}
}

/*
 * The socket has ended. What a peer says in commands and lengths shows by itself whether it is whole;
 * an unframed one has to say that it has ended (RFC 8446 section 6.1), or somebody on the way may
 * have cut it.
 */
static void end_input(struct conn *c, int error)
{
	bool up = tls_is_up(c->tls);
	c->eof = true;
	c->read_error = error == UV_EOF ? 0 : error;
	if (error != UV_EOF || c->mode == CONN_FRAMED || c->mode == CONN_LINGER)
		return;
	if (up || tls_is_begun(c->tls))
		break_input(c, up ? "ended without close_notify, so it may have been cut"
				  : "the peer left during the handshake");
}

/*
 * In TLS 1.3 the client's last word has no answer. One that holds back its payload until that word
 * is acknowledged (RFC 896) would wait for a delayed acknowledgement, 40 ms of nothing.
 */
static void acknowledge(struct conn *c)
{
	const int now = 1;
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof(now));
}

static enum step shake_hands(struct conn *c)
{
	if (tls_is_up(c->tls))
		return STEP_OK;
	enum step step = tls_handshake(c->tls);
	if (step == STEP_OK) {
		acknowledge(c);
		conn_set_idle(c, false);
	}
	return step;
}

static enum step take_plaintext(struct conn *c)
{
	size_t n;
	uv_buf_t room = conn_room(c);
	if (room.base == NULL) {
		conn_close(c, CLOSE_MEMORY);
		return STEP_MORE;
	}
	enum step step = tls_read(c->tls, room.base, room.len, &n);
	if (n > 0)
		conn_received(c, n, &room);
	if (c->in_len == 0)
		conn_keep_input(c, SLICE_NONE);
	if (step == STEP_OK && n == 0)
		c->eof = true;
	return step;
}

bool secured_pull(struct conn *c)
{
	if (c->mode == CONN_CLOSED || c->mode == CONN_LINGER || c->eof || !tls_waiting(c->tls))
		return false;
	enum step step = shake_hands(c);
	if (step == STEP_OK)
		step = take_plaintext(c);
	if (c->mode != CONN_CLOSED)
		send_output(c);
	if (c->mode != CONN_CLOSED && step == STEP_BAD)
		end_broken(c);
	return step != STEP_MORE;
}

void secured_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	struct conn *c = handle->data;
	(void)suggested;
	*room = uv_buf_init(c->server->arrived, sizeof(c->server->arrived));
}

void secured_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
	struct conn *c = stream->data;
	if (n < 0)
		end_input(c, (int)n);
	else if (c->mode != CONN_LINGER)
		tls_give(c->tls, slice_of(room->base, (size_t)n));
	conn_settle(c);
	if (c->tls != NULL && !tls_keep(c->tls))
		conn_close(c, CLOSE_MEMORY);
}
