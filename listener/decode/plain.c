/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matches log events written as CloudWatch writes them, octet by octet the same but for the values.
 * An event that is not whole in what is there, or that differs in anything, is none. What is kept of
 * one is less than half of its text, and of a document not more than an amount: events beyond that are
 * read as any other.
 */
#include "decode/plain.h"

#include <stddef.h>

#include "base/sixteen.h"

enum {
	BLOCK = 64,
	ANYTHING = 0xff,
};

static const char begins[] = "{\"id\":\"";
static const char id_ends[] = "\",\"timestamp\":";
static const char time_ends[] = ",\"message\":\"";
static const char message_ends[] = "\"}";

void plain_init(struct plain *p)
{
	buf_init(&p->found, PLAIN_MOST);
	p->seen = 0;
	p->array = 0;
	p->end = 0;
	p->head.len = 0;
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
	for (; end - p >= BLOCK; p += BLOCK) {
		uint64_t found = 0;
		for (unsigned i = 0; i < BLOCK; i += SIXTEEN)
			found |= (uint64_t)sixteen_not_plain(p + i) << i;
		if (found != 0)
			return p + __builtin_ctzll(found);
	}
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

/* ---- up to the message ----------------------------------------------------------------------- */

/* An event's head is as it was read: others may be like it, but for the digits of id and time. */
static void learn_head(struct plain_head *h, const char *first, size_t time, size_t len)
{
	size_t id_end = time - (sizeof(id_ends) - 1);
	h->len = 0;
	if (len > PLAIN_HEAD)
		return;
	memset(h->like, '0', sizeof(h->like));
	memset(h->vary, ANYTHING, sizeof(h->vary));
	for (size_t i = 0; i < len; i++) {
		bool digit = first[i] >= '0' && first[i] <= '9';
		h->like[i] = digit ? '0' : first[i];
		h->vary[i] = digit ? 9 : 0;
		/* An id is what it likes to be; only those of digits are alike. */
		if (i >= sizeof(begins) - 1 && i < id_end && !digit)
			return;
	}
	h->time = time;
	h->len = len;
}

/* Octet by octet. */
static const char *read_head(struct plain_head *h, const char *first, const char *end)
{
	const char *p = first;
	p = AFTER(begins);
	p = string_end(p, end);
	p = AFTER(id_ends);
	const char *time = p;
	p = number_end(p, end);
	p = AFTER(time_ends);
	if (p != NULL)
		learn_head(h, first, (size_t)(time - first), (size_t)(p - first));
	return p;
}

/* Where the message of the event that begins at first begins; NULL when there is none. */
static inline const char *head_end(struct plain_head *h, const char *first, const char *end)
{
	if (h->len == 0 || end - first < PLAIN_HEAD ||
	    sixteens_unlike(first, h->like, h->vary, (h->len + SIXTEEN - 1) & -(size_t)SIXTEEN))
		return read_head(h, first, end);
	/* A number of several digits does not begin with 0. */
	const char *time = first + h->time;
	if (time[0] == '0' && time[1] != ',')
		return NULL;
	return first + h->len;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Behind the event that begins at first, which is kept; NULL when there is none. */
static inline const char *event_end(struct plain *plain, const char *data, const char *first,
				    const char *end, size_t offset)
{
	const char *message = head_end(&plain->head, first, end);
	const char *past = string_end(message, end);
	if (past == NULL || end - past < (ptrdiff_t)sizeof(message_ends) - 1 ||
	    memcmp(past, message_ends, sizeof(message_ends) - 1) != 0)
		return NULL;
	if (message - first > UINT16_MAX || past - message > UINT16_MAX)
		return NULL;
	const struct plain_event event = {
		.at = (uint32_t)(plain->seen + offset + (size_t)(message - data)),
		.before = (uint16_t)(message - first),
		.len = (uint16_t)(past - message),
	};
	struct buf *found = &plain->found;
	if (found->cap - found->len < sizeof(event) && !buf_reserve(found, sizeof(event)))
		return NULL;
	memcpy(found->data + found->len, &event, sizeof(event));
	found->len += sizeof(event);
	return past + sizeof(message_ends) - 1;
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
