/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_RESOLVE_H
#define VPCFLOWD_DELIVER_RESOLVE_H

#include <uv.h>

#include "base/attributes.h"
#include "deliver/destination.h"

/* The addresses of a network destination, found by libuv's thread pool. Part of its owner. */
struct resolver {
	uv_getaddrinfo_t request;
	bool busy;
	struct addrinfo *found; /* of the last answer, or NULL */
	const struct addrinfo *next;
	/* error: 0, or a negative errno or UV_EAI_ code. Not called once resolver_forget() was. */
	void (*on_resolved)(struct resolver *r, int error);
	void (*on_forgotten)(struct resolver *r);
};

/* Asks; one question at a time. 0, or a negative errno without memory. */
MUST_CHECK int resolver_ask(struct resolver *r, uv_loop_t *loop, const struct destination *d,
			    void (*on_resolved)(struct resolver *r, int error));
/* The next address to try; NULL after the last. Lives until the next question. */
const struct sockaddr *resolver_next(struct resolver *r);
bool resolver_has_next(const struct resolver *r);
/* Whether the name has more than one address. */
bool resolver_several(const struct resolver *r);
/* An end: calls on_forgotten when the owner may be freed, at once or when libuv is done with it. */
void resolver_forget(struct resolver *r, void (*on_forgotten)(struct resolver *r));

/* Room for an address with its port as text. */
enum { RESOLVED_TEXT = 64 };
const char *resolved_text(const struct sockaddr *address, char text[RESOLVED_TEXT]);

#endif
