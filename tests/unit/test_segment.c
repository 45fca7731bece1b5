/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that what was written to segments is read back as it was, in order and from any place;
 * that whatever is cut off or changed costs the frames it touches and no other, and is told.
 */
#include "folder.h"

#include <errno.h>

#include "spool/segment.h"

enum { LONGEST = 1 << 20 };

static char folder[TEMP_PATH];
static int dir;

static int set_up(void **state)
{
	(void)state;
	temp_folder(folder);
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	assert_true(dir >= 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(dir);
	remove_folder(folder);
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { FRAMES_MOST = 64 };

/* A file in the making, and where its frames are. */
struct made {
	struct buf octets;
	struct {
		size_t at, end;
		struct digest digest;
	} frame[FRAMES_MOST];
	size_t frames;
};

static void made_init(struct made *m)
{
	*m = (struct made){ .frames = 0 };
	buf_init(&m->octets, SIZE_MAX / 2);
}

static void add_frame(struct made *m, struct slice payload)
{
	char line[SEGMENT_HEADER];
	struct digest digest;
	assert_true(digest_of(payload, &digest));
	assert_true(m->frames < FRAMES_MOST);
	m->frame[m->frames].at = m->octets.len;
	m->frame[m->frames].digest = digest;
	size_t n = segment_header(&digest, payload.len, line);
	assert_true(buf_add(&m->octets, line, n));
	assert_true(buf_add(&m->octets, payload.data, payload.len));
	m->frame[m->frames++].end = m->octets.len;
}

static void add_text_frame(struct made *m, const char *text)
{
	add_frame(m, slice_text(text));
}

static void save(uint64_t number, struct slice octets)
{
	char name[SEGMENT_NAME];
	segment_name(number, ".put", name);
	write_file(folder, name, octets);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What a reading found. */
struct reading {
	struct place at[FRAMES_MOST];
	size_t frames;
	size_t damages;
	size_t torn;
	uint64_t damaged; /* octets */
};

static void note_frame(struct reading *r, struct spooled *p, struct place before)
{
	struct digest digest;
	assert_true(digest_of(slice_of(p->data, p->len), &digest));
	assert_true(digest_equal(&digest, &p->digest));
	assert_true(place_compare(p->at, before) >= 0);
	assert_true(place_compare(p->at, p->end) < 0);
	assert_true(r->frames < FRAMES_MOST);
	r->at[r->frames++] = p->at;
	spooled_deinit(p);
}

static void read_places(struct place from, struct place until, struct reading *r)
{
	struct segment_reader reader;
	*r = (struct reading){ .frames = 0 };
	segment_reader_init(&reader, dir, from, LONGEST);
	for (;;) {
		struct spooled p;
		struct place before = reader.at;
		enum step step = segment_next(&reader, until, &p);
		assert_int_not_equal(step, STEP_BAD);
		r->damages += reader.damage.octets > 0;
		r->torn += reader.damage.octets > 0 && reader.damage.torn;
		r->damaged += reader.damage.octets;
		assert_true(place_compare(reader.at, before) >= 0);
		assert_true(step == STEP_OK || p.data == NULL);
		if (step == STEP_OK)
			note_frame(r, &p, before);
		else if (reader.damage.octets == 0)
			break;
	}
	segment_reader_deinit(&reader);
}

/* Segment 1, all of it. */
static void read_first(struct slice octets, struct reading *r)
{
	save(1, octets);
	read_places((struct place){ 1, 0 }, (struct place){ 2, 0 }, r);
}

static bool found_at(const struct reading *r, size_t offset)
{
	for (size_t i = 0; i < r->frames; i++)
		if (r->at[i].segment == 1 && r->at[i].offset == offset)
			return true;
	return false;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint64_t number;
	} rows[] = {
		{ "0000000000000001.put", 1 },
		{ "00000000000000ff.put", 255 },
		{ "7fffffffffffffff.put", INT64_MAX },
		{ "0000000000000000.put", 0 },
		{ "0000000000000001.kept", 0 },
		{ "0000000000000001.pu", 0 },
		{ "0000000000000001.putx", 0 },
		{ "0000000000000001", 0 },
		{ "000000000000001.put", 0 },
		{ "00000000000000001.put", 0 },
		{ "00000000000000FF.put", 0 },
		{ "00000000000000g1.put", 0 },
		{ "-000000000000001.put", 0 },
		{ "position", 0 },
		{ "lock", 0 },
		{ "..", 0 },
		{ "", 0 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (segment_number(rows[i].name, ".put") != rows[i].number)
			fail_msg("%s", rows[i].name);
	char name[SEGMENT_NAME];
	segment_name(0xabc, ".put", name);
	assert_string_equal(name, "0000000000000abc.put");
	assert_int_equal(segment_number(name, ".put"), 0xabc);
	segment_name(1, ".kept", name);
	assert_string_equal(name, "0000000000000001.kept");
	assert_int_equal(segment_number(name, ".kept"), 1);
}

static void test_header(void **state)
{
	(void)state;
	char line[SEGMENT_HEADER];
	struct digest d;
	assert_true(digest_of(SLICE_LITERAL("abc"), &d));
	size_t n = segment_header(&d, 3, line);
	assert_string_equal(
		line, "PUT ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3\n");
	assert_int_equal(n, strlen(line));
	n = segment_header(&d, UINT64_MAX, line);
	assert_int_equal(n, strlen(line));
	assert_true(n < SEGMENT_HEADER);
}

/* ---- whole files ----------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
	(void)state;
	struct made m;
	struct reading r;
	struct dice dice = { 3 };
	made_init(&m);
	for (int i = 0; i < 40; i++) {
		char octets[5000];
		size_t len = dice_below(&dice, sizeof(octets)) + 1;
		for (size_t k = 0; k < len; k++)
			octets[k] = (char)dice_below(&dice, 256);
		add_frame(&m, slice_of(octets, len));
	}
	read_first(buf_slice(&m.octets), &r);
	assert_int_equal(r.frames, m.frames);
	assert_int_equal(r.damages, 0);
	for (size_t i = 0; i < m.frames; i++)
		assert_int_equal(r.at[i].offset, m.frame[i].at);
	/* From each frame on, and up to each. */
	for (size_t i = 0; i < m.frames; i++) {
		struct place at = { 1, m.frame[i].at };
		read_places(at, (struct place){ 9, 0 }, &r);
		assert_int_equal(r.frames, m.frames - i);
		read_places((struct place){ 1, 0 }, at, &r);
		assert_int_equal(r.frames, i);
		assert_int_equal(r.damages, 0);
		read_places(at, at, &r);
		assert_int_equal(r.frames, 0);
	}
	buf_deinit(&m.octets);
}

static void test_segments(void **state)
{
	(void)state;
	struct reading r;
	for (uint64_t n = 1; n <= 9; n++) {
		struct made m;
		char text[32];
		made_init(&m);
		for (int i = 0; i < 3; i++) {
			(void)snprintf(text, sizeof(text), "%d of %d", i, (int)n);
			add_text_frame(&m, text);
		}
		/* 4 is not there, 5 is empty, 7 ends early. */
		if (n == 7)
			m.octets.len -= 3;
		if (n != 4)
			save(n, n == 5 ? SLICE_NONE : buf_slice(&m.octets));
		buf_deinit(&m.octets);
	}
	read_places((struct place){ 1, 0 }, (struct place){ 10, 0 }, &r);
	assert_int_equal(r.frames, 3 * 7 - 1);
	assert_int_equal(r.damages, 1);
	assert_int_equal(r.torn, 1);
	for (size_t i = 1; i < r.frames; i++)
		assert_true(place_compare(r.at[i - 1], r.at[i]) < 0);
	read_places((struct place){ 3, 1000 }, (struct place){ 8, 0 }, &r);
	assert_int_equal(r.frames, 3 + 2);
	read_places((struct place){ 20, 0 }, (struct place){ 22, 0 }, &r);
	assert_int_equal(r.frames, 0);
}

/* A reader that stands at the end finds what is appended later. */
static void test_growing(void **state)
{
	(void)state;
	struct made m;
	struct segment_reader reader;
	struct spooled p;
	made_init(&m);
	segment_reader_init(&reader, dir, (struct place){ 1, 0 }, LONGEST);
	for (int i = 0; i < 20; i++) {
		add_text_frame(&m, "the same again");
		save(1, buf_slice(&m.octets));
		struct place until = { 1, m.octets.len };
		assert_int_equal(segment_next(&reader, until, &p), STEP_OK);
		assert_int_equal(p.len, strlen("the same again"));
		spooled_deinit(&p);
		assert_int_equal(segment_next(&reader, until, &p), STEP_MORE);
		assert_int_equal(reader.damage.octets, 0);
	}
	segment_reader_deinit(&reader);
	buf_deinit(&m.octets);
}

static void test_unreadable(void **state)
{
	(void)state;
	struct segment_reader reader;
	struct spooled p;
	assert_int_equal(mkdirat(dir, "0000000000000001.put", 0700), 0);
	segment_reader_init(&reader, dir, (struct place){ 1, 0 }, LONGEST);
	assert_int_equal(segment_next(&reader, (struct place){ 2, 0 }, &p), STEP_BAD);
	assert_int_equal(reader.error, -EISDIR);
	assert_int_equal(reader.at.segment, 1);
	segment_reader_deinit(&reader);
	assert_int_equal(unlinkat(dir, "0000000000000001.put", AT_REMOVEDIR), 0);
}

/* ---- torn ------------------------------------------------------------------------------------ */

/* The last two frames, cut at every octet. */
static void test_torn(void **state)
{
	(void)state;
	struct made m;
	struct reading r;
	made_init(&m);
	add_text_frame(&m, "first");
	add_text_frame(&m, "2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 1 1 2 ACCEPT OK\n");
	add_text_frame(&m, "x");
	add_text_frame(&m, "PUT this is no command\nPUT a 1\nand this is the last");
	for (size_t cut = m.frame[1].end; cut <= m.octets.len; cut++) {
		read_first(slice_of(m.octets.data, cut), &r);
		size_t whole = 0;
		while (whole < m.frames && m.frame[whole].end <= cut)
			whole++;
		size_t end = m.frame[whole - 1].end;
		if (r.frames != whole || r.damaged != cut - end || r.torn != (cut > end))
			fail_msg("cut at %zu: %zu of %zu frames, %llu octets, %zu torn", cut,
				 r.frames, whole, (unsigned long long)r.damaged, r.torn);
	}
	buf_deinit(&m.octets);
}

/* As a file system may leave a file after the power failed: longer than what was written. */
static void test_zeros(void **state)
{
	(void)state;
	static const char zeros[10000];
	struct made m;
	struct reading r;
	made_init(&m);
	add_text_frame(&m, "first");
	add_text_frame(&m, "second");
	assert_true(buf_add(&m.octets, zeros, sizeof(zeros)));
	read_first(buf_slice(&m.octets), &r);
	assert_int_equal(r.frames, 2);
	assert_int_equal(r.damages, 1);
	assert_int_equal(r.damaged, sizeof(zeros));
	/* Zeros within, up to the end and with more behind. */
	memset(m.octets.data + m.frame[1].end - 3, 0, 3);
	read_first(buf_slice(&m.octets), &r);
	assert_int_equal(r.frames, 1);
	assert_int_equal(r.damages, 1);
	add_text_frame(&m, "third");
	read_first(buf_slice(&m.octets), &r);
	assert_int_equal(r.frames, 2);
	assert_int_equal(r.damages, 1);
	assert_true(found_at(&r, m.frame[2].at));
	buf_deinit(&m.octets);
}

/* ---- changed --------------------------------------------------------------------------------- */

static void make_varied(struct made *m, struct dice *dice)
{
	static const char *const texts[] = {
		"PUT PUT PUT ",
		"PUT a 5\n",
		"PUT ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 30\nno",
		"\n\n\n",
		"2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 1 1 2 ACCEPT OK\n",
		"",
	};
	made_init(m);
	for (int i = 0; i < 12; i++) {
		char octets[400];
		const char *text = texts[dice_below(dice, COUNT_OF(texts))];
		size_t len = strlen(text);
		memcpy(octets, text, len);
		for (size_t more = dice_below(dice, 300); more > 0 || len == 0; more--)
			octets[len++] = (char)dice_below(dice, 256);
		add_frame(m, slice_of(octets, len));
	}
}

static void test_bit_flips(void **state)
{
	(void)state;
	struct made m;
	struct dice dice = { 11 };
	make_varied(&m, &dice);
	for (int n = 0; n < 10000; n++) {
		struct reading r;
		struct buf changed;
		size_t bits[4];
		size_t flips = 1 + dice_below(&dice, COUNT_OF(bits));
		buf_init(&changed, SIZE_MAX / 2);
		assert_true(buf_add(&changed, m.octets.data, m.octets.len));
		for (size_t i = 0; i < flips; i++) {
			bits[i] = dice_below(&dice, 8 * m.octets.len);
			changed.data[bits[i] / 8] ^= (char)(1 << bits[i] % 8);
		}
		read_first(buf_slice(&changed), &r);
		for (size_t f = 0; f < m.frames; f++) {
			size_t at = m.frame[f].at;
			size_t len = m.frame[f].end - at;
			bool same = memcmp(changed.data + at, m.octets.data + at, len) == 0;
			if (found_at(&r, at) != same)
				fail_msg("run %d: frame %zu is %s", n, f,
					 same ? "not found" : "damaged");
		}
		bool same = memcmp(changed.data, m.octets.data, m.octets.len) == 0;
		assert_int_equal(r.damages == 0, same);
		buf_deinit(&changed);
	}
	buf_deinit(&m.octets);
}

/* What is in a payload is a payload's, whatever it looks like. */
static void test_frames_in_frames(void **state)
{
	(void)state;
	struct made inner;
	struct made outer;
	struct reading r;
	made_init(&inner);
	add_text_frame(&inner, "a");
	add_text_frame(&inner, "bc");
	made_init(&outer);
	add_frame(&outer, buf_slice(&inner.octets));
	add_text_frame(&outer, "last");
	read_first(buf_slice(&outer.octets), &r);
	assert_int_equal(r.frames, 2);
	assert_int_equal(r.damages, 0);
	/* Damage to the outer one costs that, and not what comes behind. */
	outer.octets.data[10] ^= 1;
	read_first(buf_slice(&outer.octets), &r);
	assert_true(r.damages > 0);
	assert_true(found_at(&r, outer.frame[1].at));
	buf_deinit(&inner.octets);
	buf_deinit(&outer.octets);
}

/* A damaged payload that is full of words that begin a frame does not hide what comes behind. */
static void test_many_claims(void **state)
{
	(void)state;
	struct made m;
	struct buf text;
	struct reading r;
	made_init(&m);
	buf_init(&text, SIZE_MAX / 2);
	for (int i = 0; i < 20000; i++)
		add_text(&text, i % 100 == 0 ? "PUT a 5\n" : "PUT ");
	add_frame(&m, buf_slice(&text));
	add_text_frame(&m, "behind");
	m.octets.data[m.frame[0].end - 1] ^= 1;
	read_first(buf_slice(&m.octets), &r);
	assert_int_equal(r.damages, 1);
	assert_true(found_at(&r, m.frame[1].at));
	buf_deinit(&text);
	buf_deinit(&m.octets);
}

/* The word that begins a frame lies across the edge of what is searched at a time. */
static void test_search_edges(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 12; shift++) {
		struct made m;
		struct reading r;
		static char zeros[64 * 1024];
		made_init(&m);
		assert_true(buf_add(&m.octets, zeros, sizeof(zeros) - shift));
		add_text_frame(&m, "behind");
		read_first(buf_slice(&m.octets), &r);
		assert_int_equal(r.frames, 1);
		assert_int_equal(r.damages, 1);
		assert_int_equal(r.damaged, m.frame[0].at);
		buf_deinit(&m.octets);
	}
}

/* Whatever is longer than a payload may be is not one. */
static void test_too_long(void **state)
{
	(void)state;
	struct made m;
	struct reading r;
	char *octets = calloc(1, LONGEST + 1);
	assert_non_null(octets);
	made_init(&m);
	add_frame(&m, slice_of(octets, LONGEST));
	add_frame(&m, slice_of(octets, LONGEST + 1));
	add_text_frame(&m, "last");
	read_first(buf_slice(&m.octets), &r);
	assert_int_equal(r.frames, 2);
	assert_int_equal(r.damages, 1);
	free(octets);
	buf_deinit(&m.octets);
}

#define SEGMENT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	cmocka_unit_test(test_header),
		SEGMENT_TEST(test_round_trip),	SEGMENT_TEST(test_segments),
		SEGMENT_TEST(test_growing),	SEGMENT_TEST(test_unreadable),
		SEGMENT_TEST(test_torn),	SEGMENT_TEST(test_zeros),
		SEGMENT_TEST(test_bit_flips),	SEGMENT_TEST(test_frames_in_frames),
		SEGMENT_TEST(test_many_claims), SEGMENT_TEST(test_search_edges),
		SEGMENT_TEST(test_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
