/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_WIRE_H
#define VPCFLOWD_DELIVER_WIRE_H

#include <uv.h>

#include "base/attributes.h"
#include "base/tls.h"
#include "deliver/block.h"

/*
 * One connection to a collector at a time, by TCP or by TLS over it. Part of its owner, who sets the
 * callbacks once; all but on_closed come only until wire_close().
 *
 *   wire_connect ─▶ connecting ─▶ handshake, with TLS ─▶ on_up ─▶ wire_send …
 *                       │               └─ on_doubt ──────▲│
 *                       └───────────────┴──────────────────┴──▶ on_down, wire_close ─▶ on_closed
 */
struct wire {
	uv_tcp_t tcp;
	uv_connect_t connect;
	bool open;
	bool up;
	bool doubt;		      /* on_doubt came */
	struct tls_session *tls;      /* NULL: octets go as they are */
	struct sockaddr_storage peer; /* who is there */
	uint64_t written;	      /* octets given to libuv, TLS's own with them */
	/* A collector has nothing to say, but TLS has, and the end is waited for. */
	char arrived[4096];

	void (*on_up)(struct wire *w);
	/*
	 * The collector has asked for a certificate and not said yet what it thinks of the answer.
	 * on_up comes with its next word, if that is no refusal; one that is content may have none, so
	 * after some time wire_trust() is due.
	 */
	void (*on_doubt)(struct wire *w);
	/* What was sent is written to the socket: there may be room for more. */
	void (*on_room)(struct wire *w);
	/* It failed, or broke. why: what is wrong with TLS, lent; or NULL, and error says it all. */
	void (*on_down)(struct wire *w, int error, const char *why);
	void (*on_closed)(struct wire *w);
};

/*
 * Begins a connection; on_up or on_down comes from here or from the loop, on_closed from the loop.
 * tls: NULL for TCP alone; host is the name or address that the certificate has to be for.
 */
void wire_connect(struct wire *w, uv_loop_t *loop, const struct sockaddr *address,
		  const struct tls_context *tls, const char *host);
/*
 * Sends a block's octets, which must stay until its write_done; its end is set to where they end
 * among all octets of the connection. 0, or a negative errno: the connection is of no more use.
 */
MUST_CHECK int wire_send(struct wire *w, struct block *b);
/* Octets that the socket has not taken yet. */
size_t wire_unwritten(const struct wire *w);
/* Octets of the connection that the collector's kernel has; before, when that cannot be told. */
uint64_t wire_acknowledged(const struct wire *w, uint64_t before);
/* Takes silence for consent. */
void wire_trust(struct wire *w);
/* Closes, if it is open and not closing. */
void wire_close(struct wire *w);

#endif
