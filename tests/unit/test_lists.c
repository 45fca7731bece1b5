/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves what the watch shows of flows: which list and which sum each counts in, in which window by a
 * clock that the test sets, in which second; what workers have together; and the names of keys. And
 * that any octets become a JSON string.
 */
#include "support.h"

#include "watch/json_text.h"
#include "watch/watch.h"

static const struct heavy_seed seed = { { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9,
					  0x94d049bb133111eb, 0x2545f4914f6cdd1d } };

/* Not a multiple of any slice, so that windows begin and end within one. */
enum { BEGIN = 1000003 };

struct rig {
	struct watch *watch;
	struct format format;
	uint64_t now; /* seconds */
	uint64_t documents;
};

static void rig_begin(struct rig *r, const char *format)
{
	struct slice where;
	r->watch = watch_new(&seed);
	assert_non_null(r->watch);
	assert_int_equal(format_parse(&r->format, slice_text(format), COLUMN_LIMIT, &where),
			 FORMAT_OK);
	r->now = BEGIN;
	r->documents = 0;
}

/* group: NULL where a document does not say. */
static void see_of(struct rig *r, const char *group, const char *line)
{
	struct flow flow;
	struct fault fault;
	struct origin origin = { .group = group == NULL ? SLICE_NONE : slice_text(group),
				 .number = ++r->documents };
	assert_true(flow_parse(&flow, &r->format, slice_text(line), &fault));
	flow.origin = &origin;
	watch_flow(r->watch, &flow, r->now * 1000 + 7);
}

static void see(struct rig *r, const char *line)
{
	see_of(r, "group", line);
}

static void go_to(struct rig *r, uint64_t second)
{
	r->now = second;
	watch_tick(r->watch, r->now * 1000);
}

/* "name sum" of each in order, separated by ", "; "name least-most" when they differ. */
static void check_list(struct rig *r, enum watch_window window, enum watch_list list,
		       const char *expected)
{
	struct lists lists;
	struct heavy_item item[8];
	char text[1024] = "";
	assert_true(lists_init(&lists, &seed));
	watch_gather(r->watch, window, &lists);
	unsigned count = heavy_best(&lists.top[list], item, COUNT_OF(item));
	for (unsigned i = 0; i < count; i++) {
		char room[KEY_TEXT];
		struct slice name = watch_key_text(list, &item[i], room);
		size_t len = strlen(text);
		assert_int_equal(item[i].least, item[i].most);
		(void)snprintf(text + len, sizeof(text) - len, "%s%.*s %llu", i == 0 ? "" : ", ",
			       (int)name.len, name.data, (unsigned long long)item[i].most);
	}
	lists_deinit(&lists);
	assert_string_equal(text, expected);
}

#define LINE(interface, source, destination, port, protocol, bytes, action)                        \
	"2 1 " interface " " source " " destination " 1024 " port " " protocol " 1 " bytes         \
	" 1 2 " action " OK"

static void test_what_counts_where(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r, "default");
	see(&r, LINE("eni-0a1b2c3d", "10.0.0.1", "10.0.0.2", "443", "6", "1000", "ACCEPT"));
	see(&r, LINE("eni-0a1b2c3d", "10.0.0.1", "10.0.0.3", "443", "6", "500", "ACCEPT"));
	see(&r, LINE("eni-4", "2001:db8::1", "10.0.0.2", "22", "6", "40", "REJECT"));
	see(&r, LINE("eni-4", "2001:db8::1", "10.0.0.2", "22", "6", "0", "REJECT"));
	see_of(&r, "other", LINE("-", "-", "-", "53", "17", "9", "REJECT"));
	see_of(&r, NULL, LINE("eni-4", "10.0.0.9", "10.0.0.1", "0", "1", "7", "REJECT"));
	go_to(&r, BEGIN + 1);
	check_list(&r, WINDOW_MINUTE, LIST_SOURCES, "10.0.0.1 1500, 2001:db8::1 40, 10.0.0.9 7");
	check_list(&r, WINDOW_MINUTE, LIST_DESTINATIONS, "10.0.0.2 1040, 10.0.0.3 500, 10.0.0.1 7");
	check_list(&r, WINDOW_MINUTE, LIST_REFUSED_SOURCES, "2001:db8::1 2, 10.0.0.9 1");
	check_list(&r, WINDOW_QUARTER, LIST_INTERFACES, "eni-0a1b2c3d 1500, eni-4 47");
	check_list(&r, WINDOW_START, LIST_LOG_GROUPS, "group 1540, other 9");
	watch_free(&r.watch);
}

