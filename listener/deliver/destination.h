/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_DESTINATION_H
#define VPCFLOWD_DELIVER_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

enum destination_kind {
	DESTINATION_STDOUT,
	DESTINATION_FILE,
	DESTINATION_TCP,
	DESTINATION_TLS,
	DESTINATION_UDP,
};

/* Where an output goes: "-", PATH, or tcp, tls or udp and ://HOST:PORT. */
struct destination {
	enum destination_kind kind;
	char *path; /* FILE: its path. Network: the host, without brackets */
	char port[6];
};

/*
 * Takes text apart. False with what is wrong with it in *why, a static text. The path is the
 * destination's; destination_deinit frees it.
 */
MUST_CHECK bool destination_parse(struct destination *d, const char *text, const char **why);
void destination_deinit(struct destination *d);
bool destination_equal(const struct destination *a, const struct destination *b);

static inline bool destination_is_network(const struct destination *d)
{
	return d->kind != DESTINATION_STDOUT && d->kind != DESTINATION_FILE;
}

#endif
