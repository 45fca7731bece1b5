/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines, parsed strictly and without state. Knows nothing of sockets. */
#include "receive/frame.h"

static const struct slice words[] = {
	[FRAME_PUT] = { "PUT ", 4 },
	[FRAME_AUTH] = { "AUTH ", 5 },
};

static bool begins_with(struct slice s, struct slice word)
{
	size_t n = s.len < word.len ? s.len : word.len;
	return n == 0 || memcmp(s.data, word.data, n) == 0;
}

enum frame_sniff frame_sniff(struct slice first)
{
	enum frame_sniff sniff = SNIFF_UNFRAMED;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!begins_with(first, words[i]))
			continue;
		if (first.len >= words[i].len)
			return SNIFF_FRAMED;
		sniff = SNIFF_MORE;
	}
	return sniff;
}

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The id at the front of the line, which a space must follow. */
static bool take_id(struct slice *line, char id[FRAME_ID + 1])
{
	size_t n = 0;
	while (n < line->len && line->data[n] != ' ') {
		char c = line->data[n];
		bool later = c == '.' || c == '_' || c == '-';
		if (n == FRAME_ID || !(is_alphanumeric(c) || (n > 0 && later)))
			return false;
		id[n++] = c;
	}
	id[n] = '\0';
	if (n == 0 || n == line->len)
		return false;
	slice_skip(line, n + 1);
	return true;
}

static bool take_length(struct slice line, uint64_t *length)
{
	*length = 0;
	/* 18 digits never overflow, and no limit is near that. */
	if (line.len == 0 || line.len > 18)
		return false;
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] < '0' || line.data[i] > '9')
			return false;
		*length = *length * 10 + (uint64_t)(line.data[i] - '0');
	}
	return true;
}

static enum step parse_put(struct slice line, struct frame *frame, const char **why)
{
	frame->kind = FRAME_PUT;
	*why = "bad id";
	if (!take_id(&line, frame->id))
		return STEP_BAD;
	*why = "bad length";
	return take_length(line, &frame->length) ? STEP_OK : STEP_BAD;
}

enum step frame_next(struct slice *in, struct frame *frame, const char **why)
{
	size_t room = in->len < FRAME_LINE ? in->len : FRAME_LINE;
	const char *end = room == 0 ? NULL : memchr(in->data, '\n', room);
	*why = "line too long";
	if (end == NULL)
		return in->len >= FRAME_LINE ? STEP_BAD : STEP_MORE;
	struct slice line = slice_of(in->data, (size_t)(end - in->data));
	slice_skip(in, line.len + 1);
	*why = "unknown command";
	if (line.len >= words[FRAME_PUT].len && begins_with(line, words[FRAME_PUT])) {
		slice_skip(&line, words[FRAME_PUT].len);
		return parse_put(line, frame, why);
	}
	if (line.len >= words[FRAME_AUTH].len && begins_with(line, words[FRAME_AUTH])) {
		slice_skip(&line, words[FRAME_AUTH].len);
		frame->kind = FRAME_AUTH;
		frame->token = line;
		return STEP_OK;
	}
	return STEP_BAD;
}
