/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_CONN_H
#define VPCFLOWD_RECEIVE_CONN_H

#include <sys/queue.h>
#include <uv.h>

#include "base/stats.h"
#include "base/tls.h"
#include "config.h"
#include "receive/frame.h"
#include "worker.h"

/*
 * One TCP connection.
 *
 *   SNIFF ──first octets──▶ UNFRAMED   octets go to an intake; nothing is ever written back
 *              └──────────▶ FRAMED     commands; each PUT is answered in order
 *                              └─────▶ LINGER   last reply sent; what still comes is dropped, so
 *                                               that closing does not destroy the reply
 *
 * GLOSSARY
 *   input     octets read and not yet used: in[in_first .. in_first + in_len)
 *   lent      the input's place is the intake's, where the octets stay, and no buffer of our own
 *   settle    look at everything that may have changed, then read, wait or close
 *   pause     our side is the reason that nothing moves: the peer's clock stands still
 *   ending    a reason is known, and the connection closes once all PUTs are answered
 *
 * With TLS what is read from the socket goes through a session first (secured.c); everything above
 * sees plaintext, and the input is plaintext too.
 *
 * Lives until its handle's close callback; conn_close may be called at any time before, once or
 * more. Everything belongs to the worker's thread.
 */

enum conn_mode { CONN_SNIFF, CONN_UNFRAMED, CONN_FRAMED, CONN_LINGER, CONN_CLOSED };

struct server;
struct put;

struct conn {
	uv_tcp_t tcp;
	LIST_ENTRY(conn) link;
	struct server *server;
	struct worker *worker;
	const struct config *config; /* a reference; conn_renew_config */
	char peer[ADDRESS_TEXT];     /* address without port */
	uint64_t network;	     /* the same for limits: address_network */
	struct household *household; /* where the connection is counted */
	enum conn_mode mode;
	struct tls_session *tls; /* NULL: octets come and go as they are */

	char *in; /* in_room octets, CONN_INPUT or CONN_LENT at most, only while there are some */
	size_t in_room;
	size_t in_first;
	size_t in_len;
	bool in_lent;
	bool reading;
	bool eof;
	int read_error; /* why eof came, 0 for a proper end; UV_EPROTO when TLS says otherwise */

	bool heard;	   /* anything at all */
	uint64_t heard_ms; /* when last */
	bool idle;	   /* between payloads */
	uint64_t since_ms; /* begin of the payload, or of the silence */

	bool wants_room; /* paused until worker_hold grants more */
	struct turn turn;
	struct hold hold;
	struct intake *intake; /* UNFRAMED */
	uint64_t documents;    /* UNFRAMED: completed when last looked at */

	/* FRAMED */
	uint32_t admitted;  /* by the token of this number, 0 for none */
	uint64_t refuse_ms; /* no good token: REJECT is due then; 0 for never */
	bool draining;
	bool ending;
	enum close_reason ending_reason;
	STAILQ_HEAD(puts, put) puts; /* unanswered, in the order they came */
	unsigned put_count;
	struct put *receiving; /* the last of them, while its octets come */
	struct put *taking;    /* the one whose records are being converted */
	uint64_t skip;	       /* octets of a refused PUT still to come */
	size_t bodies;	       /* room of all bodies held */
	unsigned writes;       /* under way */
	uint64_t write_since_ms;
};

enum { CONN_INPUT = 64 * 1024, CONN_LENT = 256 * 1024 };

/* Reasons that are told once per peer, beside the faults and those of the pipeline. */
enum { ONCE_REFUSED = 1000, ONCE_CROWDED, ONCE_COMMAND, ONCE_TLS, ONCE_CLOSED };

/* ---- conn.c ---------------------------------------------------------------------------------- */

/*
 * Accepts from a listening stream. A peer that may not stay, or is gone, is a connection that is
 * closing already; NULL only without memory.
 */
struct conn *conn_accept(struct server *server, uv_stream_t *listener);
void conn_close(struct conn *c, enum close_reason reason);
/* Deadlines and WAIT lines; called a few times a second. */
void conn_tick(struct conn *c, uint64_t now_ms);
/* The listener is stopping: finish what is begun, take nothing new. */
void conn_drain(struct conn *c);

static inline struct slice conn_input(const struct conn *c)
{
	return slice_of(c->in_len == 0 ? NULL : c->in + c->in_first, c->in_len);
}

/* Keeps only rest, which is a tail of conn_input(), or the intake's when that had lent the place. */
void conn_keep_input(struct conn *c, struct slice rest);
void conn_settle(struct conn *c);
/* Sends octets to a framed peer; the connection may be closed when it returns. */
void conn_write(struct conn *c, struct slice octets);
/*
 * Goes over to the configuration in force. Only while there is no intake, which borrows from the
 * one it was made under.
 */
void conn_renew_config(struct conn *c);
/* Begins the clock of a payload or a silence anew. */
void conn_set_idle(struct conn *c, bool idle);
/* Says once per peer what is wrong with its TLS. */
void conn_tell_tls(struct conn *c, const char *why);

/* Why a connection closes whose read_error is not 0. */
static inline enum close_reason conn_broken(const struct conn *c)
{
	return c->read_error == UV_EPROTO ? CLOSE_TLS : CLOSE_RESET;
}

/* Where the next octets of a payload or command go; an empty buffer without memory. */
uv_buf_t conn_room(struct conn *c);
/* n octets have come into that room. */
void conn_received(struct conn *c, size_t n, const uv_buf_t *room);
bool conn_wants_input(const struct conn *c);
/* Sends octets to the socket as they are. */
void conn_send(struct conn *c, struct slice octets);
/* Says that no more comes and waits a little for the peer's end, then closes. */
void conn_linger(struct conn *c, enum close_reason reason);

/* ---- secured.c ------------------------------------------------------------------------------- */

/* Begins a session. False without memory. */
MUST_CHECK bool secured_begin(struct conn *c);
void secured_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *room);
void secured_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room);
/* Takes plaintext out of what was read before; whether something came of it. */
bool secured_pull(struct conn *c);
void secured_write(struct conn *c, struct slice octets);
/* Tells the peer that no more comes, when that can be done at once. */
void secured_end(struct conn *c);

/* ---- unframed.c ------------------------------------------------------------------------------ */

void unframed_begin(struct conn *c);
void unframed_settle(struct conn *c);

/* ---- framed.c -------------------------------------------------------------------------------- */

void framed_begin(struct conn *c);
/* Uses the input: commands and payloads. */
void framed_settle(struct conn *c);
/* Where the next octets of a PUT may be read to directly; an empty buffer when nowhere. */
uv_buf_t framed_room(struct conn *c);
void framed_received(struct conn *c, size_t n);
bool framed_wants_input(const struct conn *c);
bool framed_busy(const struct conn *c);
/* Answers REJECT and closes when all before it is answered. */
void framed_refuse(struct conn *c, const char *why, enum close_reason reason);
void framed_drain(struct conn *c);
void framed_give_up(struct conn *c);
void framed_tick(struct conn *c, uint64_t now_ms);
void framed_free(struct conn *c);

#endif
