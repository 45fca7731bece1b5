/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that the engines that undo gzip cannot be told apart: the same octets of what is good, for
 * headers with every combination of optional fields, for every read size and every size of room; and
 * of what is cut or changed in any octet, the same verdict.
 */
#include "support.h"

#include "decode/inflater.h"

enum { ROOM = 1 << 20, HEADER_CRC = 2, EXTRA = 4, NAME = 8, COMMENT = 16 };

static const struct inflater_class *const engines[] = {
	&inflater_zlib,
#ifdef VPCFLOWD_ISAL
	&inflater_isal,
#endif
};

/* All members of gz in pieces of `size`, given out into `room` octets at a time. */
static enum inflated inflate_by(const struct inflater_class *engine, struct slice gz, size_t size,
				size_t room, struct buf *out)
{
	struct inflater *i = engine->new ();
	enum inflated said = INFLATED_MORE;
	assert_non_null(i);
	out->len = 0;
	while (gz.len > 0 && said != INFLATED_BAD) {
		size_t n = size < gz.len ? size : gz.len;
		char *piece = malloc(n);
		char *to = malloc(room);
		assert_true(piece != NULL && to != NULL);
		memcpy(piece, gz.data, n);
		struct slice in = slice_of(piece, n);
		size_t got;
		do {
			if (said == INFLATED_ENDED)
				engine->again(i);
			got = room;
			said = engine->run(i, &in, to, &got);
			assert_true(got <= room && buf_add(out, to, got));
		} while (said != INFLATED_BAD && (in.len > 0 || got > 0) &&
			 (said != INFLATED_ENDED || in.len > 0));
		free(piece);
		free(to);
		slice_skip(&gz, n);
	}
	engine->free(i);
	return said;
}

static void add_octets(struct buf *to, const void *octets, size_t n)
{
	assert_true(buf_add(to, octets, n));
}

/* A member with the optional fields of its header that the flags say (RFC 1952 section 2.3). */
static void add_member(struct buf *gz, unsigned flags, struct slice text)
{
	const unsigned char fixed[] = { 0x1f, 0x8b, 8, (unsigned char)flags, 1, 2, 3, 4, 0, 3 };
	size_t first = gz->len;
	add_octets(gz, fixed, sizeof(fixed));
	if (flags & EXTRA)
		add_octets(gz,
			   "\x05\x00"
			   "extra",
			   7);
	if (flags & NAME)
		add_octets(gz, "a name", 7);
	if (flags & COMMENT)
		add_octets(gz, "", 1);
	if (flags & HEADER_CRC) {
		uLong crc = crc32(0, (const Bytef *)gz->data + first, (uInt)(gz->len - first));
		const unsigned char octets[] = { crc & 0xff, crc >> 8 & 0xff };
		add_octets(gz, octets, sizeof(octets));
	}
	/* Its body and trailer are those of another without options. */
	struct buf plain;
	buf_init(&plain, ROOM);
	add_gzip(&plain, text);
	add_octets(gz, plain.data + 10, plain.len - 10);
	buf_deinit(&plain);
}

static void add_random_lines(struct buf *text, unsigned lines, uint64_t seed)
{
	struct dice dice = { seed };
	for (unsigned i = 0; i < lines; i++) {
		char line[64];
		(void)snprintf(line, sizeof(line), "2 123456789010 eni-1235b8ca %zu %zu OK\n",
			       dice_below(&dice, 65536), dice_below(&dice, 1000000));
		add_text(text, line);
	}
}

static void test_headers(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 2, 3, 10, 11, 64, ROOM };
	struct buf text;
	struct buf gz;
	struct buf all;
	struct buf out;
	buf_init(&text, ROOM);
	buf_init(&gz, ROOM);
	buf_init(&all, ROOM);
	buf_init(&out, ROOM);
	add_random_lines(&text, 4, 1);
	for (unsigned flags = 0; flags < 32; flags++) {
		add_member(&gz, flags, buf_slice(&text));
		add_octets(&all, text.data, text.len);
	}
	for (size_t e = 0; e < COUNT_OF(engines); e++)
		for (size_t i = 0; i < COUNT_OF(sizes); i++)
			for (size_t k = 0; k < COUNT_OF(sizes); k++) {
				enum inflated said = inflate_by(engines[e], buf_slice(&gz),
								sizes[i], sizes[k], &out);
				assert_int_equal(said, INFLATED_ENDED);
				assert_true(slice_equal(buf_slice(&out), buf_slice(&all)));
			}
	buf_deinit(&text);
	buf_deinit(&gz);
	buf_deinit(&all);
	buf_deinit(&out);
}

/* Reserved flags, another method, and a wrong checksum of the header itself. */
static void test_bad_headers(void **state)
{
	(void)state;
	struct buf gz;
	struct buf out;
	buf_init(&gz, ROOM);
	buf_init(&out, ROOM);
	add_member(&gz, HEADER_CRC | EXTRA | NAME, SLICE_LITERAL("text"));
	for (size_t at = 0; at < 26; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			gz.data[at] = (char)(gz.data[at] ^ 1 << bit);
			for (size_t e = 0; e < COUNT_OF(engines); e++) {
				enum inflated said = inflate_by(engines[e], buf_slice(&gz), 1, 100,
								&out);
				assert_int_not_equal(said, INFLATED_ENDED);
				assert_int_equal(said, inflate_by(engines[0], buf_slice(&gz), ROOM,
								  100, &out));
			}
			gz.data[at] = (char)(gz.data[at] ^ 1 << bit);
		}
	}
	buf_deinit(&gz);
	buf_deinit(&out);
}

static void check_same(struct slice gz)
{
	struct buf first;
	struct buf other;
	buf_init(&first, ROOM);
	buf_init(&other, ROOM);
	enum inflated said = inflate_by(engines[0], gz, ROOM, 1000, &first);
	for (size_t e = 0; e < COUNT_OF(engines); e++) {
		assert_int_equal(said, inflate_by(engines[e], gz, 33, 777, &other));
		if (said == INFLATED_ENDED)
			assert_true(slice_equal(buf_slice(&first), buf_slice(&other)));
	}
	buf_deinit(&first);
	buf_deinit(&other);
}

/* Cut after every octet, and every octet changed: the same verdict. */
static void test_damage(void **state)
{
	(void)state;
	struct buf text;
	struct buf gz;
	buf_init(&text, ROOM);
	buf_init(&gz, ROOM);
	add_random_lines(&text, 60, 2);
	add_gzip(&gz, buf_slice(&text));
	for (size_t at = 0; at < gz.len; at++) {
		check_same(slice_of(gz.data, at));
		for (unsigned bit = 0; bit < 8; bit++) {
			gz.data[at] = (char)(gz.data[at] ^ 1 << bit);
			check_same(buf_slice(&gz));
			gz.data[at] = (char)(gz.data[at] ^ 1 << bit);
		}
	}
	buf_deinit(&text);
	buf_deinit(&gz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
