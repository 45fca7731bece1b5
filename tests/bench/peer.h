/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_BENCH_PEER_H
#define VPCFLOWD_TESTS_BENCH_PEER_H

#include <netinet/in.h>

#include "base/tls.h"
#include "file.h"

enum way {
	WAY_FRAMED, /* PUT, and so many ahead of their answers */
	WAY_STREAM, /* payload after payload; then the sending side ends */
	WAY_EACH,   /* a connection for each payload */
};

/* What all peers do together. */
struct errand {
	struct sockaddr_in to;
	enum way way;
	struct tls_context *tls; /* NULL: without */
	unsigned window;	 /* FRAMED: PUTs without an answer, WINDOW_MOST at most */
	struct file *file;	 /* payload n is file[n % files] */
	size_t files;
	uint64_t payloads; /* to be sent in all */
	uint64_t begun;
	uint64_t done;	    /* answered; or not FRAMED, sent, and the listener has closed */
	uint64_t number;    /* of the first: no two numbers give the same octets */
	uint64_t flows;	    /* that ACKs have told */
	uint64_t octets;    /* sent, of payloads */
	double *latency_ms; /* FRAMED: of each payload, from its PUT to its ACK */
};

enum { WINDOW_MOST = 64 };

/* One connection. Works while its socket does not make it wait; one thread. */
struct peer;

/* Ends the process with what is wrong, as everything here does when anything is. */
_Noreturn void push_fail(const char *what, const char *which);
/* Seconds of a clock that does not jump. */
double push_clock(void);

/* Connected, over TLS after the handshake; nothing is sent yet. */
struct peer *peer_new(struct errand *e);
void peer_free(struct peer **p);
/* Goes on; an event of the socket, edge-triggered, says when. */
void peer_run(struct peer *p);
int peer_socket(const struct peer *p);
/* Whether there is no more to come of this connection. */
bool peer_ended(const struct peer *p);

#endif
