/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the load generator. A payload goes out as a head, made anew each time, and the rest,
 * straight from where it lies:
 *
 *   PUT 7 4711\n 1f 8b 08 00 <7> ...      the first octets of gzip with a time of its own: 7
 *   └─────────── head ─────────┘└─ rest
 *
 * so every payload has other octets, and unpacks to the same. Answers come in the order of the PUTs;
 * one that is neither ACK nor WAIT ends the benchmark.
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"

enum {
	HEAD = 96,
	LINE = 512,
	GZIP_TIME = 4, /* where gzip has its time (RFC 1952 section 2.3.1), and its end */
	GZIP_TIME_END = 8,
	PART = 64 * 1024, /* of plaintext that is encrypted at a time */
};

struct peer {
	struct errand *errand;
	int socket;
	bool ended;
	bool shut; /* no more will be sent */
	/* what is being sent */
	char head[HEAD];
	struct slice piece; /* of the head, and then of the payload */
	struct slice rest;
	uint64_t given; /* payloads that it got */
	/* over TLS: ciphertext, and what of it is not sent yet */
	struct tls_session *tls;
	struct buf records;
	struct slice left;
	/* PUTs without an answer, in their order */
	double put_at[WINDOW_MOST];
	unsigned oldest;
	unsigned flying;
	char line[LINE];
	size_t line_len;
};