static void test_names_of_ports(void **state)
{
	(void)state;
	static const struct {
		const char *port;
		const char *protocol;
		const char *name;
	} rows[] = {
		{ "22", "6", "22/tcp 1" },
		{ "53", "17", "53/udp 1" },
		{ "7", "132", "7/sctp 1" },
		{ "0", "1", "icmp 1" },
		{ "0", "58", "icmpv6 1" },
		{ "3", "1", "3/icmp 1" },
		{ "0", "47", "0/47 1" },
		{ "0", "6", "0/tcp 1" },
		{ "65535", "255", "65535/255 1" },
		{ "80", "-", "80/0 1" },
		{ "-", "6", "" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct rig r;
		char line[128];
		rig_begin(&r, "dstport protocol action");
		(void)snprintf(line, sizeof(line), "%s %s REJECT", rows[i].port, rows[i].protocol);
		see(&r, line);
		go_to(&r, BEGIN + 1);
		check_list(&r, WINDOW_START, LIST_REFUSED_PORTS, rows[i].name);
		watch_free(&r.watch);
	}
}

/* A transit gateway's attachments are its interfaces. */
static void test_attachments(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r, "tgw-attachment-id srcaddr bytes");
	see(&r, "tgw-attach-0123456789abcdef0 10.0.0.1 5");
	go_to(&r, BEGIN + 1);
	check_list(&r, WINDOW_START, LIST_INTERFACES, "tgw-attach-0123456789abcdef0 5");
	watch_free(&r.watch);
}

/* Batches and runs end where they end: as many flows as it takes to pass all of their limits. */
static void test_all_of_many_flows(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r, "default");
	for (unsigned i = 0; i < 1000; i++) {
		const char *line = i % 3 == 0 ? LINE("eni-00000001", "10.0.0.1", "10.0.0.2", "22",
						     "6", "2", "REJECT")
					      : LINE("eni-00000002", "10.0.0.3", "10.0.0.4", "22",
						     "6", "1", "ACCEPT");
		see_of(&r, i % 7 == 0 ? "a" : "b", line);
	}
	go_to(&r, BEGIN + 1);
	check_list(&r, WINDOW_START, LIST_SOURCES, "10.0.0.1 668, 10.0.0.3 666");
	check_list(&r, WINDOW_START, LIST_DESTINATIONS, "10.0.0.2 668, 10.0.0.4 666");
	check_list(&r, WINDOW_START, LIST_REFUSED_SOURCES, "10.0.0.1 334");
	check_list(&r, WINDOW_START, LIST_REFUSED_PORTS, "22/tcp 334");
	check_list(&r, WINDOW_START, LIST_INTERFACES, "eni-00000001 668, eni-00000002 666");
	check_list(&r, WINDOW_START, LIST_LOG_GROUPS, "b 1143, a 191");
	watch_free(&r.watch);
}

/* Documents of one group in a row, of none, and of one whose name is too long to be kept. */
static void test_documents(void **state)
{
	(void)state;
	const char *line = LINE("eni-4", "10.0.0.1", "10.0.0.2", "443", "6", "1", "ACCEPT");
	static char name[601];
	struct rig r;
	char expected[300];
	memset(name, 'n', sizeof(name) - 1);
	rig_begin(&r, "default");
	for (unsigned i = 0; i < 70; i++) {
		static const char *const groups[] = { "a", "a", NULL, name, "b", name, "a" };
		const char *group = groups[i % COUNT_OF(groups)];
		see_of(&r, group, line);
		r.documents--; /* the same document goes on */
		see_of(&r, group, line);
		if (i % 9 == 0)
			go_to(&r, r.now + 1);
	}
	go_to(&r, r.now + 1);
	(void)snprintf(expected, sizeof(expected), "a 60, %.158s 40, b 20", name);
	check_list(&r, WINDOW_START, LIST_LOG_GROUPS, expected);
	watch_free(&r.watch);
}

