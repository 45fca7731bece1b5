/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the text outputs: RFC 4180 quoting and empty columns in csv, RFC 8259 escaping in json,
 * the header rows, columns by --fields (also of fields that a record lacks or nobody knows), the
 * rules of ipfix-csv that are more than a change of name, and that no record and no header ever
 * needs more than ENCODED_ROOM.
 */
#include "support.h"

#include "encode/elements.h"
#include "encode/encoder.h"

static struct format format;
static struct format columns;
static struct flow flow;
static struct source source;
static struct buf out;

static int set_up(void **state)
{
	(void)state;
	buf_init(&out, ENCODED_ROOM);
	source.domain = 1;
	return source_set_exporter(&source, SLICE_LITERAL("127.0.0.1")) &&
			       buf_reserve(&out, ENCODED_ROOM)
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	buf_deinit(&out);
	return 0;
}

static void read_format(struct format *f, const char *text)
{
	struct slice where;
	assert_int_equal(format_parse(f, slice_text(text), COLUMN_LIMIT, &where), FORMAT_OK);
}

static void read_record(const char *names, const char *record)
{
	struct fault fault;
	read_format(&format, names);
	if (!flow_parse(&flow, &format, slice_text(record), &fault))
		fail_msg("%s: %s", record, fault_text(fault.code));
	flow.source = &source;
}

static void begin(struct encoder *e, const struct encoder_class *class, const struct format *fields)
{
	encoder_init(e, &(struct encoder_settings){ .class = class, .columns = fields });
	assert_true(encoder_begin(e, &format));
}

/* The header, if any, and the record; fields may be NULL. */
static const char *encode(const char *output, const char *fields)
{
	struct encoder e;
	const struct encoder_class *class = encoder_class_by_name(slice_text(output));
	assert_non_null(class);
	if (fields != NULL)
		read_format(&columns, fields);
	begin(&e, class, fields == NULL ? NULL : &columns);
	out.len = 0;
	if (class->header != NULL)
		class->header(&e, &out);
	if (!encoder_takes(&e, &flow))
		return "no_address";
	class->flow(&e, &flow, &out);
	buf_put_char(&out, '\0');
	return out.data;
}

