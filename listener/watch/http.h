/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_HTTP_H
#define VPCFLOWD_WATCH_HTTP_H

#include "base/buf.h"
#include "watch/published.h"

/*
 * A small web server for what is published: GET and HEAD of a few fixed paths, answered by a thread
 * of its own that no loop waits for. One request a connection; how many connections there may be, how
 * long they may last and how much they may say is bounded.
 */
struct http;

/* What is at a path. Lives for ever. */
struct http_route {
	const char
		*path; /* as it has to be written, without "?" and what follows, which is ignored */
	const char *type;   /* its Content-Type */
	const char *policy; /* its Content-Security-Policy; NULL: nothing is allowed */
	/* The answer depends on the time, too: it is made for each request, else once a publication. */
	bool at_once;
	/*
	 * Adds the body, and gives the status: 200, or 503. 0: it could not be made, which is
	 * answered with 500. Runs on HTTP's thread; what is published stays where it is until it
	 * returns.
	 */
	unsigned (*make)(struct buf *body, const struct published *p);
};

enum {
	HTTP_BODY_MOST = 16 * 1024 * 1024,
	HTTP_CONNECTIONS = 64, /* at a time, each with a descriptor */
};

/*
 * Listens, and answers from here on: a publication must be on the board. The routes end with one that
 * has no path. 0 with the address that it is bound to, or a negative errno after the reason was
 * logged.
 */
MUST_CHECK int http_open(struct http **h, const struct listen_address *at,
			 const struct http_route *routes, struct board *board);
/* ADDR:PORT that it is bound to; lives as long as the server. */
const char *http_address(const struct http *h);
/* Ends connections that have lasted too long. From the loop, now and then. */
void http_tick(struct http *h);
/* Ends the thread and its connections. */
void http_close(struct http **h);

#endif
