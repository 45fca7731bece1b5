/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves sums from flow to flow: which keys may be asked for; that flows agree in a key by value and
 * not by its text; least start and greatest end of seconds and milliseconds; sums that would be too
 * large; what is not there; and a report of several workers in its order, whole or its top alone.
 */
#include "support.h"

#include <errno.h>

#include "encode/encoder.h"
#include "sum/key.h"
#include "sum/report.h"

enum { WORKERS = 3, MEMORY = 64 << 20 };

static struct sums_wanted wanted;
static struct source source = { .domain = 1 };
static struct summing *summing;
static struct sums *sums[WORKERS];
static struct buf out;

static void want(const char *keys)
{
	struct wanted_mistake mistake;
	if (!wanted_set_keys(&wanted, slice_text(keys), &mistake))
		fail_msg("%s: %s", keys, mistake.why);
}

static void begin(const char *keys, uint64_t memory)
{
	want(keys);
	summing = summing_new(&wanted, &source, memory, WORKERS);
	assert_non_null(summing);
	for (unsigned i = 0; i < WORKERS; i++) {
		sums[i] = sums_new(summing);
		assert_non_null(sums[i]);
	}
}

static void end(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		sums_free(&sums[i]);
	summing_free(&summing);
	wanted_deinit(&wanted);
}

static int set_up(void **state)
{
	(void)state;
	buf_init(&out, 16 << 20);
	return source_set_exporter(&source, SLICE_LITERAL("127.0.0.1")) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	end();
	buf_deinit(&out);
	buf_init(&out, 16 << 20);
	return 0;
}

static int try_add(unsigned worker, const char *names, const char *record)
{
	static struct format format;
	static struct flow flow;
	struct slice where;
	struct fault fault;
	static char parsed[4096];
	if (strcmp(names, parsed) != 0)
		assert_int_equal(format_parse(&format, slice_text(names), COLUMN_LIMIT, &where),
				 FORMAT_OK);
	(void)snprintf(parsed, sizeof(parsed), "%s", names);
	if (!flow_parse(&flow, &format, slice_text(record), &fault))
		fail_msg("%s: %s", record, fault_text(fault.code));
	return sums_add(sums[worker], &flow);
}

static void add(unsigned worker, const char *names, const char *record)
{
	assert_int_equal(try_add(worker, names, record), 0);
}

static void hand_in(void)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		bool last;
		assert_int_equal(sums_hand_in(&sums[i], &last), 0);
		assert_null(sums[i]);
		assert_int_equal(last, i == WORKERS - 1);
	}
}

static void write_sums(struct report *r, struct encoder *e)
{
	const struct flow *flow;
	enum step step;
	int error;
	out.len = 0;
	while ((step = report_next(r, &flow, &error)) == STEP_OK) {
		assert_int_equal(error, 0);
		assert_true(buf_reserve(&out, ENCODED_ROOM));
		if (flow != NULL)
			e->settings.class->flow(e, flow, &out);
	}
	assert_int_equal(step, STEP_MORE);
	assert_true(buf_add(&out, "", 1));
}

/* All sums as lines of a text format. */
static const char *report(const char *as, struct report_counts *counts)
{
	struct encoder e;
	encoder_init(&e, &(struct encoder_settings){ .class = encoder_class_by_name(slice_text(as)),
						     .sums = wanted.format });
	assert_true(encoder_begin(&e, wanted.format));
	hand_in();
	struct report *r = report_new(summing);
	assert_non_null(r);
	write_sums(r, &e);
	*counts = report_counts(r);
	report_free(&r);
	report_free(&r);
	return out.data;
}

static void expect_as(const char *as, const char *lines)
{
	struct report_counts counts;
	assert_string_equal(report(as, &counts), lines);
	assert_int_equal(counts.saturated, 0);
	end();
}

static void expect(const char *lines)
{
	expect_as("csv", lines);
}

/* ---- what may be asked for ------------------------------------------------------------------ */

