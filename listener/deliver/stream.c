/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector over TCP: sessions, one after another, for ever.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ UP ──broken──▶ BREAKING ─▶ RESTING ─┐
 *       ▲             └──refused: the next address, or ──────▶     │
 *       └──────────────── after the back-off ──────────────────────┘
 *
 * A block is delivered when the collector's kernel has acknowledged its last octet: what was written
 * to the socket, less what SIOCOUTQ (tcp(7)) says is not acknowledged. What a collector's kernel has
 * taken its process may not have read when it dies, and TCP does not tell; so acknowledged blocks are
 * kept for a moment, and sent again in the next session with all that was not acknowledged. Flows may
 * come twice then, and are counted. README.md beside this has what may be missing all the same.
 *
 *   output ─pull─▶ sent (written, not acknowledged) ─▶ kept (acknowledged) ─▶ output
 *      ▲                └──────────── the session broke ─────┘
 *      └────────────────────────────────────┘
 *
 * The first session has to come up: until then a failure is final, and the start has failed, unless
 * the output is patient.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "deliver/resolve.h"
#include "deliver/transport.h"

enum {
	UNWRITTEN_MOST = 256 * 1024, /* octets that libuv holds for the socket */
	KEPT_MOST = 8 * 1024 * 1024, /* more than a receive buffer usually grows to */
	KEPT_MS = 2000,		     /* a collector reads what it got within this time */
	CONNECT_MS = 10 * 1000,	     /* for each address */
	REST_MS = 1000,		     /* the first back-off; doubled from there */
	LIVED_MS = 250,		     /* a session that lasted so long begins the back-off anew */
	CHECK_FIRST_MS = 1,	     /* how soon acknowledgements are looked for, then twice */
	CHECK_LAST_MS = 64,	     /* as long each time up to this */
	KEEPALIVE_SECONDS = 60,
};

enum stream_state { RESOLVING, CONNECTING, UP, BREAKING, RESTING, CLOSING };

struct stream {
	struct transport transport;
	const struct output_config *config;
	uv_loop_t *loop;
	enum stream_state state;
	struct resolver resolver;
	uv_tcp_t tcp;
	bool tcp_open;
	uv_connect_t connect;
	uv_timer_t timer; /* of the state: connect deadline, back-off */
	uv_timer_t check; /* of acknowledgements */
	unsigned handles; /* not closed yet */
	bool was_up;
	bool told_absent;
	int error; /* of the last try */
	uint64_t rest_ms;

	/* the session */
	struct blocks sent;
	struct blocks kept;
	size_t kept_octets;
	uint64_t up_ms;	  /* when it began */
	uint64_t written; /* octets given to libuv */
	uint64_t acknowledged;
	uint64_t check_ms;
	char discarded[512]; /* a collector has nothing to say: its end is what is waited for */
};

static struct stream *stream_of(struct transport *t)
{
	return CONTAINER_OF(t, struct stream, transport);
}

static void begin_session(struct stream *s);
static void go_up(struct stream *s, const struct sockaddr *peer);

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

static void on_tcp_closed(uv_handle_t *handle);

static void close_tcp(struct stream *s)
{
	if (s->tcp_open && !uv_is_closing((uv_handle_t *)&s->tcp))
		uv_close((uv_handle_t *)&s->tcp, on_tcp_closed);
}

static void on_connect_late(uv_timer_t *timer)
{
	struct stream *s = timer->data;
	/* The connect's callback comes with UV_ECANCELED, which is not the reason. */
	s->error = UV_ETIMEDOUT;
	close_tcp(s);
}

/*
 * Who is there. A connect to a local port that nobody listens on may be given that port as its own
 * and meet itself (RFC 9293 section 3.5, simultaneous open): nobody is there then.
 */
static int check_peer(const struct stream *s, struct sockaddr *peer, int size)
{
	struct sockaddr_storage own;
	int own_size = sizeof(own);
	memset(&own, 0, sizeof(own));
	memset(peer, 0, (size_t)size);
	int error = uv_tcp_getpeername(&s->tcp, peer, &size);
	if (error == 0)
		error = uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&own, &own_size);
	if (error != 0)
		return error;
	return memcmp(&own, peer, sizeof(own)) == 0 ? UV_ECONNREFUSED : 0;
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct stream *s = connect->data;
	uv_timer_stop(&s->timer);
	if (s->state != CONNECTING || uv_is_closing((uv_handle_t *)&s->tcp))
		return;
	struct sockaddr_storage peer;
	s->error = status != 0 ? status : check_peer(s, (struct sockaddr *)&peer, sizeof(peer));
	if (s->error == 0)
		go_up(s, (struct sockaddr *)&peer);
	else if (status == 0)
		/* Without a TIME-WAIT, in which the collector could not have its port. */
		uv_tcp_close_reset(&s->tcp, on_tcp_closed);
	else
		close_tcp(s);
}