double push_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool would_block(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void take_ack(struct peer *p, struct slice flows)
{
	struct errand *e = p->errand;
	uint64_t n;
	if (!number_parse(flows, UINT64_MAX, &n) || p->flying == 0)
		push_fail("not an answer", p->line);
	e->flows += n;
	e->latency_ms[e->done++] = 1000 * (push_clock() - p->put_at[p->oldest]);
	p->oldest = (p->oldest + 1) % WINDOW_MOST;
	p->flying--;
}

static void take_line(struct peer *p)
{
	const char *flows = strrchr(p->line, ' ');
	if (strncmp(p->line, "WAIT ", 5) == 0)
		return;
	if (strncmp(p->line, "ACK ", 4) != 0 || flows == NULL)
		push_fail("not an ACK", p->line);
	take_ack(p, slice_text(flows + 1));
}

static void take_answers(struct peer *p, struct slice octets)
{
	for (size_t i = 0; i < octets.len; i++) {
		bool whole = octets.data[i] == '\n';
		if (p->line_len == sizeof(p->line))
			push_fail("too long an answer", "peer");
		p->line[p->line_len++] = whole ? '\0' : octets.data[i];
		if (whole) {
			take_line(p);
			p->line_len = 0;
		}
	}
}

static void take_ciphertext(struct peer *p, struct slice octets)
{
	char room[LINE];
	size_t n;
	enum step step = STEP_OK;
	tls_give(p->tls, octets);
	while (step == STEP_OK) {
		step = tls_read(p->tls, room, sizeof(room), &n);
		if (step == STEP_BAD || (step == STEP_OK && n == 0))
			push_fail("the TLS session ended", "peer");
		if (step == STEP_OK)
			take_answers(p, slice_of(room, n));
	}
}

/* What came, until there is no more for now. */
static void receive(struct peer *p)
{
	char room[16 * 1024];
	ssize_t n;
	while ((n = recv(p->socket, room, sizeof(room), 0)) > 0)
		if (p->tls != NULL)
			take_ciphertext(p, slice_of(room, (size_t)n));
		else
			take_answers(p, slice_of(room, (size_t)n));
	if (would_block(n))
		return;
	p->ended = true;
	if (n < 0 || !p->shut)
		push_fail(n < 0 ? strerror(errno) : "the listener closed", "peer");
	p->errand->done += p->given;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Whether this connection gets another payload: there is one, and not too much without an answer. */
static bool may_begin(const struct peer *p)
{
	const struct errand *e = p->errand;
	return e->begun < e->payloads && p->flying < e->window &&
	       !(e->way == WAY_EACH && p->given > 0);
}

/* Puts the next payload into head and rest. */
static void begin(struct peer *p)
{
	struct errand *e = p->errand;
	uint64_t number = e->number + e->begun;
	const struct file *f = &e->file[e->begun++ % e->files];
	size_t taken = 0;
	int len = 0;
	if (e->way == WAY_FRAMED) {
		len = snprintf(p->head, HEAD, "PUT %llu %zu\n", (unsigned long long)number, f->len);
		memcpy(p->head + len, f->octets, GZIP_TIME_END);
		for (unsigned i = GZIP_TIME; i < GZIP_TIME_END; i++, number >>= 8)
			p->head[len + (int)i] = (char)(number & 255);
		taken = GZIP_TIME_END;
		p->put_at[(p->oldest + p->flying++) % WINDOW_MOST] = push_clock();
	}
	p->piece = slice_of(p->head, (size_t)len + taken);
	p->rest = slice_of(f->octets + taken, f->len - taken);
	p->given++;
	e->octets += f->len;
}

/* Sends from the front of *octets. False: the socket takes no more for now. */
static bool send_octets(const struct peer *p, struct slice *octets, bool more)
{
	int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
	while (octets->len > 0) {
		ssize_t n = send(p->socket, octets->data, octets->len, flags);
		if (would_block(n))
			return false;
		if (n < 0)
			push_fail(strerror(errno), "send");
		slice_skip(octets, (size_t)n);
	}
	return true;
}

static bool send_records(struct peer *p)
{
	if (!send_octets(p, &p->left, false))
		return false;
	buf_deinit(&p->records);
	return true;
}

/* The same over TLS, a part at a time. */
static bool encrypt_and_send(struct peer *p, struct slice *octets)
{
	while (send_records(p) && octets->len > 0) {
		size_t n = octets->len < PART ? octets->len : PART;
		if (!tls_write(p->tls, slice_of(octets->data, n)))
			push_fail("takes no more", "TLS");
		slice_skip(octets, n);
		tls_take_output(p->tls, &p->records);
		p->left = buf_slice(&p->records);
	}
	return p->left.len == 0;
}

/* All that it may send. False: the socket takes no more for now. */
static bool send_all(struct peer *p)
{
	do {
		if (p->piece.len == 0) {
			p->piece = p->rest;
			p->rest = SLICE_NONE;
		}
		if (p->piece.len == 0 && may_begin(p))
			begin(p);
		if (p->tls != NULL ? !encrypt_and_send(p, &p->piece)
				   : !send_octets(p, &p->piece, p->rest.len > 0))
			return false;
	} while (p->rest.len > 0 || may_begin(p));
	return true;
}

void peer_run(struct peer *p)
{
	receive(p);
	if (p->ended || p->shut || !send_all(p) || p->errand->way == WAY_FRAMED)
		return;
	p->shut = true;
	if (shutdown(p->socket, SHUT_WR) != 0)
		push_fail(strerror(errno), "shutdown");
}

/* ---- beginning and end ----------------------------------------------------------------------- */

/* The socket still waits for what it does. */
static void shake_hands(struct peer *p)
{
	char room[PART];
	enum step step;
	while ((step = tls_handshake(p->tls)) != STEP_BAD) {
		tls_take_output(p->tls, &p->records);
		p->left = buf_slice(&p->records);
		(void)send_records(p);
		if (step == STEP_OK)
			return;
		ssize_t n = recv(p->socket, room, sizeof(room), 0);
		if (n <= 0)
			break;
		tls_give(p->tls, slice_of(room, (size_t)n));
	}
	push_fail("no handshake", "TLS");
}

/*
 * A sender that paces itself (BBR) sets a timer for each segment, and the kernel runs it where the
 * segment before was acknowledged: over loopback that is the core of the listener, whose figures would
 * have it.
 */
static void do_not_pace(const struct peer *p)
{
	static const char reno[] = "reno";
	(void)setsockopt(p->socket, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof(reno) - 1);
}

struct peer *peer_new(struct errand *e)
{
	struct peer *p = calloc(1, sizeof(*p));
	int on = 1;
	if (p == NULL)
		push_fail("no memory", "peer");
	p->errand = e;
	p->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->socket < 0)
		push_fail(strerror(errno), "socket");
	do_not_pace(p);
	if (connect(p->socket, (struct sockaddr *)&e->to, sizeof(e->to)) != 0)
		push_fail(strerror(errno), "connect");
	(void)setsockopt(p->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (e->tls != NULL) {
		p->tls = tls_session_new(e->tls, "127.0.0.1");
		if (p->tls == NULL)
			push_fail("no memory", "TLS");
		shake_hands(p);
	}
	if (fcntl(p->socket, F_SETFL, O_NONBLOCK) != 0)
		push_fail(strerror(errno), "socket");
	return p;
}

void peer_free(struct peer **p)
{
	buf_deinit(&(*p)->records);
	tls_session_free(&(*p)->tls);
	close((*p)->socket);
	free(*p);
	*p = NULL;
}

int peer_socket(const struct peer *p)
{
	return p->socket;
}

bool peer_ended(const struct peer *p)
{
	return p->ended;
}
