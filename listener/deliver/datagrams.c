/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector over UDP: a datagram a message, as fast as the socket takes them or --udp-rate allows.
 *
 * Nobody acknowledges a datagram, so a block is delivered once it is sent. What can be known is
 * acted on: a datagram that this machine could not send is held and sent later, from a new socket to
 * an address that was asked for again; that the port refused one (ICMP) shows when the next is about
 * to be sent: the one before is counted as lost, and templates are sent again, as the collector has
 * most likely been started anew. A name is asked for again now and then, as collectors move.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "deliver/resolve.h"
#include "deliver/transport.h"

enum {
	REST_MS = 1000,	 /* the first back-off; doubled from there */
	REPEAT_MS = 100, /* templates are not sent again more often than that */
	QUIET_MS = 2000, /* without a refusal for so long, somebody listens again */
	BURST_MS = 50,	 /* what --udp-rate gives may be saved up for so long */
	LOOK_UP_MS = 600 * 1000,
	SEND_BUFFER = 1024 * 1024,
};

enum datagrams_state { RESOLVING, UP, BREAKING, RESTING, CLOSING };

struct datagrams {
	struct transport transport;
	const struct output_config *config;
	uv_loop_t *loop;
	enum datagrams_state state;
	struct resolver resolver;
	struct sockaddr_storage address; /* that is sent to */
	uv_udp_t udp;
	bool udp_open;
	uv_udp_send_t send;
	uv_timer_t timer;   /* back-off, or the next time --udp-rate allows */
	uv_timer_t look_up; /* the name again */
	unsigned handles;   /* not closed yet */
	bool was_up;
	bool troubled;	  /* and said so */
	uint64_t well_ms; /* since when flows are sent and not refused; 0: none yet */
	int error;
	uint64_t rest_ms;

	struct block *held; /* pulled and not sent yet */
	bool sending;	    /* the loop waits until the socket takes it */
	/* the last datagram: that of which a refusal speaks */
	unsigned last_lane;
	struct tally last;
	bool unheard; /* what was sent ahead of flows was refused */
	/* --udp-rate: records that may be sent, times 1000, and since when it was counted */
	int64_t allowance;
	uint64_t allowed_ms;
	char discarded[512];
};

static struct datagrams *datagrams_of(struct transport *t)
{
	return CONTAINER_OF(t, struct datagrams, transport);
}

static void fill(struct datagrams *d);
static void look_up(struct datagrams *d);
static void on_udp_closed(uv_handle_t *handle);

/* ---- trouble, told once a change of state ---------------------------------------------------- */

static void tell_trouble(struct datagrams *d, const char *what, int error)
{
	if (!d->troubled)
		log_warn("output", "%s output=%s error=\"%s\"", what, d->config->name,
			 uv_strerror(error));
	d->troubled = true;
}

static void on_rested(uv_timer_t *timer)
{
	look_up(timer->data);
}

static void rest(struct datagrams *d)
{
	d->state = RESTING;
	uv_timer_start(&d->timer, on_rested, d->rest_ms, 0);
	d->rest_ms *= 2;
	if (d->rest_ms > d->config->reconnect_max_ms)
		d->rest_ms = d->config->reconnect_max_ms;
}

/* No address could be had. */
static void give_up_try(struct datagrams *d)
{
	if (!d->was_up && !d->config->patient) {
		output_fail(d->transport.output, d->error);
		return;
	}
	tell_trouble(d, "no address to send to, trying again", d->error);
	rest(d);
}

static void close_udp(struct datagrams *d)
{
	if (d->udp_open && !uv_is_closing((uv_handle_t *)&d->udp))
		uv_close((uv_handle_t *)&d->udp, on_udp_closed);
}

static void break_session(struct datagrams *d)
{
	if (d->state != UP)
		return;
	d->state = BREAKING;
	uv_timer_stop(&d->timer);
	output_down(d->transport.output);
	close_udp(d);
}

static void count_last_as_lost(struct datagrams *d)
{
	output_lost(d->transport.output, d->last_lane, &d->last);
	output_repeat(d->transport.output);
	d->last = (struct tally){ .flows = 0 };
}

/*
 * The templates that the next one needs were refused, too, or will have been forgotten: they are due
 * again. What was refused itself is due with the next kick, so that it does not chase itself.
 */
static void on_refused(struct datagrams *d)
{
	tell_trouble(d, "nobody listens there, flows are lost", UV_ECONNREFUSED);
	d->well_ms = 0;
	if (d->last.flows == 0)
		d->unheard = true;
	else
		count_last_as_lost(d);
	/* Somebody may listen at another address of the name. */
	if (resolver_several(&d->resolver))
		break_session(d);
}

/* Flows were sent, and for a while none was refused. Refusals may come a second apart (ICMP). */
static void end_trouble(struct datagrams *d)
{
	char text[RESOLVED_TEXT];
	if (!d->troubled || d->well_ms == 0 || uv_now(d->loop) - d->well_ms < QUIET_MS)
		return;
	d->troubled = false;
	log_info("output", "sending again output=%s address=%s", d->config->name,
		 resolved_text((struct sockaddr *)&d->address, text));
}