static const struct {
	const char *names;
	const char *record;
	const char *output;
	const char *fields;
	const char *expected;
} rows[] = {
	/* csv */
	{ "account-id", "a", "csv", NULL, "account_id\na\n" },
	{ "account-id version", "- -", "csv", NULL, "account_id,version\n,\n" },
	{ "account-id region", "a,b c", "csv", NULL, "account_id,region\n\"a,b\",c\n" },
	{ "account-id region", "a\"b \"", "csv", NULL, "account_id,region\n\"a\"\"b\",\"\"\"\"\n" },
	{ "account-id", "\"a\",b", "csv", NULL, "account_id\n\"\"\"a\"\",b\"\n" },
	{ "account-id", "a\\b;'", "csv", NULL, "account_id\na\\b;'\n" },
	{ "instance-tag", "%C3%A9%20b", "csv", NULL, "instance_tag\n%C3%A9%20b\n" },
	{ "bytes", "18446744073709551615", "csv", NULL, "bytes\n18446744073709551615\n" },
	{ "start end", "1418530010999 007", "csv", NULL, "start,end\n1418530010,7\n" },
	{ "srcaddr", "2001:DB8::1", "csv", NULL, "srcaddr\n2001:DB8::1\n" },
	{ "new-field My_Field", "x y", "csv", NULL, "new_field,My_Field\nx,y\n" },
	/* --fields */
	{ "srcaddr bytes dstaddr", "10.0.0.1 1 10.0.0.2", "csv", "dstaddr,srcaddr",
	  "dstaddr,srcaddr\n10.0.0.2,10.0.0.1\n" },
	{ "srcaddr", "10.0.0.1", "csv", "bytes,srcaddr,vpc-id,new",
	  "bytes,srcaddr,vpc_id,new\n,10.0.0.1,,\n" },
	{ "srcaddr new other", "10.0.0.1 x -", "csv", "other new", "other,new\n,x\n" },
	{ "new-field", "x", "csv", "new-field", "new_field\nx\n" },
	{ "account-id", "a", "csv", "account_id", "account_id\na\n" },
	{ "srcaddr bytes", "10.0.0.1 5", "json", "bytes,vpc-id", "{\"bytes\":5}\n" },
	{ "srcaddr bytes new", "10.0.0.1 5 y", "json", "new,bytes",
	  "{\"new\":\"y\",\"bytes\":5}\n" },
	{ "srcaddr", "10.0.0.1", "json", "bytes", "{}\n" },
	/* json */
	{ "account-id", "-", "json", NULL, "{}\n" },
	{ "account-id", "007", "json", NULL, "{\"account_id\":\"007\"}\n" },
	{ "account-id", "a\"b", "json", NULL, "{\"account_id\":\"a\\\"b\"}\n" },
	{ "account-id", "a\\\"\\", "json", NULL, "{\"account_id\":\"a\\\\\\\"\\\\\"}\n" },
	{ "account-id", "a/b<>&", "json", NULL, "{\"account_id\":\"a/b<>&\"}\n" },
	{ "bytes packets", "18446744073709551615 00", "json", NULL,
	  "{\"bytes\":18446744073709551615,\"packets\":0}\n" },
	{ "version account-id tcp-flags", "2 - 18", "json", NULL,
	  "{\"version\":2,\"tcp_flags\":18}\n" },
	{ "start end", "1418530010999 2147483647", "json", NULL,
	  "{\"start\":1418530010,\"end\":2147483647}\n" },
	/* ftsq: whatever else is there makes no difference, no --fields either */
	{ "dstaddr new srcaddr", "10.0.0.2 x 10.0.0.1", "ftsq", "bytes",
	  "10.0.0.1,0,10.0.0.2,0,0,0,0,0,0,0,0,127.0.0.1,\"unknown\"\n" },
	{ "srcaddr dstaddr", "- 10.0.0.1", "ftsq", NULL, "no_address" },
	{ "srcaddr", "10.0.0.1", "ftsq", NULL, "no_address" },
	{ "srcaddr dstaddr", "10.0.0.1 -", "ipfix-csv", NULL, "no_address" },
	{ "srcaddr dstaddr", "10.0.0.1 ::1", "ipfix-csv", NULL, "no_address" },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		read_record(rows[i].names, rows[i].record);
		const char *got = encode(rows[i].output, rows[i].fields);
		if (strcmp(got, rows[i].expected) != 0)
			fail_msg("%s %s as %s: %s", rows[i].names, rows[i].record, rows[i].output,
				 got);
	}
}

/* ---- ipfix-csv ------------------------------------------------------------------------------ */

static const char elements_header[] =
	"sourceIPv4Address,destinationIPv4Address,sourceIPv6Address,destinationIPv6Address,"
	"sourceTransportPort,destinationTransportPort,protocolIdentifier,packetDeltaCount,"
	"octetDeltaCount,flowStartMilliseconds,flowEndMilliseconds,tcpControlBits,"
	"forwardingStatus,firewallEvent,flowDirection,ingressInterface,egressInterface,"
	"exporterIPv4Address,exporterIPv6Address\n";

