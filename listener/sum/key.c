/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values to a key and back. What comes is any flow that was converted, of any format; what goes out is
 * short, needs no memory of its own, and is the same wherever the flow came from.
 */
#include "sum/key.h"

#include <arpa/inet.h>
#include <endian.h>

static unsigned width_of(enum field_kind kind)
{
	static const uint8_t width[] = {
		[FIELD_U8] = 1, [FIELD_U16] = 2, [FIELD_U32] = 4, [FIELD_U64] = 8, [FIELD_TIME] = 8,
	};
	return width[kind];
}

static unsigned address_octets(unsigned version)
{
	return version == 4 ? 4 : 16;
}

/* ---- to a key -------------------------------------------------------------------------------- */

static char *put_text(const struct value *v, char *to)
{
	memcpy(to, v->text.data, v->text.len);
	to[v->text.len] = '\0';
	return to + v->text.len + 1;
}

static char *put_address(const struct value *v, char *to)
{
	unsigned octets = address_octets(v->address.version);
	*to++ = (char)v->address.version;
	memcpy(to, v->address.octets, octets);
	return to + octets;
}

static char *put_number(const struct value *v, unsigned width, char *to)
{
	uint64_t wire = htobe64(v->number);
	*to++ = 1;
	memcpy(to, (const char *)&wire + sizeof(wire) - width, width);
	return to + width;
}

struct slice key_of(const struct flow *flow, const struct format *format, unsigned keys, char *room)
{
	char *to = room;
	for (unsigned i = 0; i < keys; i++) {
		const struct value *v = flow_value(flow, format->column[i].field);
		enum field_kind kind = format->kind[i];
		if (v == NULL)
			*to++ = '\0';
		else if (kind == FIELD_TEXT)
			to = put_text(v, to);
		else if (kind == FIELD_ADDRESS)
			to = put_address(v, to);
		else
			to = put_number(v, width_of(kind), to);
	}
	return slice_of(room, (size_t)(to - room));
}

/* ---- and back -------------------------------------------------------------------------------- */

void key_show_number(uint64_t number, struct value *v, struct buf *texts)
{
	size_t before = texts->len;
	buf_put_number(texts, number);
	v->text = slice_of(texts->data + before, texts->len - before);
	v->number = number;
}

static void show_address(const char *octets, unsigned version, struct value *v, struct buf *texts)
{
	char *text = texts->data + texts->len;
	v->address = (struct address){ .version = (uint8_t)version };
	memcpy(v->address.octets, octets, address_octets(version));
	/* There is room for the longest. */
	(void)!inet_ntop(version == 4 ? AF_INET : AF_INET6, octets, text, ADDRESS_TEXT);
	v->text = slice_text(text);
	texts->len += v->text.len;
}

/* Sets the value of a column that is there; returns its octets behind the first. */
static size_t show(const char *from, enum field_kind kind, struct value *v, struct buf *texts)
{
	uint64_t wire = 0;
	unsigned version = (unsigned char)*from;
	if (kind == FIELD_TEXT) {
		v->text = slice_text(from);
		return v->text.len;
	}
	if (kind == FIELD_ADDRESS) {
		show_address(from + 1, version, v, texts);
		return address_octets(version);
	}
	unsigned width = width_of(kind);
	memcpy((char *)&wire + sizeof(wire) - width, from + 1, width);
	key_show_number(be64toh(wire), v, texts);
	return width;
}

void key_show(struct slice key, unsigned keys, struct flow *flow, struct buf *texts)
{
	const char *from = key.data;
	texts->len = 0;
	for (unsigned i = 0; i < keys; i++) {
		struct value *v = &flow->value[i];
		v->text = SLICE_NONE;
		if (*from != '\0')
			from += show(from, flow->format->kind[i], v, texts);
		from++;
	}
}
