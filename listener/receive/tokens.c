/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token file. Tokens are kept padded with zeros and compared over their whole room, every one
 * of them, so the time tells nothing of which octet differed.
 */
#include "receive/tokens.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice trimmed(struct slice s)
{
	while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
		slice_skip(&s, 1);
	while (s.len > 0 && strchr(" \t\r\n", s.data[s.len - 1]) != NULL)
		s.len--;
	return s;
}

static bool add(struct tokens *t, struct slice token, const char **why)
{
	*why = "a token is too long or has characters other than printable ASCII";
	if (token.len >= TOKEN_LIMIT)
		return false;
	for (size_t i = 0; i < token.len; i++)
		if (token.data[i] <= ' ' || token.data[i] > '~')
			return false;
	*why = "out of memory";
	char(*grown)[TOKEN_LIMIT] = realloc(t->token, (t->count + 1) * sizeof(*grown));
	if (grown == NULL)
		return false;
	t->token = grown;
	memset(t->token[t->count], 0, TOKEN_LIMIT);
	memcpy(t->token[t->count], token.data, token.len);
	t->count++;
	return true;
}

static bool read_lines(struct tokens *t, FILE *file, const char **why)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	bool ok = true;
	while (ok && (len = getline(&line, &room, file)) >= 0) {
		struct slice token = trimmed(slice_of(line, (size_t)len));
		if (token.len > 0 && token.data[0] != '#')
			ok = add(t, token, why);
	}
	if (line != NULL)
		explicit_bzero(line, room);
	free(line);
	if (ok)
		*why = "no token in it";
	return ok && t->count > 0;
}

bool tokens_load(struct tokens *t, const char *path, const char **why)
{
	*t = (struct tokens){ .count = 0 };
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		*why = strerror(errno);
		return false;
	}
	bool ok = read_lines(t, file, why);
	fclose(file);
	if (!ok)
		tokens_deinit(t);
	return ok;
}

void tokens_deinit(struct tokens *t)
{
	if (t->token != NULL)
		explicit_bzero(t->token, t->count * sizeof(*t->token));
	free(t->token);
	*t = (struct tokens){ .count = 0 };
}

bool tokens_accept(const struct tokens *t, struct slice token)
{
	char padded[TOKEN_LIMIT] = { 0 };
	/* A NUL would be taken for padding. */
	if (token.len == 0 || token.len >= TOKEN_LIMIT || memchr(token.data, 0, token.len) != NULL)
		return false;
	memcpy(padded, token.data, token.len);
	unsigned accepted = 0;
	for (size_t i = 0; i < t->count; i++) {
		unsigned differs = 0;
		for (size_t k = 0; k < TOKEN_LIMIT; k++)
			differs |= (unsigned)(unsigned char)(t->token[i][k] ^ padded[k]);
		accepted |= differs == 0;
	}
	explicit_bzero(padded, sizeof(padded));
	return accepted != 0;
}
