/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_SOCKETS_H
#define VPCFLOWD_RECEIVE_SOCKETS_H

#include <stdio.h>

#include "config.h"
#include "receive/inherited.h"

/* An inherited socket each, and for the standard address two tries. */
enum { SOCKETS_MOST = INHERITED_LIMIT + LISTEN_LIMIT };

enum { SOCKET_TEXT = ADDRESS_TEXT + 16 }; /* ADDR:PORT */

/*
 * The listening sockets of all workers: a row for each address, in it a descriptor for each worker.
 *
 *   inherited       one socket, of which each worker has a descriptor; who is first accepts
 *   bound, alone    one socket
 *   bound, several  a socket each (SO_REUSEPORT): the kernel gives each connection to one of them
 */
struct sockets {
	unsigned workers;
	unsigned count;
	struct listening {
		char address[SOCKET_TEXT]; /* ADDR:PORT that it is bound to */
		int fd[WORKERS_MOST];	   /* -1 once its worker took it */
	} row[SOCKETS_MOST];
};

/*
 * Takes so many inherited sockets, then binds every configured address; where there are inherited
 * ones the standard address is none. Port 0 is one port for all workers. All of them listen when this
 * returns, so that connections wait from here on. 0, or a negative errno after the reason was logged;
 * sockets_close is due in either case.
 */
MUST_CHECK int sockets_open(struct sockets *s, const struct config *config, unsigned workers,
			    unsigned inherited);
/* Closes those that no worker took. */
void sockets_close(struct sockets *s);
/* The addresses, one a line: inherited ones, then as configured. */
void sockets_print(const struct sockets *s, FILE *out);

/* One more, of nobody's row: its descriptor with the address it is bound to, or a negative errno. */
MUST_CHECK int sockets_listen(const struct listen_address *a, char address[SOCKET_TEXT]);

#endif
