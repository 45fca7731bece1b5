/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

static void free_found(struct resolver *r)
{
	if (r->found != NULL)
		uv_freeaddrinfo(r->found);
	r->found = NULL;
	r->next = NULL;
}

static void on_addresses(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct resolver *r = request->data;
	r->busy = false;
	r->found = found;
	r->next = found;
	if (r->on_forgotten != NULL) {
		free_found(r);
		r->on_forgotten(r);
	} else {
		r->on_resolved(r, status);
	}
}

int resolver_ask(struct resolver *r, uv_loop_t *loop, const struct destination *d,
		 void (*on_resolved)(struct resolver *r, int error))
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = d->kind == DESTINATION_UDP ? SOCK_DGRAM : SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	free_found(r);
	r->on_resolved = on_resolved;
	r->request.data = r;
	int error = uv_getaddrinfo(loop, &r->request, on_addresses, d->path, d->port, &hints);
	r->busy = error == 0;
	return error;
}

const struct sockaddr *resolver_next(struct resolver *r)
{
	const struct addrinfo *a = r->next;
	if (a == NULL)
		return NULL;
	r->next = a->ai_next;
	return a->ai_addr;
}

bool resolver_has_next(const struct resolver *r)
{
	return r->next != NULL;
}

bool resolver_several(const struct resolver *r)
{
	return r->found != NULL && r->found->ai_next != NULL;
}

void resolver_forget(struct resolver *r, void (*on_forgotten)(struct resolver *r))
{
	if (r->busy) {
		r->on_forgotten = on_forgotten;
		uv_cancel((uv_req_t *)&r->request);
		return;
	}
	free_found(r);
	on_forgotten(r);
}

const char *resolved_text(const struct sockaddr *address, char text[RESOLVED_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6 = address->sa_family == AF_INET6;
	uint16_t port = v6 ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
			   : ((const struct sockaddr_in *)(const void *)address)->sin_port;
	uv_ip_name(address, host, sizeof(host));
	(void)snprintf(text, RESOLVED_TEXT, v6 ? "[%s]:%u" : "%s:%u", host, ntohs(port));
	return text;
}
