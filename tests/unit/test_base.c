/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that buffers never pass the maximum they were born with, that foreign octets reach the log
 * escaped and cut, that a reason is told once, that every counter is printed under the name that
 * users read (the conservation law's among them), and that the limits' defaults are the contract's.
 */
#include "support.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/once.h"
#include "base/stats.h"

static void test_buf(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	assert_null(b.data);
	assert_true(buf_add(&b, NULL, 0));
	assert_int_equal(buf_slice(&b).len, 0);
	for (unsigned i = 0; i < 1000; i++) {
		char c = (char)i;
		assert_true(buf_add(&b, &c, 1));
		assert_true(b.len <= b.cap && b.cap <= b.max);
	}
	assert_false(buf_add(&b, "x", 1));
	assert_false(buf_reserve(&b, 1));
	assert_true(buf_reserve(&b, 0));
	assert_int_equal(b.len, 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(b.data[i], (char)i);
	buf_deinit(&b);
	assert_int_equal(b.len + b.cap, 0);
	assert_int_equal(b.max, 1000);
	assert_true(buf_add(&b, "again", 5));
	assert_true(slice_equal(buf_slice(&b), SLICE_LITERAL("again")));
	buf_deinit(&b);
}

static void test_buf_sizes(void **state)
{
	(void)state;
	static const struct {
		size_t max, first, second;
		bool ok;
	} rows[] = {
		{ 0, 0, 0, true },
		{ 0, 0, 1, false },
		{ 1, 0, 1, true },
		{ 1, 1, 1, false },
		{ 100, 60, 40, true },
		{ 100, 60, 41, false },
		{ 257, 256, 1, true },
		{ 257, 256, 2, false },
		{ 300, 1, 299, true },
		{ 4096, 0, 4096, true },
		{ 4096, 0, 4097, false },
		{ 1000, 999, SIZE_MAX, false },
		{ 1000, 1, SIZE_MAX - 1, false },
	};
	static char octets[8192];
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf b;
		buf_init(&b, rows[i].max);
		assert_true(buf_add(&b, octets, rows[i].first));
		size_t grown = buf_grown(&b, rows[i].second);
		assert_true(grown <= b.max);
		if (buf_reserve(&b, rows[i].second) != rows[i].ok)
			fail_msg("row %zu", i);
		assert_int_equal(b.len, rows[i].first);
		assert_true(b.cap <= b.max);
		if (rows[i].ok) {
			assert_true(b.cap - b.len >= rows[i].second);
			assert_int_equal(b.cap, grown);
		}
		buf_deinit(&b);
		assert_true(buf_add(&b, octets, rows[i].first));
		size_t before = b.cap;
		assert_int_equal(buf_reserve_exactly(&b, rows[i].second), rows[i].ok);
		size_t exactly = b.len + rows[i].second;
		assert_int_equal(b.cap, rows[i].ok && exactly > before ? exactly : before);
		buf_deinit(&b);
	}
}

static void test_put_number(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		const char *text;
	} rows[] = { { 0, "0" },
		     { 9, "9" },
		     { 10, "10" },
		     { 4294967296, "4294967296" },
		     { UINT64_MAX, "18446744073709551615" } };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf b;
		buf_init(&b, 20);
		assert_true(buf_reserve(&b, 20));
		buf_put_number(&b, rows[i].n);
		assert_true(slice_equal(buf_slice(&b), slice_text(rows[i].text)));
		buf_deinit(&b);
	}
}

/* ---- log ------------------------------------------------------------------------------------ */

