/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scanner is a machine over single octets, so it gives the same answer however the input was
 * cut. It keeps one bit a level and nothing else; depth is the only thing a peer can make it count.
 *
 *            '{'            '"'         ':'         value        ','
 *   VALUE ────────▶ FIRST_KEY ──▶ STRING ──▶ COLON ──▶ VALUE ──▶ AFTER ──▶ KEY …
 *            '['            ']' '}' at depth 0: the end
 *   VALUE ────────▶ FIRST_ELEMENT ──▶ …                     AFTER ──▶ VALUE …
 */
#include "decode/json.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "base/sixteen.h"
#include "decode/plain.h"

enum state {
	VALUE,	       /* a value must come */
	FIRST_ELEMENT, /* a value or ']' */
	FIRST_KEY,     /* a key or '}' */
	KEY,	       /* a key */
	COLON,
	AFTER, /* ',' or the closing bracket */
	STRING,
	ESCAPE,
	UNICODE, /* the four digits of \u */
	LITERAL,
	MINUS,
	ZERO, /* a number's leading zero: no digit may follow */
	INTEGER,
	POINT,
	FRACTION,
	EXPONENT,
	EXPONENT_SIGN,
	EXPONENT_DIGITS,
};

static const char *const literals[] = { "true", "false", "null" };