static void try_next_address(struct stream *s)
{
	const struct sockaddr *address = resolver_next(&s->resolver);
	if (address == NULL) {
		give_up_try(s);
		return;
	}
	s->state = CONNECTING;
	uv_tcp_init(s->loop, &s->tcp);
	s->tcp.data = s;
	s->tcp_open = true;
	s->handles++;
	s->connect.data = s;
	s->error = uv_tcp_connect(&s->connect, &s->tcp, address, on_connected);
	if (s->error != 0)
		close_tcp(s);
	else
		uv_timer_start(&s->timer, on_connect_late, CONNECT_MS, 0);
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

static void break_session(struct stream *s, int error)
{
	if (s->state != UP)
		return;
	s->state = BREAKING;
	/* One that ends at once is a load balancer's without a collector: no reason to hurry. */
	if (s->acknowledged > 0 && uv_now(s->loop) - s->up_ms >= LIVED_MS)
		s->rest_ms = REST_MS;
	log_warn("output", "connection lost, trying again output=%s error=\"%s\"", s->config->name,
		 error == UV_EOF ? "closed by the collector" : uv_strerror(error));
	uv_timer_stop(&s->check);
	output_down(s->transport.output);
	close_tcp(s);
}

/* ---- a session ------------------------------------------------------------------------------- */

/* Octets of this session that the collector's kernel has. */
static uint64_t count_acknowledged(const struct stream *s)
{
	uv_os_fd_t fd;
	int outstanding = 0;
	uint64_t unwritten = uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp);
	if (uv_fileno((const uv_handle_t *)&s->tcp, &fd) != 0 ||
	    ioctl(fd, SIOCOUTQ, &outstanding) != 0 || outstanding < 0)
		return s->acknowledged;
	uint64_t behind = unwritten + (uint64_t)outstanding;
	return behind > s->written ? s->acknowledged : s->written - behind;
}

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
	s->acknowledged = count_acknowledged(s);
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

static void fill(struct stream *s);

static void on_written(uv_write_t *write, int status)
{
	struct block *b = CONTAINER_OF(write, struct block, write);
	struct stream *s = write->handle->data;
	b->write_done = true;
	if (status != 0) {
		break_session(s, status);
		return;
	}
	if (s->state == UP)
		fill(s);
}

/* Writes what the output has, as long as the socket keeps up. */
static void fill(struct stream *s)
{
	uv_stream_t *stream = (uv_stream_t *)&s->tcp;
	struct block *b;
	bool any = false;
	while (s->state == UP && uv_stream_get_write_queue_size(stream) < UNWRITTEN_MOST &&
	       (b = output_pull(s->transport.output)) != NULL) {
		output_shrink(s->transport.output, b);
		uv_buf_t octets = uv_buf_init(b->batch.bytes.data, (unsigned)b->batch.bytes.len);
		any = true;
		b->write_done = false;
		s->written += octets.len;
		b->end = s->written;
		TAILQ_INSERT_TAIL(&s->sent, b, link);
		int error = uv_write(&b->write, stream, &octets, 1, on_written);
		if (error != 0) {
			b->write_done = true;
			break_session(s, error);
		}
	}
	if (any && s->state == UP) {
		s->check_ms = CHECK_FIRST_MS;
		check_again(s);
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct stream *s = handle->data;
	(void)suggested;
	*buf = uv_buf_init(s->discarded, sizeof(s->discarded));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0)
		break_session(stream->data, (int)n);
}

static void go_up(struct stream *s, const struct sockaddr *peer)
{
	char text[RESOLVED_TEXT];
	log_info("output", "connected output=%s address=%s", s->config->name,
		 resolved_text(peer, text));
	s->state = UP;
	s->was_up = true;
	s->up_ms = uv_now(s->loop);
	s->written = 0;
	s->acknowledged = 0;
	uv_tcp_nodelay(&s->tcp, 1);
	uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_SECONDS);
	output_session(s->transport.output);
	int error = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
	if (error != 0)
		break_session(s, error);
	else
		fill(s);
	output_progress(s->transport.output);
}

static void stream_kick(struct transport *t)
{
	struct stream *s = stream_of(t);
	if (s->state == UP)
		fill(s);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static int stream_open(struct transport **t, struct output *o, uv_loop_t *loop)
{
	struct stream *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->transport = (struct transport){ .class = &transport_stream, .output = o };
	s->config = output_config_of(o);
	s->loop = loop;
	s->rest_ms = REST_MS;
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
static void on_tcp_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;
	s->tcp_open = false;
	if (s->state == BREAKING) {
		return_blocks(s);
		rest(s);
	} else if (s->state == CONNECTING) {
		try_next_address(s);
	}
	end_handle(s);
}

/* What is acknowledged the collector's kernel keeps for it, so nothing has to be waited for. */
static void stream_close(struct transport *t, bool abort)
{
	struct stream *s = stream_of(t);
	(void)abort;
	s->state = CLOSING;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	uv_close((uv_handle_t *)&s->check, on_timer_closed);
	close_tcp(s);
}

const struct transport_class transport_stream = {
	.open = stream_open,
	.kick = stream_kick,
	.close = stream_close,
};