/* Of one flow, how long each window has it: the minute for 55 to 60 seconds, and so on. */
static void test_windows(void **state)
{
	(void)state;
	const char *flow = LINE("eni-4", "10.0.0.1", "10.0.0.2", "443", "6", "1000", "ACCEPT");
	struct lists lists;
	assert_true(lists_init(&lists, &seed));
	for (unsigned offset = 0; offset < 60; offset += 13) {
		struct rig r;
		uint64_t minute = 0;
		uint64_t quarter = 0;
		rig_begin(&r, "default");
		r.now = BEGIN + offset;
		see(&r, flow);
		uint64_t first = r.now;
		for (uint64_t age = 0; age < 1000; age++) {
			struct heavy_item item;
			go_to(&r, first + age);
			lists_clear(&lists);
			watch_gather(r.watch, WINDOW_MINUTE, &lists);
			minute += heavy_best(&lists.top[LIST_SOURCES], &item, 1);
			lists_clear(&lists);
			watch_gather(r.watch, WINDOW_QUARTER, &lists);
			quarter += heavy_best(&lists.top[LIST_SOURCES], &item, 1);
		}
		assert_in_range(minute, 55, 60);
		assert_in_range(quarter, 14 * 60, 15 * 60);
		check_list(&r, WINDOW_START, LIST_SOURCES, "10.0.0.1 1000");
		watch_free(&r.watch);
	}
	lists_deinit(&lists);
}

/* Windows that nobody filled for hours are empty, whatever lies where their slices would be. */
static void test_after_a_long_silence(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r, "default");
	for (unsigned i = 0; i < 120; i++) {
		see(&r, LINE("eni-4", "10.0.0.1", "10.0.0.2", "443", "6", "1", "ACCEPT"));
		go_to(&r, r.now + 1);
	}
	go_to(&r, r.now + 5 * 60 * 60);
	check_list(&r, WINDOW_MINUTE, LIST_SOURCES, "");
	check_list(&r, WINDOW_QUARTER, LIST_SOURCES, "");
	check_list(&r, WINDOW_START, LIST_SOURCES, "10.0.0.1 120");
	watch_free(&r.watch);
}

static void check_second(const struct series *s, uint64_t number, uint64_t flows, uint64_t bytes,
			 uint64_t refused)
{
	struct second second = series_at(s, number);
	assert_int_equal(second.flows, flows);
	assert_int_equal(second.bytes, bytes);
	assert_int_equal(second.refused, refused);
}

/* Each flow in its second, however seldom readers are let in; two watches together. */
static void test_seconds(void **state)
{
	(void)state;
	struct rig r;
	struct rig other;
	struct series sum = { .newest = 0 };
	rig_begin(&r, "default");
	rig_begin(&other, "default");
	for (unsigned i = 0; i < 3; i++) {
		see(&r, LINE("eni-4", "10.0.0.1", "10.0.0.2", "443", "6", "10", "ACCEPT"));
		see(&r, LINE("eni-4", "10.0.0.1", "10.0.0.2", "443", "6", "1", "REJECT"));
		r.now += i + 1;
	}
	see(&other, LINE("eni-4", "10.0.0.1", "10.0.0.2", "443", "6", "100", "ACCEPT"));
	go_to(&r, BEGIN + 10);
	go_to(&other, BEGIN + 9);
	assert_int_equal(watch_series(r.watch, &sum), BEGIN + 10);
	assert_int_equal(watch_series(other.watch, &sum), BEGIN + 9);
	check_second(&sum, BEGIN, 3, 111, 1);
	check_second(&sum, BEGIN + 1, 2, 11, 1);
	check_second(&sum, BEGIN + 2, 0, 0, 0);
	check_second(&sum, BEGIN + 3, 2, 11, 1);
	check_second(&sum, BEGIN + 4, 0, 0, 0);
	watch_free(&r.watch);
	watch_free(&other.watch);
}

