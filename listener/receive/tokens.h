/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_TOKENS_H
#define VPCFLOWD_RECEIVE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/slice.h"

enum { TOKEN_LIMIT = 500 };

/* The tokens that --token-file accepts. Owns them. */
struct tokens {
	char (*token)[TOKEN_LIMIT];
	size_t count;
};

/*
 * Reads a token a line; blank lines and those beginning with # are skipped, spaces around cut off.
 * False with *why set, a static text: not readable, a token too long or with a space in it, or no
 * token at all. Nothing of a token is ever part of it.
 */
MUST_CHECK bool tokens_load(struct tokens *t, const char *path, const char **why);
void tokens_deinit(struct tokens *t);

/* Whether one of the tokens is this, in a time that depends on neither. */
bool tokens_accept(const struct tokens *t, struct slice token);

#endif