/* Whether the socket remembers that a datagram was refused; it forgets by being asked. */
static int take_socket_error(const struct datagrams *d)
{
	uv_os_fd_t fd;
	int error = 0;
	socklen_t len = sizeof(error);
	if (uv_fileno((const uv_handle_t *)&d->udp, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return 0;
	return -error;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void on_allowed(uv_timer_t *timer)
{
	struct datagrams *d = timer->data;
	fill(d);
	output_progress(d->transport.output);
}

/* Whether --udp-rate allows a datagram now; else the timer is set for when it does. */
static bool is_allowed(struct datagrams *d)
{
	int64_t rate = (int64_t)d->config->udp_rate;
	if (rate == 0)
		return true;
	uint64_t now_ms = uv_now(d->loop);
	d->allowance += (int64_t)(now_ms - d->allowed_ms) * rate;
	d->allowed_ms = now_ms;
	if (d->allowance > BURST_MS * rate)
		d->allowance = BURST_MS * rate;
	if (d->allowance > 0)
		return true;
	uv_timer_start(&d->timer, on_allowed, (uint64_t)(-d->allowance / rate) + 1, 0);
	return false;
}

static void end_datagram(struct datagrams *d)
{
	struct block *b = d->held;
	struct output *o = d->transport.output;
	d->held = NULL;
	d->rest_ms = REST_MS;
	d->allowance -= (int64_t)(b->batch.records > 0 ? b->batch.records : 1) * 1000;
	d->last_lane = b->batch.lane;
	d->last = b->batch.tally;
	if (d->well_ms == 0 && d->last.flows > 0)
		d->well_ms = uv_now(d->loop);
	output_delivered(o, b);
	output_recycle(o, b);
}

/* What became of the held datagram; whether to go on. */
static bool take_result(struct datagrams *d, int error)
{
	/* The refusal is that of the one before; this one was not sent. */
	if (error == UV_ECONNREFUSED) {
		on_refused(d);
		return d->state == UP;
	}
	if (error == 0) {
		end_datagram(d);
		return true;
	}
	tell_trouble(d, "cannot send, trying again", error);
	d->well_ms = 0;
	/* It did not leave: to send it again makes no duplicates. */
	d->held->sent = false;
	break_session(d);
	return false;
}

static void on_sent(uv_udp_send_t *send, int status)
{
	struct datagrams *d = send->data;
	d->sending = false;
	if (d->state != UP || !take_result(d, status))
		return;
	fill(d);
	output_progress(d->transport.output);
}

static uv_buf_t held_octets(const struct datagrams *d)
{
	return uv_buf_init(d->held->batch.bytes.data, (unsigned)d->held->batch.bytes.len);
}

/* The socket is full: the loop sends the held datagram when it can. */
static void send_later(struct datagrams *d)
{
	uv_buf_t octets = held_octets(d);
	d->send.data = d;
	int error = uv_udp_send(&d->send, &d->udp, &octets, 1, NULL, on_sent);
	d->sending = error == 0;
	if (error != 0)
		(void)take_result(d, error);
}

/* The next datagram into d->held. False: there is none now. */
static bool take_next(struct datagrams *d)
{
	if (d->held != NULL)
		return true;
	if (take_socket_error(d) == UV_ECONNREFUSED)
		on_refused(d);
	else
		end_trouble(d);
	if (d->state != UP)
		return false;
	d->held = output_pull(d->transport.output);
	return d->held != NULL;
}

static void fill(struct datagrams *d)
{
	bool go_on = true;
	while (go_on && d->state == UP && !d->sending && is_allowed(d) && take_next(d)) {
		uv_buf_t octets = held_octets(d);
		int sent = uv_udp_try_send(&d->udp, &octets, 1, NULL);
		if (sent == UV_EAGAIN) {
			send_later(d);
			return;
		}
		go_on = take_result(d, sent < 0 ? sent : 0);
	}
}

static void datagrams_kick(struct transport *t)
{
	struct datagrams *d = datagrams_of(t);
	if (d->unheard)
		output_repeat(t->output);
	d->unheard = false;
	fill(d);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct datagrams *d = handle->data;
	(void)suggested;
	*buf = uv_buf_init(d->discarded, sizeof(d->discarded));
}

/* A collector says nothing; what comes is a refusal. */
static void on_receive(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
		       unsigned flags)
{
	struct datagrams *d = udp->data;
	(void)buf;
	(void)from;
	(void)flags;
	if (n == UV_ECONNREFUSED && d->state == UP)
		on_refused(d);
}

/* A socket of the address's family, connected, so that refusals are heard. */
static int open_socket(struct datagrams *d, const struct sockaddr *address)
{
	int size = SEND_BUFFER;
	uv_udp_init(d->loop, &d->udp);
	d->udp.data = d;
	d->udp_open = true;
	d->handles++;
	int error = uv_udp_connect(&d->udp, address);
	if (error == 0)
		error = uv_udp_recv_start(&d->udp, on_alloc, on_receive);
	if (error != 0)
		return error;
	/* More than the system gives is not worth a complaint. */
	(void)uv_send_buffer_size((uv_handle_t *)&d->udp, &size);
	return 0;
}

static void go_up(struct datagrams *d)
{
	char text[RESOLVED_TEXT];
	if (!d->troubled)
		log_info("output",
			 "sending datagrams, which nobody acknowledges output=%s address=%s",
			 d->config->name, resolved_text((struct sockaddr *)&d->address, text));
	d->state = UP;
	d->was_up = true;
	d->allowance = 0;
	d->allowed_ms = uv_now(d->loop);
	output_session(d->transport.output);
	fill(d);
	output_progress(d->transport.output);
}

static size_t address_size(const struct sockaddr *address)
{
	return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in);
}

/* Tries the next address; after an error when the socket of the one before is closed. */
static void try_next_address(struct datagrams *d)
{
	const struct sockaddr *address = resolver_next(&d->resolver);
	if (address == NULL) {
		give_up_try(d);
		return;
	}
	memset(&d->address, 0, sizeof(d->address));
	memcpy(&d->address, address, address_size(address));
	d->error = open_socket(d, address);
	if (d->error != 0)
		close_udp(d);
	else
		go_up(d);
}

/* Whether the address that is sent to is still one of the name's. */
static bool is_still_there(struct datagrams *d)
{
	const struct sockaddr *address;
	while ((address = resolver_next(&d->resolver)) != NULL)
		if (memcmp(address, &d->address, address_size(address)) == 0)
			return true;
	return false;
}

static void on_resolved(struct resolver *r, int error)
{
	struct datagrams *d = CONTAINER_OF(r, struct datagrams, resolver);
	bool asked = d->state == UP || d->state == RESOLVING;
	if (!asked || (d->state == UP && (error != 0 || is_still_there(d))))
		return;
	d->error = error;
	if (d->state == UP) {
		log_info("output", "the name has another address now output=%s", d->config->name);
		break_session(d);
	} else if (error != 0) {
		give_up_try(d);
	} else {
		try_next_address(d);
	}
}

static void look_up(struct datagrams *d)
{
	d->state = RESOLVING;
	if (d->resolver.busy)
		return;
	d->error = resolver_ask(&d->resolver, d->loop, &d->config->destination, on_resolved);
	if (d->error != 0)
		give_up_try(d);
}

static void on_look_up(uv_timer_t *timer)
{
	struct datagrams *d = timer->data;
	if (d->state == UP && !d->resolver.busy)
		(void)!resolver_ask(&d->resolver, d->loop, &d->config->destination, on_resolved);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static int datagrams_open(struct transport **t, struct output *o, uv_loop_t *loop,
			  struct transport *beside)
{
	(void)beside; /* each worker has a session of its own */
	struct datagrams *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->transport = (struct transport){ .class = &transport_datagrams, .output = o };
	d->config = output_config_of(o);
	d->loop = loop;
	d->rest_ms = REST_MS;
	int error = resolver_ask(&d->resolver, loop, &d->config->destination, on_resolved);
	if (error != 0) {
		free(d);
		return error;
	}
	uv_timer_init(loop, &d->timer);
	uv_timer_init(loop, &d->look_up);
	d->timer.data = d;
	d->look_up.data = d;
	d->handles = 2;
	uv_timer_start(&d->look_up, on_look_up, LOOK_UP_MS, LOOK_UP_MS);
	*t = &d->transport;
	return 0;
}

static void return_held(struct datagrams *d)
{
	struct blocks blocks = TAILQ_HEAD_INITIALIZER(blocks);
	if (d->held != NULL)
		TAILQ_INSERT_TAIL(&blocks, d->held, link);
	d->held = NULL;
	output_return(d->transport.output, &blocks);
}

static void on_forgotten(struct resolver *r)
{
	struct datagrams *d = CONTAINER_OF(r, struct datagrams, resolver);
	struct output *o = d->transport.output;
	return_held(d);
	free(d);
	output_closed(o);
}

static void end_handle(struct datagrams *d)
{
	d->handles--;
	if (d->state == CLOSING && d->handles == 0)
		resolver_forget(&d->resolver, on_forgotten);
}

static void on_timer_closed(uv_handle_t *handle)
{
	end_handle(handle->data);
}

static void on_udp_closed(uv_handle_t *handle)
{
	struct datagrams *d = handle->data;
	d->udp_open = false;
	if (d->state == BREAKING) {
		return_held(d);
		if (resolver_has_next(&d->resolver))
			try_next_address(d);
		else
			rest(d);
	} else if (d->state == RESOLVING) {
		try_next_address(d);
	}
	end_handle(d);
}

/* Once idle there is nothing to wait for: what was sent is sent. */
static void datagrams_close(struct transport *t, bool abort)
{
	struct datagrams *d = datagrams_of(t);
	(void)abort;
	d->state = CLOSING;
	uv_close((uv_handle_t *)&d->timer, on_timer_closed);
	uv_close((uv_handle_t *)&d->look_up, on_timer_closed);
	close_udp(d);
}

const struct transport_class transport_datagrams = {
	.hand_over = TRANSPORT_HAND_OVER,
	.open = datagrams_open,
	.kick = datagrams_kick,
	.close = datagrams_close,
};