void json_scan_init(struct json_scan *s, unsigned max_depth)
{
	*s = (struct json_scan){ .state = VALUE, .max_depth = max_depth };
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool in_object(const struct json_scan *s)
{
	return s->depth > 0 && (s->objects >> (s->depth - 1) & 1) != 0;
}

static enum fault_code open_level(struct json_scan *s, bool object)
{
	if (s->depth == s->max_depth)
		return FAULT_JSON_DEPTH;
	uint64_t bit = (uint64_t)1 << s->depth;
	s->objects = object ? s->objects | bit : s->objects & ~bit;
	s->depth++;
	s->state = object ? FIRST_KEY : FIRST_ELEMENT;
	return FAULT_COUNT;
}

static enum fault_code close_level(struct json_scan *s, bool object)
{
	if (in_object(s) != object)
		return FAULT_JSON;
	s->depth--;
	s->state = AFTER;
	return FAULT_COUNT;
}

static void begin_literal(struct json_scan *s, uint8_t which)
{
	s->state = LITERAL;
	s->literal = which;
	s->progress = 1;
}

/* The first octet of a value. Only objects and arrays may stand outside of one. */
static enum fault_code begin_value(struct json_scan *s, char c)
{
	if (c == '{' || c == '[')
		return open_level(s, c == '{');
	if (s->depth == 0)
		return FAULT_JSON;
	if (c == '"') {
		s->state = STRING;
		s->key = false;
	} else if (c == '-') {
		s->state = MINUS;
	} else if (is_digit(c)) {
		s->state = c == '0' ? ZERO : INTEGER;
	} else if (c == 't') {
		begin_literal(s, 0);
	} else if (c == 'f') {
		begin_literal(s, 1);
	} else if (c == 'n') {
		begin_literal(s, 2);
	} else {
		return FAULT_JSON;
	}
	return FAULT_COUNT;
}

static enum fault_code begin_key(struct json_scan *s, char c)
{
	if (c != '"')
		return FAULT_JSON;
	s->state = STRING;
	s->key = true;
	return FAULT_COUNT;
}

static enum fault_code after_value(struct json_scan *s, char c)
{
	if (c == '}' || c == ']')
		return close_level(s, c == '}');
	if (c != ',')
		return FAULT_JSON;
	s->state = in_object(s) ? KEY : VALUE;
	return FAULT_COUNT;
}

/* Octets between tokens. FAULT_COUNT means that all is well. */
static enum fault_code structural(struct json_scan *s, char c)
{
	if (json_is_space(c))
		return FAULT_COUNT;
	switch (s->state) {
	case VALUE:
		return begin_value(s, c);
	case FIRST_ELEMENT:
		return c == ']' ? close_level(s, false) : begin_value(s, c);
	case FIRST_KEY:
		return c == '}' ? close_level(s, true) : begin_key(s, c);
	case KEY:
		return begin_key(s, c);
	case COLON:
		s->state = VALUE;
		return c == ':' ? FAULT_COUNT : FAULT_JSON;
	default:
		return after_value(s, c);
	}
}

static enum fault_code in_string(struct json_scan *s, char c)
{
	switch (s->state) {
	case STRING:
		if ((unsigned char)c < 0x20)
			return FAULT_JSON;
		if (c == '"')
			s->state = s->key ? COLON : AFTER;
		else if (c == '\\')
			s->state = ESCAPE;
		return FAULT_COUNT;
	case ESCAPE:
		s->progress = 0;
		s->state = c == 'u' ? UNICODE : STRING;
		return c != '\0' && strchr("\"\\/bfnrtu", c) != NULL ? FAULT_COUNT : FAULT_JSON;
	default:
		if (++s->progress == 4)
			s->state = STRING;
		return is_hex(c) ? FAULT_COUNT : FAULT_JSON;
	}
}

/* The state after c within a number, or AFTER when c does not belong to it any more. */
static enum state number_next(enum state state, char c)
{
	bool digit = is_digit(c);
	bool e = c == 'e' || c == 'E';
	switch (state) {
	case INTEGER:
		if (digit)
			return INTEGER;
		/* fall through */
	case ZERO:
		return c == '.' ? POINT : e ? EXPONENT : AFTER;
	case FRACTION:
		return digit ? FRACTION : e ? EXPONENT : AFTER;
	default:
		return digit ? EXPONENT_DIGITS : AFTER;
	}
}

/* The state after c where a number cannot end yet; VALUE when c must not come. */
static enum state number_must(enum state state, char c)
{
	bool digit = is_digit(c);
	switch (state) {
	case MINUS:
		return c == '0' ? ZERO : digit ? INTEGER : VALUE;
	case POINT:
		return digit ? FRACTION : VALUE;
	case EXPONENT:
		if (c == '+' || c == '-')
			return EXPONENT_SIGN;
		/* fall through */
	default:
		return digit ? EXPONENT_DIGITS : VALUE;
	}
}

static enum fault_code in_number(struct json_scan *s, char c)
{
	enum state state = s->state;
	if (state == MINUS || state == POINT || state == EXPONENT || state == EXPONENT_SIGN) {
		state = number_must(state, c);
		s->state = (uint8_t)state;
		return state == VALUE ? FAULT_JSON : FAULT_COUNT;
	}
	state = number_next(state, c);
	s->state = (uint8_t)state;
	return state == AFTER ? structural(s, c) : FAULT_COUNT;
}

static enum fault_code in_literal(struct json_scan *s, char c)
{
	const char *text = literals[s->literal];
	if (c != text[s->progress])
		return FAULT_JSON;
	if (text[++s->progress] == '\0')
		s->state = AFTER;
	return FAULT_COUNT;
}

static enum fault_code scan_octet(struct json_scan *s, char c)
{
	if (s->state < STRING)
		return structural(s, c);
	if (s->state < LITERAL)
		return in_string(s, c);
	if (s->state == LITERAL)
		return in_literal(s, c);
	return in_number(s, c);
}

static bool is_plain(char c)
{
	return c != '"' && c != '\\' && (unsigned char)c >= 0x20;
}

/* How many octets from the front are plain characters of a string. */
static size_t characters(struct slice data)
{
	size_t n = 0;
	for (; data.len - n >= SIXTEEN; n += SIXTEEN) {
		unsigned found = sixteen_not_plain(data.data + n);
		if (found != 0)
			return n + (unsigned)__builtin_ctz(found);
	}
	while (n < data.len && is_plain(data.data[n]))
		n++;
	return n;
}

/* Whether an element of a level 2 array may begin or end here. */
static bool between_events(const struct json_scan *s)
{
	return s->depth == 2 && !in_object(s) && (s->state == AFTER || s->state == FIRST_ELEMENT);
}

/* How many octets from i on are gone over at once, in the state that the scanner is in. */
static size_t leap(struct json_scan *s, struct slice data, size_t i)
{
	struct slice rest = slice_of(data.data + i, data.len - i);
	if (s->state == STRING)
		return characters(rest);
	if (s->plain == NULL || !between_events(s))
		return 0;
	size_t octets = s->plain->run(s->plain, rest, i, s->state == FIRST_ELEMENT);
	if (octets > 0)
		s->state = AFTER;
	return octets;
}

/* The brackets around log events, which tell the array that they are in. */
static void tell_plain(struct json_scan *s, char c, size_t i)
{
	if (c == '[' && s->depth == 2 && s->state == FIRST_ELEMENT)
		plain_open(s->plain, i);
	else if (c == ']' && s->depth == 1 && s->state == AFTER)
		plain_close(s->plain, i);
}

enum step json_scan(struct json_scan *s, struct slice data, size_t *used, struct fault *fault)
{
	for (size_t i = 0; i < data.len; i++) {
		i += leap(s, data, i);
		if (i == data.len)
			break;
		enum fault_code code = scan_octet(s, data.data[i]);
		if (code != FAULT_COUNT) {
			fault_set(fault, code, 0, i);
			return STEP_BAD;
		}
		if (s->plain != NULL)
			tell_plain(s, data.data[i], i);
		if (s->depth == 0 && s->state == AFTER) {
			*used = i + 1;
			return STEP_OK;
		}
	}
	*used = data.len;
	if (s->plain != NULL)
		s->plain->seen += data.len;
	return STEP_MORE;
}

bool json_is_object(struct slice text, unsigned max_depth)
{
	struct json_scan s;
	struct fault fault;
	size_t used;
	json_scan_init(&s, max_depth);
	while (text.len > 0 && json_is_space(text.data[0]))
		slice_skip(&text, 1);
	if (text.len == 0 || text.data[0] != '{' || json_scan(&s, text, &used, &fault) != STEP_OK)
		return false;
	while (used < text.len && json_is_space(text.data[used]))
		used++;
	return used == text.len;
}

static const char *skip_spaces(const char *p, const char *end)
{
	while (p < end && json_is_space(*p))
		p++;
	return p;
}

/* Whether the octet at p, within a string that begins at first, is escaped by a backslash. */
static bool is_escaped(const char *first, const char *p)
{
	const char *run = p;
	while (run > first && run[-1] == '\\')
		run--;
	return (p - run) % 2 != 0;
}

static const char *skip_string(const char *p, const char *end)
{
	const char *first = ++p;
	while (p < end && (p = memchr(p, '"', (size_t)(end - p))) != NULL) {
		if (!is_escaped(first, p))
			return p + 1;
		p++;
	}
	return end;
}

/* Past one value of good text: brackets are counted, strings stepped over. */
static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;
	while (p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (depth > 0) {
			depth -= *p == '}' || *p == ']';
			p++;
		} else {
			while (p < end && *p != ',' && *p != '}' && *p != ']' && !json_is_space(*p))
				p++;
			return p;
		}
		if (depth == 0)
			return p;
	}
	return end;
}