/* A record of 10.0.0.1 and 10.0.0.2 with more columns, and what follows the two addresses. */
static const struct {
	const char *names;
	const char *values;
	const char *expected;
} elements[] = {
	{ "", "", "0,0,0,0,0,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "srcport dstport protocol packets bytes", "65535 80 17 1 18446744073709551615",
	  "65535,80,17,1,18446744073709551615,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "start end", "1418530010 1418530070999",
	  "0,0,0,0,0,1418530010000,1418530070999,0,0,0,,1,0,127.0.0.1," },
	{ "start end", "2147483647 2147483648",
	  "0,0,0,0,0,2147483647000,2147483648,0,0,0,,1,0,127.0.0.1," },
	{ "tcp-flags", "18", "0,0,0,0,0,0,0,18,0,0,,1,0,127.0.0.1," },
	{ "tcp-flags", "511", "0,0,0,0,0,0,0,255,0,0,,1,0,127.0.0.1," },
	{ "action", "ACCEPT", "0,0,0,0,0,0,0,0,64,1,,1,0,127.0.0.1," },
	{ "action", "REJECT", "0,0,0,0,0,0,0,0,130,3,,1,0,127.0.0.1," },
	{ "action", "ACCEPTED", "0,0,0,0,0,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "action", "accept", "0,0,0,0,0,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "flow-direction", "ingress", "0,0,0,0,0,0,0,0,0,0,0,1,0,127.0.0.1," },
	{ "flow-direction", "egress", "0,0,0,0,0,0,0,0,0,0,1,0,1,127.0.0.1," },
	{ "flow-direction", "sideways", "0,0,0,0,0,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "interface-id", "eni-1235b8ca123456789", "0,0,0,0,0,0,0,0,0,0,,591751049,0,127.0.0.1," },
	{ "interface-id flow-direction", "eni-0000000abffffffff egress",
	  "0,0,0,0,0,0,0,0,0,0,1,0,4294967295,127.0.0.1," },
	{ "interface-id flow-direction", "eni-0000000ab00000001 ingress",
	  "0,0,0,0,0,0,0,0,0,0,0,1,0,127.0.0.1," },
	{ "interface-id", "eni-000000000", "0,0,0,0,0,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "interface-id", "eni-abcdefg", "0,0,0,0,0,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "interface-id", "ab", "0,0,0,0,0,0,0,0,0,0,,1,0,127.0.0.1," },
	{ "tgw-attachment-id", "tgw-attach-0123456789abcdef0",
	  "0,0,0,0,0,0,0,0,0,0,,2596069104,0,127.0.0.1," },
	{ "interface-id tgw-attachment-id", "eni-00000002 tgw-attach-00000003",
	  "0,0,0,0,0,0,0,0,0,0,,2,0,127.0.0.1," },
	{ "interface-id tgw-attachment-id", "- tgw-attach-00000003",
	  "0,0,0,0,0,0,0,0,0,0,,3,0,127.0.0.1," },
};

static void test_elements(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(elements); i++) {
		char names[256];
		char record[256];
		char expected[1024];
		(void)snprintf(names, sizeof(names), "srcaddr dstaddr %s", elements[i].names);
		(void)snprintf(record, sizeof(record), "10.0.0.1 10.0.0.2 %s", elements[i].values);
		(void)snprintf(expected, sizeof(expected), "%s10.0.0.1,10.0.0.2,,,%s\n",
			       elements_header, elements[i].expected);
		read_record(names, record);
		assert_string_equal(encode("ipfix-csv", NULL), expected);
	}
}

static void test_exporter(void **state)
{
	(void)state;
	char expected[1024];
	struct source six = { .domain = 1 };
	assert_true(source_set_exporter(&six, SLICE_LITERAL("2001:db8::ff")));
	read_record("srcaddr dstaddr", "::1 ::2");
	flow.source = &six;
	(void)snprintf(expected, sizeof(expected),
		       "%s,,::1,::2,0,0,0,0,0,0,0,0,0,0,,1,0,,2001:db8::ff\n", elements_header);
	assert_string_equal(encode("ipfix-csv", NULL), expected);
	assert_string_equal(encode("ftsq", NULL),
			    "::1,0,::2,0,0,0,0,0,0,0,0,2001:db8::ff,\"unknown\"\n");
}

/* ---- room ----------------------------------------------------------------------------------- */

/* 128 columns with the longest names. */
static void longest_names(char *text, bool dashes)
{
	size_t len = 0;
	for (unsigned i = 0; i < COLUMN_LIMIT; i++) {
		for (unsigned k = 0; k < COLUMN_NAME_LIMIT - 3; k++)
			text[len++] = dashes && k > 0 ? '-' : 'a';
		len += (size_t)snprintf(text + len, 8, "%03u ", i);
	}
	text[len] = '\0';
}

