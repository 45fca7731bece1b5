/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matches log events written as CloudWatch writes them, octet by octet the same but for the values.
 * An event that is not whole in what is there, or that differs in anything, is none. What is kept of
 * one is less than half of its text, and of a document not more than an amount: events beyond that are
 * read as any other.
 */
#include "decode/plain.h"

#include "base/sixteen.h"

static const char begins[] = "{\"id\":\"";
static const char id_ends[] = "\",\"timestamp\":";
static const char time_ends[] = ",\"message\":\"";
static const char message_ends[] = "\"}";

void plain_init(struct plain *p)
{
	*p = (struct plain){ .seen = 0 };
	buf_init(&p->found, PLAIN_MOST);
}

void plain_deinit(struct plain *p)
{
	buf_deinit(&p->found);
	plain_init(p);
}

void plain_open(struct plain *p, size_t offset)
{
	if (p->found.len == 0)
		p->array = p->seen + offset;
}

void plain_close(struct plain *p, size_t offset)
{
	if (p->found.len > 0 && p->end == 0)
		p->end = p->seen + offset + 1;
}

/* Past the text, which is `size` with its NUL, if it stands at p; NULL otherwise. */
#define AFTER(text) after(p, end, text, sizeof(text) - 1)

static inline const char *after(const char *p, const char *end, const char *text, size_t len)
{
	if (p == NULL || (size_t)(end - p) < len || memcmp(p, text, len) != 0)
		return NULL;
	return p + len;
}

/* The first octet that is no plain character of a string; NULL when it is not here. */
static inline const char *string_end(const char *p, const char *end)
{
	if (p == NULL)
		return NULL;
	for (; end - p >= SIXTEEN; p += SIXTEEN) {
		unsigned found = sixteen_not_plain(p);
		if (found != 0)
			return p + __builtin_ctz(found);
	}
	return NULL;
}

/* Behind a number as JSON has them, without sign or fraction. */
static inline const char *number_end(const char *p, const char *end)
{
	if (p == NULL || end - p < SIXTEEN)
		return NULL;
	unsigned found = sixteen_not_digit(p);
	unsigned digits = found == 0 ? 0 : (unsigned)__builtin_ctz(found);
	return digits == 0 || (digits > 1 && *p == '0') ? NULL : p + digits;
}

/* Behind the event that begins at first, which is kept; NULL when there is none. */
static const char *event_end(struct plain *plain, const char *data, const char *first,
			     const char *end, size_t offset)
{
	const char *p = first;
	p = AFTER(begins);
	p = string_end(p, end);
	p = AFTER(id_ends);
	p = number_end(p, end);
	p = AFTER(time_ends);
	const char *message = p;
	p = string_end(p, end);
	const char *past = p;
	p = AFTER(message_ends);
	if (p == NULL || message - first > UINT16_MAX || past - message > UINT16_MAX)
		return NULL;
	const struct plain_event event = {
		.at = (uint32_t)(plain->seen + offset + (size_t)(message - data)),
		.before = (uint16_t)(message - first),
		.len = (uint16_t)(past - message),
	};
	return buf_add(&plain->found, &event, sizeof(event)) ? p : NULL;
}

size_t plain_run(struct plain *p, struct slice data, size_t offset, bool first)
{
	const char *at = data.data;
	const char *end = data.data + data.len;
	if (p->end != 0 || p->seen + offset + data.len > UINT32_MAX)
		return 0;
	while (at < end && (first || *at == ',')) {
		const char *next = event_end(p, data.data, at + !first, end, offset);
		if (next == NULL)
			break;
		at = next;
		first = false;
	}
	return (size_t)(at - data.data);
}
