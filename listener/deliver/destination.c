/* SPDX-License-Identifier: Apache-2.0 */
/* The text after the format in -o FORMAT:DEST. Names are resolved when a session begins. */
#include "deliver/destination.h"

#include <stdlib.h>
#include <string.h>

enum { HOST_MOST = 253 }; /* of a domain name: RFC 1035 section 3.1 without the root's dot */

static bool parse_port(struct destination *d, const char *text)
{
	unsigned port = 0;
	size_t len = strlen(text);
	if (len == 0 || len >= sizeof(d->port))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	memcpy(d->port, text, len + 1);
	return port > 0 && port <= UINT16_MAX;
}

/* HOST:PORT, [ADDRESS]:PORT. */
static bool parse_host(struct destination *d, const char *text, const char **why)
{
	const char *colon = strrchr(text, ':');
	*why = "not HOST:PORT, as collector:4739, 192.0.2.1:4739 or [2001:db8::1]:4739";
	if (colon == NULL || !parse_port(d, colon + 1))
		return false;
	size_t len = (size_t)(colon - text);
	bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	if (bracketed) {
		text++;
		len -= 2;
	}
	if (len == 0 || len > HOST_MOST || (!bracketed && memchr(text, ':', len) != NULL))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("/[]@", text[i]) != NULL)
			return false;
	d->path = strndup(text, len);
	*why = "out of memory";
	return d->path != NULL;
}

bool destination_parse(struct destination *d, const char *text, const char **why)
{
	static const struct {
		const char *begin;
		enum destination_kind kind;
	} networks[] = {
		{ "tcp://", DESTINATION_TCP },
		{ "tls://", DESTINATION_TLS },
		{ "udp://", DESTINATION_UDP },
	};
	*d = (struct destination){ .kind = DESTINATION_STDOUT };
	if (strcmp(text, "-") == 0)
		return true;
	for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++) {
		size_t len = strlen(networks[i].begin);
		if (strncmp(text, networks[i].begin, len) == 0) {
			d->kind = networks[i].kind;
			return parse_host(d, text + len, why);
		}
	}
	*why = "no such destination: there are -, a file, and tcp, tls or udp://HOST:PORT";
	if (strstr(text, "://") != NULL)
		return false;
	*why = "no destination after the colon: a file, -, or tcp, tls or udp://HOST:PORT";
	if (*text == '\0')
		return false;
	d->kind = DESTINATION_FILE;
	d->path = strdup(text);
	*why = "out of memory";
	return d->path != NULL;
}

void destination_deinit(struct destination *d)
{
	free(d->path);
	*d = (struct destination){ .kind = DESTINATION_STDOUT };
}

bool destination_equal(const struct destination *a, const struct destination *b)
{
	if (a->kind != b->kind || strcmp(a->port, b->port) != 0)
		return false;
	return a->kind == DESTINATION_STDOUT || strcmp(a->path, b->path) == 0;
}
