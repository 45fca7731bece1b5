/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_TRANSPORT_H
#define VPCFLOWD_DELIVER_TRANSPORT_H

#include "deliver/output.h"

/*
 * How blocks leave: a writer (file, standard output), a stream (tcp, tls) or datagrams (udp). A
 * transport pulls blocks from its output when it can carry them, and says what became of each. All of
 * it on the worker's thread.
 */
struct transport {
	const struct transport_class *class;
	struct output *output;
};

/* Octets that are ready before a transport is told, where these may go at once. */
enum { TRANSPORT_HAND_OVER = 64 * 1024 };

struct transport_class {
	size_t hand_over; /* octets that are ready before it is told; or a flush */
	/*
	 * Opens the destination, or begins to: output_session() is called, now or later, when the
	 * first session has begun. beside: the same output's of another worker, or NULL; a file is
	 * shared with it. 0 or a negative errno: it cannot be.
	 */
	int (*open)(struct transport **t, struct output *o, uv_loop_t *loop,
		    struct transport *beside);
	/* There is something to pull, or more of it. */
	void (*kick)(struct transport *t);
	/* HUP. May be NULL. */
	void (*reopen)(struct transport *t, struct block *reopen);
	/*
	 * Ends; abort: without waiting for what is still to be carried. Gives back every block, then
	 * calls output_closed() once its handles are closed, and is gone.
	 */
	void (*close)(struct transport *t, bool abort);
};

extern const struct transport_class transport_writer;
extern const struct transport_class transport_stream;
extern const struct transport_class transport_datagrams;

/* ---- for the transports (output.c) ----------------------------------------------------------- */

/*
 * A session has begun: headers and templates come first in what is pulled from here on, and IPFIX
 * sequence numbers begin at 0. The transport has returned all that
 * the last session did not deliver.
 */
void output_session(struct output *o);
/* The session is over: nothing is pulled until the next. */
void output_down(struct output *o);
/* The session goes on, but the other side may have forgotten the templates. */
void output_repeat(struct output *o);
/* The next block to send, stamped; NULL when there is none now. The transport owns it. */
struct block *output_pull(struct output *o);
/*
 * Moves a block that is less than half full into a buffer of its size, as many of them may wait to be
 * acknowledged. The large buffer is used again, so that no holes are left behind.
 */
void output_shrink(struct output *o, struct block *b);
/* The destination has the block's flows. The transport keeps the block. */
void output_delivered(struct output *o, struct block *b);
/* Flows of a block that was delivered are lost after all: counted, and told to collectors. */
void output_lost(struct output *o, unsigned lane, const struct tally *tally);
/* Gives a delivered block back. */
void output_recycle(struct output *o, struct block *b);
/* The session broke: gives blocks back that have to be sent again, first ones first. */
void output_return(struct output *o, struct blocks *blocks);
/* Nothing will ever be delivered any more: the whole process has to know. */
void output_fail(struct output *o, int error);
/* After output_delivered and the like: the worker may go on. */
void output_progress(struct output *o);
/* The transport has closed its handles and is gone. */
void output_closed(struct output *o);

const struct output_config *output_config_of(const struct output *o);
/* What a session over TLS begins with; NULL when it is not to be over TLS. */
const struct tls_context *output_tls(const struct output *o);

#endif