static void test_worst_line(void **state)
{
	(void)state;
	static const char octets[] = { '"', '\\', ',', 'a' };
	static const char *const outputs[] = { "csv", "json", "ftsq", "ipfix-csv" };
	static char names[COLUMN_LIMIT * (COLUMN_NAME_LIMIT + 2)];
	static char record[LINE_LIMIT + 1];
	size_t longest = 0;
	longest_names(names, true);
	for (size_t i = 0; i < COUNT_OF(octets); i++) {
		memset(record, octets[i], LINE_LIMIT);
		record[LINE_LIMIT] = '\0';
		for (unsigned k = 1; k < COLUMN_LIMIT; k++)
			record[LINE_LIMIT - 1 - 2 * k] = ' ';
		read_record(names, record);
		for (size_t k = 0; k < COUNT_OF(outputs); k++) {
			struct encoder e;
			const struct encoder_class *class = encoder_class_by_name(
				slice_text(outputs[k]));
			begin(&e, class, &format);
			out.len = 0;
			if (class->header != NULL)
				class->header(&e, &out);
			assert_true(out.len <= ENCODED_ROOM);
			out.len = 0;
			if (encoder_takes(&e, &flow))
				class->flow(&e, &flow, &out);
			assert_true(out.len <= ENCODED_ROOM);
			longest = out.len > longest ? out.len : longest;
		}
	}
	/* It was the worst: twice the line, and the names. */
	assert_true(longest > 2 * LINE_LIMIT + COLUMN_LIMIT * COLUMN_NAME_LIMIT - 1024);
}

static void test_classes(void **state)
{
	(void)state;
	static const char *const names[] = { "ftsq", "csv", "json", "ipfix-csv", "ipfix" };
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const struct encoder_class *class = encoder_class_by_name(slice_text(names[i]));
		assert_non_null(class);
		assert_string_equal(class->name, names[i]);
	}
	assert_null(encoder_class_by_name(SLICE_LITERAL("CSV")));
	assert_null(encoder_class_by_name(SLICE_LITERAL("cs")));
	assert_null(encoder_class_by_name(SLICE_NONE));
}

/* Columns that were chosen stay. */
static void test_choose_columns(void **state)
{
	(void)state;
	struct encoder e;
	struct encoder_settings settings = { .class = &encoder_csv };
	read_format(&columns, "bytes");
	read_format(&format, "srcaddr");
	encoder_init(&e, &settings);
	assert_true(encoder_needs_columns(&e));
	assert_true(encoder_begin(&e, &columns));
	assert_false(encoder_needs_columns(&e));
	assert_true(encoder_begin(&e, &format));
	assert_int_equal(e.columns.column[0].field, FIELD_BYTES);
	settings.columns = &format;
	encoder_init(&e, &settings);
	assert_false(encoder_needs_columns(&e));
	assert_true(encoder_begin(&e, &columns));
	assert_int_equal(e.columns.column[0].field, FIELD_SRCADDR);
}

/* ---- batches -------------------------------------------------------------------------------- */

/* Text has one lane, and a header ahead of each session's lines; a batch ends before it is full. */
static void test_batches(void **state)
{
	(void)state;
	struct encoder e;
	struct batch b;
	read_record("srcaddr dstaddr", "10.0.0.1 10.0.0.2");
	begin(&e, &encoder_csv, NULL);
	batch_init(&b, encoder_batch_size(&e));
	assert_true(buf_reserve(&b.bytes, encoder_batch_size(&e)));
	assert_int_equal(encoder_ahead(&e, ANY_LANE, 0, &b), STEP_MORE);
	for (unsigned session = 0; session < 2; session++) {
		encoder_new_session(&e);
		batch_clear(&b);
		assert_int_equal(encoder_ahead(&e, ANY_LANE, 0, &b), STEP_OK);
		assert_true(slice_equal(buf_slice(&b.bytes), SLICE_LITERAL("srcaddr,dstaddr\n")));
		assert_int_equal(encoder_ahead(&e, ANY_LANE, 0, &b), STEP_MORE);
	}
	encoder_repeat(&e);
	encoder_last_call(&e);
	assert_int_equal(encoder_ahead(&e, 0, 0, &b), STEP_MORE);
	batch_clear(&b);
	assert_int_equal(encoder_lane(&e, &flow), 0);
	unsigned lines = 0;
	while (encoder_add(&e, &flow, &b))
		lines++;
	assert_int_equal(b.records, lines);
	assert_int_equal(b.bytes.len, lines * strlen("10.0.0.1,10.0.0.2\n"));
	assert_in_range(b.bytes.max - b.bytes.len, ENCODED_ROOM - 32, ENCODED_ROOM);
	buf_deinit(&b.bytes);
	encoder_deinit(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	 cmocka_unit_test(test_elements),
		cmocka_unit_test(test_exporter), cmocka_unit_test(test_worst_line),
		cmocka_unit_test(test_classes),	 cmocka_unit_test(test_choose_columns),
		cmocka_unit_test(test_batches),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
