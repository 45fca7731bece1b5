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
	struct token *grown = realloc(t->token, (t->count + 1) * sizeof(*grown));
	if (grown == NULL)
		return false;
	t->token = grown;
	struct token *new = &t->token[t->count++];
	*new = (struct token){ .number = ++t->numbers };
	memcpy(new->text, token.data, token.len);
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
	if (ok)
		*why = feof(file) ? "no token in it" : strerror(errno);
	if (line != NULL)
		explicit_bzero(line, room);
	free(line);
	return ok && feof(file) && t->count > 0;
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

/* All ones where both are the same, else 0, with no branch on what is in them. */
static uint32_t same(const char a[TOKEN_LIMIT], const char b[TOKEN_LIMIT])
{
	unsigned differs = 0;
	for (size_t k = 0; k < TOKEN_LIMIT; k++)
		differs |= (unsigned)(unsigned char)(a[k] ^ b[k]);
	/* Only of 0 does one less have its highest bit set. */
	return 0 - (((uint32_t)differs - 1) >> 31);
}

void tokens_succeed(struct tokens *t, const struct tokens *before)
{
	t->numbers = before->numbers;
	for (size_t i = 0; i < t->count; i++) {
		uint32_t known = 0;
		for (size_t k = 0; k < before->count; k++)
			if (same(t->token[i].text, before->token[k].text) != 0)
				known = before->token[k].number;
		t->token[i].number = known != 0 ? known : ++t->numbers;
	}
}

uint32_t tokens_accept(const struct tokens *t, struct slice token)
{
	char padded[TOKEN_LIMIT] = { 0 };
	/* A NUL would be taken for padding. */
	if (token.len == 0 || token.len >= TOKEN_LIMIT || memchr(token.data, 0, token.len) != NULL)
		return 0;
	memcpy(padded, token.data, token.len);
	uint32_t number = 0;
	for (size_t i = 0; i < t->count; i++) {
		uint32_t mask = same(t->token[i].text, padded);
		number = (number & ~mask) | (t->token[i].number & mask);
	}
	explicit_bzero(padded, sizeof(padded));
	return number;
}

bool tokens_have(const struct tokens *t, uint32_t number)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->token[i].number == number)
			return true;
	return false;
}
