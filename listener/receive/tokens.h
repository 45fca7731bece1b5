/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_TOKENS_H
#define VPCFLOWD_RECEIVE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

enum { TOKEN_LIMIT = 500 };

/* A token, and the number by which those that it let in are known. */
struct token {
	char text[TOKEN_LIMIT]; /* padded with zeros */
	uint32_t number;	/* from 1 */
};

/* The tokens that --token-file accepts. Owns them. */
struct tokens {
	struct token *token;
	size_t count;
	uint32_t numbers; /* given out until now */
};

/*
 * Reads a token a line; blank lines and those beginning with # are skipped, spaces around cut off.
 * False with *why set, a static text: not readable, a token too long or with a space in it, or no
 * token at all. Nothing of a token is ever part of it.
 */
MUST_CHECK bool tokens_load(struct tokens *t, const char *path, const char **why);
void tokens_deinit(struct tokens *t);

/*
 * The file was read again: what is in both keeps its number, what is new gets one that no token had
 * before.
 */
void tokens_succeed(struct tokens *t, const struct tokens *before);

/* The number of the token that this is, 0 for none, in a time that depends on neither. */
uint32_t tokens_accept(const struct tokens *t, struct slice token);
/* Whether the token of that number is still one. */
bool tokens_have(const struct tokens *t, uint32_t number);

#endif
