/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An expression to tokens: signs, words, and texts in quotes. A word is everything up to white space, a
 * sign, a quote, a parenthesis, bracket or comma: fields, keywords and most values, of which this
 * knows nothing. Within quotes stands everything but the quote; there are no escapes.
 */
#include "flow/filter_program.h"

/* The longer ones first. */
static const struct {
	const char *text;
	enum token_kind kind;
} signs[] = {
	{ "&&", TOKEN_AND },	  { "||", TOKEN_OR },	     { "==", TOKEN_SAME },
	{ "!=", TOKEN_OTHER },	  { "<=", TOKEN_LESS_SAME }, { ">=", TOKEN_MORE_SAME },
	{ "=", TOKEN_SAME },	  { "<", TOKEN_LESS },	     { ">", TOKEN_MORE },
	{ "!", TOKEN_NOT },	  { "(", TOKEN_OPEN },	     { ")", TOKEN_CLOSE },
	{ "[", TOKEN_OPEN_LIST }, { "]", TOKEN_CLOSE_LIST }, { ",", TOKEN_COMMA },
	{ "&", TOKEN_BAD },	  { "|", TOKEN_BAD },
};

bool filter_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool ends_word(char c)
{
	return filter_is_space(c) || c == '"' || c == '\'' ||
	       (c != '\0' && strchr("&|=<>!()[],", c) != NULL);
}

static size_t sign_at(struct slice text, enum token_kind *kind)
{
	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++) {
		size_t len = strlen(signs[i].text);
		if (text.len >= len && memcmp(text.data, signs[i].text, len) == 0) {
			*kind = signs[i].kind;
			return len;
		}
	}
	return 0;
}

static struct token quoted(struct slice rest, size_t at)
{
	const char *end = memchr(rest.data + 1, rest.data[0], rest.len - 1);
	if (end == NULL)
		return (struct token){ TOKEN_BAD, SLICE_NONE, at, 1 };
	size_t len = (size_t)(end - rest.data) + 1;
	return (struct token){ TOKEN_QUOTED, slice_of(rest.data + 1, len - 2), at, len };
}

struct token filter_token_at(struct slice text, size_t at)
{
	while (at < text.len && filter_is_space(text.data[at]))
		at++;
	struct slice rest = text;
	slice_skip(&rest, at);
	struct token t = { TOKEN_END, SLICE_NONE, at, 1 };
	if (rest.len == 0)
		return t;
	if (rest.data[0] == '"' || rest.data[0] == '\'')
		return quoted(rest, at);
	size_t len = sign_at(rest, &t.kind);
	if (len == 0) {
		t.kind = TOKEN_WORD;
		while (len < rest.len && !ends_word(rest.data[len]))
			len++;
	}
	t.text = slice_of(rest.data, len);
	t.len = len;
	return t;
}