/* Without a tick for long the last seconds become one, and none is lost. */
static void test_seconds_without_readers(void **state)
{
	(void)state;
	struct rig r;
	struct series sum = { .newest = 0 };
	uint64_t flows = 0;
	rig_begin(&r, "default");
	for (unsigned i = 0; i < 100; i++, r.now++)
		see(&r, LINE("eni-4", "10.0.0.1", "10.0.0.2", "443", "6", "10", "ACCEPT"));
	go_to(&r, r.now);
	(void)watch_series(r.watch, &sum);
	for (uint64_t n = BEGIN; n < r.now; n++)
		flows += series_at(&sum, n).flows;
	assert_int_equal(flows, 100);
	watch_free(&r.watch);
}

static void test_series_ring(void **state)
{
	(void)state;
	struct series s = { .newest = 0 };
	const struct second one = { .flows = 1, .bytes = 2, .refused = 3 };
	for (uint64_t n = BEGIN; n < BEGIN + 5000; n += 3)
		series_add(&s, n, &one);
	uint64_t newest = s.newest;
	uint64_t flows = 0;
	for (uint64_t n = newest - SERIES_SECONDS; n <= newest; n++) {
		struct second second = series_at(&s, n);
		assert_int_equal(second.flows, (n - BEGIN) % 3 == 0);
		assert_int_equal(second.refused, 3 * second.flows);
		flows += second.flows;
	}
	assert_int_equal(flows, SERIES_SECONDS / 3 + 1);
	series_add(&s, newest - SERIES_SECONDS - 1, &one);
	check_second(&s, newest - SERIES_SECONDS - 1, 0, 0, 0);
	check_second(&s, newest, 1, 2, 3);
	check_second(&s, newest + 1, 0, 0, 0);
	series_add(&s, newest + 100000, &one);
	check_second(&s, newest, 0, 0, 0);
}

/* Bytes that flows say they had come to no less than the most there can be. */
static void test_a_second_does_not_overflow(void **state)
{
	(void)state;
	struct series s = { .newest = 0 };
	const struct second one = { .flows = 1, .bytes = UINT64_MAX };
	series_add(&s, BEGIN, &one);
	series_add(&s, BEGIN, &one);
	check_second(&s, BEGIN, 2, UINT64_MAX, 0);
}

/* ---- JSON strings ------------------------------------------------------------------------------ */

static void test_json_strings(void **state)
{
	(void)state;
	static const struct {
		const char *text; /* as unescape_row reads it */
		const char *json;
	} rows[] = {
		{ "", "\"\"" },
		{ "/vpc/a-b_c.1", "\"/vpc/a-b_c.1\"" },
		{ "<b>\"x\"</b>\\\\", "\"\\u003cb\\u003e\\u0022x\\u0022\\u003c/b\\u003e\\u005c\"" },
		{ "\\x00\\x1f\\x7f\\n", "\"\\u0000\\u001f\\u007f\\u000a\"" },
		{ "gr\\xc3\\xbc\\xc3\\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
		{ "\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80", "\"\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "a\\xffb\\xc3", "\"a\\ufffdb\\ufffd\"" },
		{ "\\xc0\\x80", "\"\\ufffd\\ufffd\"" },
		{ "\\xc1\\xbf\\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\\xe0\\x9f\\xbf", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\\xed\\xa0\\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\\xf0\\x8f\\xbf\\xbf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\\xf4\\x90\\x80\\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\\xf5\\x80\\x80\\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\\xe2\\x82", "\"\\ufffd\\ufffd\"" },
		{ "\\xe2(\\xa1", "\"\\ufffd(\\ufffd\"" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf buf;
		char text[64];
		buf_init(&buf, 1024);
		struct text t = { .buf = &buf };
		(void)snprintf(text, sizeof(text), "%s", rows[i].text);
		json_text_add(&t, unescape_row(text));
		assert_false(t.failed);
		assert_int_equal(buf.len, strlen(rows[i].json));
		assert_memory_equal(buf.data, rows[i].json, buf.len);
		buf_deinit(&buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_counts_where),
		cmocka_unit_test(test_names_of_ports),
		cmocka_unit_test(test_attachments),
		cmocka_unit_test(test_all_of_many_flows),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_after_a_long_silence),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_seconds_without_readers),
		cmocka_unit_test(test_series_ring),
		cmocka_unit_test(test_a_second_does_not_overflow),
		cmocka_unit_test(test_json_strings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
