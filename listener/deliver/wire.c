/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Octets on their way to a collector. Without TLS a block goes to the socket from where it is; with
 * TLS its records are a copy, which lives until it is written, so that the block itself can be sent
 * again in another session. What the collector's kernel has acknowledged is what was written to the
 * socket less what SIOCOUTQ (tcp(7)) says is not acknowledged: in TLS's octets if it is TLS.
 */
#include "deliver/wire.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { KEEPALIVE_SECONDS = 60 };

static uv_stream_t *stream(struct wire *w)
{
	return (uv_stream_t *)&w->tcp;
}

static bool is_closing(const struct wire *w)
{
	return !w->open || uv_is_closing((const uv_handle_t *)&w->tcp);
}

static void go_down(struct wire *w, int error, const char *why)
{
	if (!is_closing(w))
		w->on_down(w, error, why);
}

static void go_up(struct wire *w)
{
	w->up = true;
	w->on_up(w);
}

/* ---- out ------------------------------------------------------------------------------------- */

static void end_write(struct wire *w, int status)
{
	if (status != 0)
		go_down(w, status, NULL);
	else if (!is_closing(w) && w->up)
		w->on_room(w);
}

static void on_block_written(uv_write_t *write, int status)
{
	struct block *b = CONTAINER_OF(write, struct block, write);
	b->write_done = true;
	end_write(write->handle->data, status);
}

/* What a session has to send, on its way. */
struct records {
	uv_write_t write;
	struct buf octets;
};

static void free_records(struct records *r)
{
	buf_deinit(&r->octets);
	free(r);
}

static void on_records_written(uv_write_t *write, int status)
{
	struct wire *w = write->handle->data;
	free_records(CONTAINER_OF(write, struct records, write));
	end_write(w, status);
}

/* Sends what the session has to send. */
static int send_records(struct wire *w)
{
	struct records *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return UV_ENOMEM;
	tls_take_output(w->tls, &r->octets);
	uv_buf_t octets = uv_buf_init(r->octets.data, (unsigned)r->octets.len);
	int error = 0;
	if (octets.len > 0)
		error = uv_write(&r->write, stream(w), &octets, 1, on_records_written);
	if (octets.len == 0 || error != 0)
		free_records(r);
	else
		w->written += octets.len;
	return error;
}

static int send_plain(struct wire *w, struct block *b)
{
	uv_buf_t octets = uv_buf_init(b->batch.bytes.data, (unsigned)b->batch.bytes.len);
	int error = uv_write(&b->write, stream(w), &octets, 1, on_block_written);
	b->write_done = error != 0;
	w->written += octets.len;
	return error;
}

int wire_send(struct wire *w, struct block *b)
{
	int error;
	if (w->tls == NULL) {
		error = send_plain(w, b);
	} else {
		b->write_done = true;
		error = tls_write(w->tls, buf_slice(&b->batch.bytes)) ? send_records(w) : UV_ENOMEM;
	}
	b->end = w->written;
	return error;
}

size_t wire_unwritten(const struct wire *w)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&w->tcp);
}