struct json_walk json_walk(struct slice value)
{
	return (struct json_walk){ .at = value.data + 1, .end = value.data + value.len - 1 };
}

bool json_element(struct json_walk *w, struct slice *value)
{
	w->at = skip_spaces(w->at, w->end);
	if (w->at < w->end && *w->at == ',')
		w->at = skip_spaces(w->at + 1, w->end);
	if (w->at >= w->end)
		return false;
	const char *first = w->at;
	w->at = first == w->known ? w->known_end : skip_value(first, w->end);
	*value = slice_of(first, (size_t)(w->at - first));
	return true;
}

bool json_member(struct json_walk *w, struct slice *key, struct slice *value)
{
	if (!json_element(w, key))
		return false;
	w->at = skip_spaces(w->at, w->end);
	w->at++; /* the colon */
	return json_element(w, value);
}

bool json_is(struct slice written, const char *text)
{
	size_t len = strlen(text);
	return written.len == len + 2 && memcmp(written.data + 1, text, len) == 0;
}

/* The code unit of a \u escape at p; 0 for another escape, or where there is none. */
static unsigned unit_at(const char *p, const char *end)
{
	unsigned unit = 0;
	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return 0;
	for (unsigned i = 2; i < 6; i++) {
		unsigned c = (unsigned char)p[i];
		unit = unit << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return unit;
}

static bool is_low_surrogate(unsigned unit)
{
	return unit >> 10 == 0xdc00 >> 10;
}

/*
 * Whether the escapes in a string as written, which are well-formed, are those of a text: not NUL,
 * which would end a C string early, and surrogates in pairs.
 */
static bool is_text(struct slice written)
{
	const char *end = written.data + written.len;
	const char *p = written.data;
	while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		unsigned unit = unit_at(p, end);
		bool pair = unit >> 10 == 0xd800 >> 10 && is_low_surrogate(unit_at(p + 6, end));
		if (p[1] == 'u' && (unit == 0 || (unit >> 11 == 0xd800 >> 11 && !pair)))
			return false;
		p += pair ? 12 : 2;
	}
	return true;
}

static bool unescape(struct slice written, struct buf *scratch, struct slice *text,
		     struct fault *fault)
{
	if (!is_text(written))
		return fault_set(fault, FAULT_TEXT, 0, 0);
	/* Of what is valid only memory can be missing. */
	cJSON *string = cJSON_ParseWithLengthOpts(written.data, written.len, NULL, 0);
	if (string == NULL)
		return fault_set(fault, FAULT_MEMORY, 0, 0);
	size_t len = strlen(string->valuestring);
	size_t first = scratch->len;
	bool fits = len <= scratch->max - scratch->len;
	bool ok = fits && buf_add(scratch, string->valuestring, len);
	cJSON_Delete(string);
	if (!ok)
		return fault_set(fault, fits ? FAULT_MEMORY : FAULT_TEXT, 0, 0);
	*text = slice_of(scratch->data + first, len);
	return true;
}

bool json_text(struct slice value, struct buf *scratch, struct slice *text, struct fault *fault)
{
	if (value.len == 0 || value.data[0] == '{' || value.data[0] == '[')
		return fault_set(fault, FAULT_TEXT, 0, 0);
	*text = value.data[0] == 'n' ? SLICE_NONE : value;
	if (!json_is_string(value))
		return true;
	if (memchr(value.data, '\\', value.len) != NULL)
		return unescape(value, scratch, text, fault);
	*text = slice_of(value.data + 1, value.len - 2);
	return true;
}