static void test_log_escape(void **state)
{
	(void)state;
	static const struct {
		struct slice foreign;
		const char *escaped;
	} rows[] = {
		{ { "", 0 }, "" },
		{ { NULL, 0 }, "" },
		{ { "2 123 ~", 7 }, "2 123 ~" },
		{ { "a\"b\\c", 5 }, "a\\x22b\\x5cc" },
		{ { "\r\n\t\0\x7f", 5 }, "\\x0d\\x0a\\x09\\x00\\x7f" },
		{ { "\x1b[31m\xff\xc3\xa9", 8 }, "\\x1b[31m\\xff\\xc3\\xa9" },
		{ { "%s%n", 4 }, "%s%n" },
	};
	char out[LOG_ESCAPED];
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_string_equal(log_escape(rows[i].foreign, out), rows[i].escaped);
	char most[LOG_SAMPLE + 1];
	memset(most, '\xff', sizeof(most));
	log_escape(slice_of(most, LOG_SAMPLE), out);
	assert_int_equal(strlen(out), 4 * LOG_SAMPLE);
	log_escape(slice_of(most, LOG_SAMPLE + 1), out);
	assert_int_equal(strlen(out), LOG_ESCAPED - 1);
	assert_string_equal(out + 4 * LOG_SAMPLE, "...");
}

/* What some log lines print. */
static void test_log_line(void **state)
{
	(void)state;
	char path[TEMP_PATH];
	char *longest = malloc(10001);
	struct buf got;
	assert_non_null(longest);
	memset(longest, 'x', 10000);
	longest[10000] = '\0';
	temp_file(path, SLICE_NONE);
	int saved = stderr_redirect(path);
	log_error("area", "what=%d", 1);
	log_warn("area", "what=%s", "%s");
	log_info("area", "info");
	log_debug("area", "never seen");
	log_set_level(LOG_ERROR);
	log_warn("area", "never seen");
	log_set_level(LOG_DEBUG);
	log_debug("area", "debug");
	log_error("long", "%s", longest);
	log_set_level(LOG_INFO);
	stderr_restore(saved);
	buf_init(&got, 1 << 16);
	add_file(&got, path);
	unlink(path);
	static const char start[] = "ERROR area: what=1\nWARN area: what=%s\nINFO area: info\n"
				    "DEBUG area: debug\nERROR long: xxxxx";
	assert_true(got.len > sizeof(start));
	assert_memory_equal(got.data, start, sizeof(start) - 1);
	/* Cut, but a line all the same. */
	assert_true(got.len < 4096);
	assert_int_equal(got.data[got.len - 1], '\n');
	buf_deinit(&got);
	free(longest);
}

/* ---- once ----------------------------------------------------------------------------------- */

static void test_once(void **state)
{
	(void)state;
	static struct once o;
	const uint64_t hour = 3600 * 1000;
	assert_true(once_first(&o, "10.0.0.1", 1, 5));
	assert_false(once_first(&o, "10.0.0.1", 1, 6));
	assert_true(once_first(&o, "10.0.0.1", 2, 6));
	assert_true(once_first(&o, "10.0.0.2", 1, 6));
	assert_false(once_first(&o, "10.0.0.1", 1, 5 + hour - 1));
	assert_true(once_first(&o, "10.0.0.1", 1, 5 + hour));
	assert_false(once_first(&o, "10.0.0.1", 1, 6 + hour));
	assert_true(once_first(&o, "", 0, 0));
	assert_false(once_first(&o, "", 0, 0));
}

/* Many peers: some may be told again, none is ever not told. */
static void test_once_full(void **state)
{
	(void)state;
	static struct once o;
	for (unsigned i = 0; i < 5 * ONCE_ENTRIES; i++) {
		char peer[32];
		(void)snprintf(peer, sizeof(peer), "10.0.%u.%u", i / 256, i % 256);
		assert_true(once_first(&o, peer, 3, 1));
		assert_false(once_first(&o, peer, 3, 2));
	}
}

/* ---- stats ---------------------------------------------------------------------------------- */

static void print_stats(const struct stats *s, struct buf *out)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);
	assert_non_null(file);
	stats_print(s, file);
	fclose(file);
	buf_init(out, 1 << 16);
	assert_true(buf_add(out, text, len + 1));
	free(text);
}