uint64_t wire_acknowledged(const struct wire *w, uint64_t before)
{
	uv_os_fd_t fd;
	int outstanding = 0;
	if (uv_fileno((const uv_handle_t *)&w->tcp, &fd) != 0 ||
	    ioctl(fd, SIOCOUTQ, &outstanding) != 0 || outstanding < 0)
		return before;
	uint64_t behind = wire_unwritten(w) + (uint64_t)outstanding;
	return behind > w->written ? before : w->written - behind;
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Goes on with the handshake, then with what is read: nothing that is of interest, but the end. */
static enum step advance(struct wire *w, bool *ended)
{
	char plaintext[1024];
	size_t n = 1;
	enum step step = tls_handshake(w->tls);
	while (step == STEP_OK && n > 0)
		step = tls_read(w->tls, plaintext, sizeof(plaintext), &n);
	*ended = step == STEP_OK;
	return step;
}

static void go_up_unless_doubtful(struct wire *w)
{
	if (w->doubt || !tls_may_be_refused(w->tls)) {
		go_up(w);
		return;
	}
	w->doubt = true;
	w->on_doubt(w);
}

void wire_trust(struct wire *w)
{
	if (w->doubt && !w->up && !is_closing(w))
		go_up(w);
}

static void take_records(struct wire *w, struct slice octets)
{
	bool ended;
	char why[TLS_WHY];
	tls_give(w->tls, octets);
	enum step step = advance(w, &ended);
	int error = send_records(w);
	if (step == STEP_BAD)
		go_down(w, UV_EPROTO, tls_why(w->tls, why));
	else if (error != 0 || ended)
		go_down(w, error != 0 ? error : UV_EOF, NULL);
	else if (!w->up && tls_is_up(w->tls))
		go_up_unless_doubtful(w);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	struct wire *w = handle->data;
	(void)suggested;
	*room = uv_buf_init(w->arrived, sizeof(w->arrived));
}

static void on_read(uv_stream_t *from, ssize_t n, const uv_buf_t *room)
{
	struct wire *w = from->data;
	if (n < 0)
		go_down(w, (int)n, NULL);
	else if (n > 0 && w->tls != NULL)
		take_records(w, slice_of(room->base, (size_t)n));
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct wire *w = handle->data;
	w->open = false;
	tls_session_free(&w->tls);
	w->on_closed(w);
}

/*
 * Who is there. A connect to a local port that nobody listens on may be given that port as its own
 * and meet itself (RFC 9293 section 3.5, simultaneous open): nobody is there then.
 */
static int check_peer(struct wire *w)
{
	struct sockaddr_storage own;
	int own_size = sizeof(own);
	int size = sizeof(w->peer);
	memset(&own, 0, sizeof(own));
	memset(&w->peer, 0, sizeof(w->peer));
	int error = uv_tcp_getpeername(&w->tcp, (struct sockaddr *)&w->peer, &size);
	if (error == 0)
		error = uv_tcp_getsockname(&w->tcp, (struct sockaddr *)&own, &own_size);
	if (error != 0)
		return error;
	if (memcmp(&own, &w->peer, sizeof(own)) != 0)
		return 0;
	/* Without a TIME-WAIT, in which the collector could not have its port. */
	const struct linger reset = { .l_onoff = 1 };
	uv_os_fd_t fd;
	if (uv_fileno((const uv_handle_t *)&w->tcp, &fd) == 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return UV_ECONNREFUSED;
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct wire *w = connect->data;
	if (is_closing(w))
		return;
	int error = status != 0 ? status : check_peer(w);
	if (error == 0) {
		uv_tcp_nodelay(&w->tcp, 1);
		uv_tcp_keepalive(&w->tcp, 1, KEEPALIVE_SECONDS);
		error = uv_read_start(stream(w), on_alloc, on_read);
	}
	if (error != 0)
		go_down(w, error, NULL);
	else if (w->tls == NULL)
		go_up(w);
	else
		take_records(w, SLICE_NONE);
}

void wire_connect(struct wire *w, uv_loop_t *loop, const struct sockaddr *address,
		  const struct tls_context *tls, const char *host)
{
	uv_tcp_init(loop, &w->tcp);
	w->tcp.data = w;
	w->connect.data = w;
	w->open = true;
	w->up = false;
	w->doubt = false;
	w->written = 0;
	w->tls = tls == NULL ? NULL : tls_session_new(tls, host);
	int error = tls != NULL && w->tls == NULL
			    ? UV_ENOMEM
			    : uv_tcp_connect(&w->connect, &w->tcp, address, on_connected);
	if (error != 0)
		go_down(w, error, NULL);
}

void wire_close(struct wire *w)
{
	if (is_closing(w))
		return;
	if (w->tls != NULL) {
		struct buf output;
		tls_end(w->tls);
		tls_take_output(w->tls, &output);
		uv_buf_t now = uv_buf_init(output.data, (unsigned)output.len);
		/* Behind what is queued it would come too late. */
		if (output.len > 0 && wire_unwritten(w) == 0)
			(void)uv_try_write(stream(w), &now, 1);
		buf_deinit(&output);
	}
	uv_close((uv_handle_t *)&w->tcp, on_closed);
}
