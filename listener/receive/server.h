/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_SERVER_H
#define VPCFLOWD_RECEIVE_SERVER_H

#include <sys/queue.h>
#include <uv.h>

#include "config.h"
#include "receive/census.h"
#include "receive/conn.h"
#include "receive/penalties.h"
#include "receive/sockets.h"
#include "receive/take.h"
#include "worker.h"

/* A listening socket. At the limit of connections one more waits in it, the rest in the kernel. */
struct listener {
	uv_tcp_t tcp;
	struct server *server;
	bool open;
	bool waiting; /* a connection that was not accepted yet */
};

/*
 * The listeners and connections of one worker. Borrows the worker; stops in two steps: server_drain
 * lets peers finish what they have begun, server_close ends those who could not.
 */
struct server {
	struct worker *worker;
	struct takes takes;
	struct listener listener[SOCKETS_MOST];
	unsigned listeners;
	LIST_HEAD(conns, conn) conns;
	uint64_t count;
	struct census census;
	struct penalties penalties;
	bool draining;
	uv_timer_t tick;
	uint64_t received;	  /* octets of all peers, when something last came */
	uint64_t heard_ms;	  /* and when that was */
	bool gave_back;		  /* memory, since then */
	char arrived[CONN_INPUT]; /* ciphertext between two callbacks, of whichever peer */
	void (*on_drained)(struct server *s);
	void *data; /* the owner's */
};

/*
 * Accepts on the sockets of the worker of that number, which it takes. 0, or a negative errno after
 * the reason was logged; server_close is due in either case. seen and spool, which may be NULL, are
 * borrowed.
 */
MUST_CHECK int server_init(struct server *s, struct worker *w, struct sockets *sockets,
			   unsigned number, struct seen *seen, struct spool *spool);
/* Stops accepting; on_drained is called once the last connection is gone. */
void server_drain(struct server *s, void (*on_drained)(struct server *s));
/* PUTs that are not answered get RETRY, connections are closed; handles too, so run the loop. */
void server_close(struct server *s);
/* Whether payloads are being taken, for peers that have gone too. */
bool server_is_taking(const struct server *s);
/* After server_close, and when nothing is on its way to the spool's disk any more. */
void server_deinit(struct server *s);

/* ---- for connections ------------------------------------------------------------------------- */

/* A connection's handle has closed: it may be freed, and another one accepted. */
void server_forget(struct server *s, struct conn *c);
/* Counts a payload that was lost whole, and logs it once per peer and reason. */
void server_tell_fault(struct server *s, const char *peer, const char *what,
		       const struct fault *fault);

#endif