static void test_stats(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"\nevents=10\n",
		"\nflows=5\n",
		"\nnodata=2\n",
		"\nskipdata=1\n",
		"\nrejected=2\n",
		"\nfiltered=0\n",
		"\nrejected_columns=2\n",
		"\npayloads_rejected=1\n",
		"\npayloads_rejected_gzip=1\n",
		"\nclosed_idle=3\n",
		"\nputs=0\n",
		"\nacks=0\n",
		"\ncontrol_messages=0\n",
	};
	struct stats s = { .events = 10, .flows = 5, .nodata = 2, .skipdata = 1, .rejected = 2 };
	struct buf out;
	s.fault[FAULT_COLUMNS] = 2;
	s.payloads_rejected = 1;
	s.fault[FAULT_GZIP] = 1;
	s.closed[CLOSE_IDLE] = 3;
	print_stats(&s, &out);
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		if (strstr(out.data, lines[i]) == NULL)
			fail_msg("no line %s in %s", lines[i], out.data);
	/* Reasons that did not occur are not printed, and every line is name=value. */
	assert_null(strstr(out.data, "rejected_number"));
	assert_null(strstr(out.data, "closed_done"));
	for (char *line = strtok(out.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
		assert_true(name > 0 && line[name] == '=');
		assert_true(line[name + 1 + strspn(line + name + 1, "0123456789")] == '\0');
	}
	buf_deinit(&out);
}

/* Every reason has a name of its own and a text, and is counted under it. */
static void test_reasons(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		assert_true(strlen(fault_text(i)) > 3);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(fault_name(i), fault_name(k));
		struct stats s = { .events = 0 };
		struct buf out;
		char line[64];
		s.fault[i] = UINT64_MAX;
		print_stats(&s, &out);
		(void)snprintf(line, sizeof(line), "rejected_%s=18446744073709551615\n",
			       fault_name(i));
		assert_non_null(strstr(out.data, line));
		buf_deinit(&out);
	}
	for (unsigned i = 0; i < CLOSE_COUNT; i++) {
		assert_true(strlen(close_reason_text(i)) > 3);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(close_reason_name(i), close_reason_name(k));
	}
}

static void test_fault_set(void **state)
{
	(void)state;
	struct fault fault;
	assert_false(fault_set(&fault, FAULT_RANGE, 3, 17));
	assert_int_equal(fault.code, FAULT_RANGE);
	assert_int_equal(fault.column, 3);
	assert_int_equal(fault.offset, 17);
	assert_string_equal(fault_name(fault.code), "range");
}

/* ---- limits --------------------------------------------------------------------------------- */

static void test_limits(void **state)
{
	(void)state;
	struct limits l = limits_standard();
	assert_int_equal(l.payload, 16 * 1024 * 1024);
	assert_int_equal(l.inflated, 64 * 1024 * 1024);
	assert_int_equal(l.ratio, 200);
	assert_int_equal(l.depth, 32);
	assert_int_equal(l.nesting, 3);
	assert_int_equal(l.columns, 128);
	assert_int_equal(l.connections, 1024);
	assert_int_equal(l.connections_per_address, 512);
	assert_int_equal(l.in_flight, 64 * 1024 * 1024);
	assert_int_equal(l.first_byte, 10);
	assert_int_equal(l.whole_payload, 60);
	assert_int_equal(l.idle, 300);
#define X(member, option, unit, standard, least, greatest, why)                                    \
	assert_in_range(l.member, least, greatest);
	LIMITS(X)
#undef X
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf),	   cmocka_unit_test(test_buf_sizes),
		cmocka_unit_test(test_put_number), cmocka_unit_test(test_log_escape),
		cmocka_unit_test(test_log_line),   cmocka_unit_test(test_once),
		cmocka_unit_test(test_once_full),  cmocka_unit_test(test_stats),
		cmocka_unit_test(test_reasons),	   cmocka_unit_test(test_fault_set),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