static void test_wanted(void **state)
{
	(void)state;
	static const struct {
		const char *keys;
		const char *names; /* of the columns, or what is wrong */
		const char *wrong; /* the name it is wrong with */
	} rows[] = {
		{ "srcaddr", "srcaddr", NULL },
		{ "5-tuple", "srcaddr,dstaddr,srcport,dstport,protocol", NULL },
		{ "default", "srcaddr,dstaddr,srcport,dstport,protocol", NULL },
		{ " vpc_id, tgw-id\taction ", "vpc_id,tgw-id,action", NULL },
		{ "${srcaddr} ${dstport}", "srcaddr,dstport", NULL },
		{ "srcaddr,srcaddr", "the same field twice", "srcaddr" },
		{ "vpc-id vpc_id", "the same field twice", "vpc_id" },
		{ "", "no field in it", "" },
		{ ",", "no field in it", "" },
		{ "tgw", "no field of AWS's", "tgw" },
		{ "srcaddr,srcadr", "no field of AWS's", "srcadr" },
		{ "flows", "no field of AWS's", "flows" },
		{ "srcaddr,packets", "summed, and no key", "packets" },
		{ "bytes", "summed, and no key", "bytes" },
		{ "end", "summed, and no key", "end" },
		{ "start", "summed, and no key", "start" },
		{ "src.addr", "not a field name", "src.addr" },
		{ "123456789012345678901234567890123456789012345678901234567890123456789",
		  "not a field name",
		  "1234567890123456789012345678901234567890123456789012345678901234" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct wanted_mistake mistake;
		char names[256] = "";
		want("action");
		bool good = wanted_set_keys(&wanted, slice_text(rows[i].keys), &mistake);
		assert_int_equal(good, rows[i].wrong == NULL);
		if (!good) {
			assert_string_equal(mistake.why, rows[i].names);
			assert_true(slice_equal(slice_of(mistake.name, mistake.len),
						slice_text(rows[i].wrong)));
			assert_int_equal(wanted.keys, 1);
			continue;
		}
		for (unsigned k = 0; k < wanted.format->count; k++)
			(void)snprintf(names + strlen(names), sizeof(names) - strlen(names),
				       "%s%.*s", k == 0 ? "" : ",",
				       (int)wanted.format->column[k].name_len,
				       wanted.format->column[k].name);
		char *rest = strstr(names, ",packets,bytes,flows,start,end");
		assert_non_null(rest);
		*rest = '\0';
		assert_string_equal(names, rows[i].names);
		assert_int_equal(wanted.format->count, wanted.keys + 5);
		assert_int_equal(wanted.format->unknown, 0);
	}
}

static void test_orders(void **state)
{
	(void)state;
	assert_string_equal(wanted_order(&wanted), "bytes");
	assert_false(wanted_set_order(&wanted, SLICE_LITERAL("octets")));
	assert_false(wanted_set_order(&wanted, SLICE_NONE));
	assert_false(wanted.has_order);
	assert_true(wanted_set_order(&wanted, SLICE_LITERAL("flows")));
	assert_string_equal(wanted_order(&wanted), "flows");
	assert_true(wanted.has_order);
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* Two records of these columns, and whether they are summed together. */
static void test_agreement(void **state)
{
	(void)state;
	static const struct {
		const char *names;
		const char *a;
		const char *b;
		const char *lines; /* of both together; NULL: they differ */
	} rows[] = {
		{ "srcaddr", "10.0.0.1", "10.0.0.1", "10.0.0.1" },
		{ "srcaddr", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:db8::1" },
		{ "srcaddr", "::ffff:10.0.0.1", "10.0.0.1", NULL },
		{ "srcaddr", "::ffff:10.0.0.1", "::ffff:a00:1", "::ffff:10.0.0.1" },
		{ "srcport", "00443", "443", "443" },
		{ "srcport", "0", "-", NULL },
		{ "srcaddr", "-", "0.0.0.0", NULL },
		{ "vpc-id", "-", "-", "" },
		{ "vpc-id", "a", "b", NULL },
		{ "vpc-id", "a", "ab", NULL },
		{ "account-id", "007", "7", NULL },
		{ "vpc-id subnet-id", "a b", "ab -", NULL },
		{ "vpc-id subnet-id", "a -", "- a", NULL },
		{ "srcport dstport", "1 2", "2 1", NULL },
		{ "protocol tcp-flags traffic-path", "255 65535 4294967295", "255 65535 4294967295",
		  "255,65535,4294967295" },
		{ "packets-lost-no-route", "18446744073709551615", "18446744073709551615",
		  "18446744073709551615" },
		{ "region", "a,b", "a,b", "\"a,b\"" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char line[256];
		struct report_counts counts;
		begin(rows[i].names, MEMORY);
		add(0, rows[i].names, rows[i].a);
		add(1, rows[i].names, rows[i].b);
		const char *got = report("csv", &counts);
		(void)snprintf(line, sizeof(line), "%s,0,0,2,,\n",
			       rows[i].lines == NULL ? "" : rows[i].lines);
		assert_int_equal(counts.keys, rows[i].lines == NULL ? 2 : 1);
		if (rows[i].lines != NULL)
			assert_string_equal(got, line);
		end();
	}
}

/* Records of other formats, columns in another order, or without the field. */
static void test_formats(void **state)
{
	(void)state;
	begin("srcaddr dstport", MEMORY);
	add(0, "srcaddr dstport bytes", "10.0.0.1 443 100");
	add(0, "bytes packets dstport vpc-id srcaddr new", "20 3 443 vpc-1 10.0.0.1 x");
	add(1, "srcaddr bytes", "10.0.0.1 5");
	add(2, "new", "x");
	expect("10.0.0.1,443,3,120,2,,\n10.0.0.1,,0,5,1,,\n,,0,0,1,,\n");
}

/* Every field there is, but those that are summed. */
static void test_every_field(void **state)
{
	(void)state;
	char names[4096] = "";
	char record[4096] = "";
	for (enum field f = 0; f < FIELD_COUNT; f++) {
		static const char *const values[] = {
			[FIELD_TEXT] = "text/",	   [FIELD_ADDRESS] = "10.0.0.", [FIELD_U8] = "1",
			[FIELD_U16] = "2",	   [FIELD_U32] = "3",		[FIELD_U64] = "4",
			[FIELD_TIME] = "14185300",
		};
		if (f == FIELD_PACKETS || f == FIELD_BYTES || f == FIELD_START || f == FIELD_END)
			continue;
		const char *space = *names == '\0' ? "" : " ";
		(void)snprintf(names + strlen(names), 64, "%s%s", space, field_name(f).data);
		(void)snprintf(record + strlen(record), 64, "%s%s%u", space, values[field_kind(f)],
			       f);
	}
	begin(names, MEMORY);
	assert_int_equal(wanted.keys, FIELD_COUNT - 4);
	add(0, names, record);
	add(1, names, record);
	(void)snprintf(record + strlen(record), 64, " 0 0 2\n");
	for (char *p = record; *p != '\0'; p++)
		*p = *p == ' ' ? ',' : *p;
	struct report_counts counts;
	const char *got = report("csv", &counts);
	assert_int_equal(counts.keys, 1);
	assert_memory_equal(got, record, strlen(record) - 1);
	assert_string_equal(got + strlen(record) - 1, ",,\n");
}

/* Columns come from left to right, lesser ones first, in each what is not there before all. */
static void test_order_of_keys(void **state)
{
	(void)state;
	begin("srcaddr vpc-id srcport", MEMORY);
	static const char *const records[] = {
		"9.0.0.1 b 10",	    "9.0.0.1 b 9",     "9.0.0.1 b 256", "9.0.0.1 ba 1",
		"9.0.0.1 - 65535",  "10.0.0.1 a 1",    "- z 1",		"9.0.0.1 b -",
		"2001:db8::1 a 10", "9.0.0.1 Zebra 0",
	};
	for (size_t i = 0; i < COUNT_OF(records); i++)
		add((unsigned)i % WORKERS, "srcaddr vpc-id srcport", records[i]);
	expect(",z,1,0,0,1,,\n"
	       "9.0.0.1,,65535,0,0,1,,\n"
	       "9.0.0.1,Zebra,0,0,0,1,,\n"
	       "9.0.0.1,b,,0,0,1,,\n"
	       "9.0.0.1,b,9,0,0,1,,\n"
	       "9.0.0.1,b,10,0,0,1,,\n"
	       "9.0.0.1,b,256,0,0,1,,\n"
	       "9.0.0.1,ba,1,0,0,1,,\n"
	       "10.0.0.1,a,1,0,0,1,,\n"
	       "2001:db8::1,a,10,0,0,1,,\n");
}

/* ---- what is summed ------------------------------------------------------------------------- */

static void test_times(void **state)
{
	(void)state;
	static const struct {
		const char *a;
		const char *b;
		const char *expected; /* ipfix-csv's start and end, and csv's */
	} rows[] = {
		{ "1418530010 1418530070", "1418530000 1418530060",
		  "1418530000000,1418530070000 1418530000,1418530070" },
		{ "1418530010 1418530070", "1418530009999 1418530070001",
		  "1418530009999,1418530070001 1418530009,1418530070" },
		{ "1418530010999 1418530070", "1418530010 1418530069999",
		  "1418530010000,1418530070000 1418530010,1418530070" },
		{ "1418530010000 1418530070000", "1418530010 1418530070",
		  "1418530010000,1418530070000 1418530010,1418530070" },
		{ "- 7", "5 -", "5000,7000 5,7" },
		{ "0 0", "1 1", "0,1000 0,1" },
		{ "2147483647 2147483647", "2147483648 2147483648",
		  "2147483648,2147483647000 2147483,2147483647" },
		{ "18446744073709551615 18446744073709551615", "5 -",
		  "5000,18446744073709551615 5,18446744073709551" },
	};
	for (size_t i = 0; i < COUNT_OF(rows) * 2; i++) {
		const char *names = "srcaddr dstaddr start end";
		char record[2][128];
		char expected[2][256];
		const char *text = strchr(rows[i / 2].expected, ' ') + 1;
		(void)snprintf(record[0], sizeof(record[0]), "10.0.0.1 10.0.0.2 %s", rows[i / 2].a);
		(void)snprintf(record[1], sizeof(record[1]), "10.0.0.1 10.0.0.2 %s", rows[i / 2].b);
		(void)snprintf(expected[0], sizeof(expected[0]),
			       "10.0.0.1,10.0.0.2,,,0,0,2,%.*s,127.0.0.1,\n",
			       (int)(text - 1 - rows[i / 2].expected), rows[i / 2].expected);
		(void)snprintf(expected[1], sizeof(expected[1]), "10.0.0.1,10.0.0.2,0,0,2,%s\n",
			       text);
		/* Whichever comes first, and whether one worker has both. */
		for (unsigned how = 0; how < 4; how++) {
			begin("srcaddr dstaddr", MEMORY);
			add(0, names, record[how % 2]);
			add(how / 2, names, record[1 - how % 2]);
			expect_as(i % 2 == 0 ? "ipfix-csv" : "csv", expected[i % 2]);
		}
	}
}

static void test_not_there(void **state)
{
	(void)state;
	begin("srcaddr", MEMORY);
	add(0, "srcaddr packets bytes start end", "- - - - -");
	add(0, "srcaddr packets bytes start end", "10.0.0.1 1 - - 5");
	add(0, "srcaddr packets bytes start end", "10.0.0.1 - 2 - -");
	expect_as("json",
		  "{\"srcaddr\":\"10.0.0.1\",\"packets\":1,\"bytes\":2,\"flows\":2,\"end\":5}\n"
		  "{\"packets\":0,\"bytes\":0,\"flows\":1}\n");
}

/* What is too large for 64 bits is as large as they get, and told. */
static void test_saturation(void **state)
{
	(void)state;
	for (unsigned other = 0; other < 2; other++) {
		struct report_counts counts;
		begin("srcaddr", MEMORY);
		add(0, "srcaddr packets bytes", "10.0.0.1 1 18446744073709551615");
		add(other, "srcaddr packets bytes", "10.0.0.1 18446744073709551615 0");
		add(0, "srcaddr packets bytes",
		    "10.0.0.2 18446744073709551614 18446744073709551615");
		add(other, "srcaddr packets bytes", "10.0.0.2 1 0");
		assert_string_equal(report("csv", &counts),
				    "10.0.0.1,18446744073709551615,18446744073709551615,2,,\n"
				    "10.0.0.2,18446744073709551615,18446744073709551615,2,,\n");
		assert_int_equal(counts.saturated, 1);
		end();
	}
}

/* ---- the report ----------------------------------------------------------------------------- */

enum { MANY = 3000, KEYS = 1000 };

struct expected {
	unsigned key;
	uint64_t value[BY_COUNT];
};

static struct expected all[KEYS];
static enum sum_order order;

static int compare(const void *a, const void *b)
{
	const struct expected *x = a;
	const struct expected *y = b;
	if (x->value[order] != y->value[order])
		return x->value[order] < y->value[order] ? 1 : -1;
	return x->key < y->key ? -1 : 1;
}

static void add_many(void)
{
	struct dice dice = { 5 };
	for (unsigned i = 0; i < KEYS; i++)
		all[i] = (struct expected){ .key = i };
	for (unsigned i = 0; i < MANY; i++) {
		char record[64];
		unsigned key = i < KEYS ? i : (unsigned)dice_below(&dice, KEYS);
		unsigned packets = (unsigned)dice_below(&dice, 3);
		unsigned bytes = (unsigned)dice_below(&dice, 5);
		(void)snprintf(record, sizeof(record), "%u %u %u", key, packets, bytes);
		add(i % WORKERS, "srcport packets bytes", record);
		all[key].value[BY_PACKETS] += packets;
		all[key].value[BY_BYTES] += bytes;
		all[key].value[BY_FLOWS]++;
	}
}

/* Many are equal in what they are ordered by. */
static void test_top(void **state)
{
	(void)state;
	static const unsigned tops[] = { 0, 1, 2, 20, KEYS - 1, KEYS, KEYS + 1 };
	for (size_t i = 0; i < COUNT_OF(tops) * BY_COUNT; i++) {
		struct report_counts counts;
		begin("srcport", MEMORY);
		order = i % BY_COUNT;
		wanted.order = order;
		wanted.top = tops[i / BY_COUNT];
		unsigned shown = wanted.top == 0 || wanted.top > KEYS ? KEYS : (unsigned)wanted.top;
		add_many();
		qsort(all, KEYS, sizeof(*all), compare);
		const char *line = report("csv", &counts);
		assert_int_equal(counts.keys, KEYS);
		assert_int_equal(counts.shown, shown);
		for (unsigned k = 0; k < shown; k++) {
			char expected[128];
			int len = snprintf(expected, sizeof(expected), "%u,%llu,%llu,%llu,,\n",
					   all[k].key, (unsigned long long)all[k].value[BY_PACKETS],
					   (unsigned long long)all[k].value[BY_BYTES],
					   (unsigned long long)all[k].value[BY_FLOWS]);
			assert_memory_equal(line, expected, (size_t)len);
			line += len;
		}
		assert_string_equal(line, "");
		end();
	}
}

static void test_nothing(void **state)
{
	(void)state;
	begin("srcaddr", MEMORY);
	expect("");
}

/* ---- the end of memory ---------------------------------------------------------------------- */

static int add_until_full(unsigned *n)
{
	int error = 0;
	for (*n = 0; error == 0 && *n < 1000000; ++*n) {
		char record[32];
		(void)snprintf(record, sizeof(record), "vpc-%u", *n);
		error = try_add(*n % WORKERS, "vpc-id", record);
	}
	return error;
}

static void test_limit(void **state)
{
	(void)state;
	unsigned n;
	begin("vpc-id", 4 << 20);
	assert_int_equal(add_until_full(&n), -ENOBUFS);
	assert_in_range(sums_count(sums[0]) + sums_count(sums[1]) + sums_count(sums[2]), 10000, n);
	/* A long key does not wait, and has no more room. */
	char longer[3000];
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	int error = 0;
	for (unsigned i = 0; i < 1000 && error == 0; i++) {
		longer[i] = 'y';
		error = try_add(0, "vpc-id", longer);
	}
	assert_int_equal(error, -ENOBUFS);
}

/* What waits is refused when it is handed in, too. */
static void test_limit_at_the_end(void **state)
{
	(void)state;
	bool last;
	begin("vpc-id", 100 * 1024);
	add(0, "vpc-id", "vpc-1");
	assert_int_equal(sums_hand_in(&sums[0], &last), -ENOBUFS);
	assert_non_null(sums[0]);
}

/* There may be room for the tables, and not for one of all, or not to bring it into an order. */
static void test_limit_of_the_report(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= WORKERS; workers += WORKERS - 1) {
		const struct flow *flow;
		enum step step;
		int error;
		begin("srcport", MEMORY);
		for (unsigned i = 0; i < 9000; i++) {
			char record[32];
			(void)snprintf(record, sizeof(record), "%u", i);
			add(i % workers, "srcport", record);
		}
		hand_in();
		struct budget *budget = summing_budget(summing);
		budget->most = workers == 1 ? atomic_load(&budget->taken) : 0;
		struct report *r = report_new(summing);
		while ((step = report_next(r, &flow, &error)) == STEP_OK)
			assert_null(flow);
		assert_int_equal(step, STEP_BAD);
		assert_int_equal(error, -ENOBUFS);
		assert_int_equal(report_counts(r).keys, workers == 1 ? 9000 : 0);
		report_free(&r);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_wanted, tear_down),
		cmocka_unit_test_teardown(test_orders, tear_down),
		cmocka_unit_test_teardown(test_agreement, tear_down),
		cmocka_unit_test_teardown(test_formats, tear_down),
		cmocka_unit_test_teardown(test_every_field, tear_down),
		cmocka_unit_test_teardown(test_order_of_keys, tear_down),
		cmocka_unit_test_teardown(test_times, tear_down),
		cmocka_unit_test_teardown(test_not_there, tear_down),
		cmocka_unit_test_teardown(test_saturation, tear_down),
		cmocka_unit_test_teardown(test_top, tear_down),
		cmocka_unit_test_teardown(test_nothing, tear_down),
		cmocka_unit_test_teardown(test_limit, tear_down),
		cmocka_unit_test_teardown(test_limit_at_the_end, tear_down),
		cmocka_unit_test_teardown(test_limit_of_the_report, tear_down),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
