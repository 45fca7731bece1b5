/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves of the quick ways through a line, all that this machine can run, that what they take the
 * strict one takes, with the same values, the same lines out of every text output and the same IPFIX
 * records, and numbers of any length in these; that they take what AWS writes; and that they refuse
 * what it refuses: the golden rows, those rows with a few octets changed, every shape of an IPv4 address
 * and of a number near the end of its range, and IPv6 addresses of all kinds of groups and gaps.
 */
#include "support.h"

#include <arpa/inet.h>

#include "encode/encoder.h"
#include "encode/ipfix_record.h"
#include "flow/grouped.h"
#include "flow/quick.h"

enum { MUTATIONS = 25 };

static const char *const outputs[] = { "ftsq", "csv", "json", "ipfix-csv" };

/* Everything that a line needs on its way; big, so static where it is used. */
struct way {
	quick_parser parser[MACHINES];
	unsigned parsers;
	struct format format;
	struct source source;
	struct flow strict;
	struct flow quick;
	char *text; /* the line, with what may be read behind it */
	size_t taken[MACHINES];
	size_t good; /* lines that the strict one took */
};

static void way_init(struct way *w)
{
	memset(w, 0, sizeof(*w));
	for (w->parsers = 0; w->parsers <= machine_here(); w->parsers++)
		w->parser[w->parsers] = quick_parser_of((enum machine)w->parsers);
	w->source.domain = 1;
	assert_true(source_set_exporter(&w->source, SLICE_LITERAL("127.0.0.1")));
	w->strict.source = &w->source;
	w->quick.source = &w->source;
}

static void set_format(struct way *w, const char *format)
{
	struct slice where;
	assert_int_equal(format_parse(&w->format, slice_text(format), COLUMN_LIMIT, &where),
			 FORMAT_OK);
}

static void check_value(const struct way *w, unsigned column)
{
	const struct value *a = flow_column(&w->strict, column);
	const struct value *b = flow_column(&w->quick, column);
	struct slice text = flow_text(&w->strict, column);
	assert_true(slice_equal(text, flow_text(&w->quick, column)));
	assert_int_equal(a == NULL, b == NULL);
	if (a == NULL)
		return;
	assert_true(slice_equal(b->text, text));
	if (w->format.kind[column] == FIELD_ADDRESS)
		assert_true(address_equal(&a->address, &b->address));
	else if (w->format.kind[column] != FIELD_TEXT)
		assert_true(a->number == b->number);
}

/* What is asked of a field before anybody made a value of its column. */
static void check_field(const struct way *w, enum field field)
{
	const struct address *a = flow_address(&w->strict, field);
	const struct address *b = flow_address(&w->quick, field);
	if (field_is_number(field))
		assert_true(flow_number(&w->strict, field) == flow_number(&w->quick, field));
	if (field_kind(field) != FIELD_ADDRESS)
		return;
	assert_int_equal(a == NULL, b == NULL);
	assert_true(a == NULL || address_equal(a, b));
}

static void encode(const struct flow *flow, const char *output, const struct format *columns,
		   struct buf *out)
{
	struct encoder e;
	encoder_init(&e, &(struct encoder_settings){
				 .class = encoder_class_by_name(slice_text(output)),
				 .columns = columns,
			 });
	assert_true(encoder_begin(&e, flow->format));
	buf_init(out, ENCODED_ROOM);
	assert_true(buf_reserve(out, ENCODED_ROOM));
	if (encoder_takes(&e, flow))
		e.settings.class->flow(&e, flow, out);
}

static void check_output(const struct way *w, const char *output, const struct format *columns)
{
	struct buf strict;
	struct buf quick;
	encode(&w->strict, output, columns, &strict);
	encode(&w->quick, output, columns, &quick);
	if (!slice_equal(buf_slice(&strict), buf_slice(&quick)))
		fail_msg("%s of %s:\n%.*s%.*s", output, w->text, (int)strict.len, strict.data,
			 (int)quick.len, quick.data);
	buf_deinit(&strict);
	buf_deinit(&quick);
}

/* The record of a flow of this shape; gives back how many octets. */
static size_t put_record(const struct way *w, const struct flow *flow, enum machine machine,
			 bool packets, const struct record_shape *shape, char *to)
{
	struct record_columns columns;
	struct record_facts facts;
	record_columns_of(&columns, &w->format);
	record_reader_of(machine)(&facts, flow, &columns, packets);
	assert_int_equal(facts.variant, shape->variant);
	assert_true(slice_equal(facts.interface_id, element_interface_id(&w->strict)));
	assert_true(facts.number[RECORD_PACKETS] == flow_number(&w->strict, FIELD_PACKETS));
	assert_true(facts.number[RECORD_BYTES] == flow_number(&w->strict, FIELD_BYTES));
	return (size_t)(record_put(to, flow, &facts, shape) - to);
}

static void check_record(const struct way *w, enum machine machine)
{
	const struct encoder ipfix = { .settings.class = &encoder_ipfix };
	if (!encoder_takes(&ipfix, &w->strict))
		return;
	for (unsigned packets = 0; packets < 2; packets++) {
		enum { ROOM = 512 };
		char strict[ROOM];
		char quick[ROOM];
		struct record_shape shape;
		unsigned variant = element_variant(&w->strict, packets);
		record_shape_of(&shape, variant, NULL);
		assert_int_equal(element_variant(&w->quick, packets), variant);
		assert_int_equal(put_record(w, &w->strict, MACHINE_ANY, packets, &shape, strict),
				 shape.octets);
		assert_int_equal(put_record(w, &w->quick, machine, packets, &shape, quick),
				 shape.octets);
		assert_memory_equal(strict, quick, shape.octets);
	}
}

static void check_taken(struct way *w, enum machine machine)
{
	check_record(w, machine);
	assert_int_equal(flow_status(&w->strict), flow_status(&w->quick));
	for (unsigned i = 0; i < COUNT_OF(outputs); i++) {
		check_output(w, outputs[i], NULL);
		check_output(w, outputs[i], format_every_field());
	}
	for (unsigned f = 0; f < FIELD_COUNT; f++)
		check_field(w, f);
	for (unsigned i = 0; i < w->format.count; i++)
		check_value(w, i);
}

/* Behind the line stands what would be more of it. */
static void check_line(struct way *w, struct slice line)
{
	struct fault fault;
	w->text = malloc(line.len + QUICK_BEYOND);
	assert_non_null(w->text);
	if (line.len > 0)
		memcpy(w->text, line.data, line.len);
	for (size_t i = 0; i < QUICK_BEYOND; i++)
		w->text[line.len + i] = "7 -.0:\n"[i % 7];
	line.data = w->text;
	bool good = flow_parse(&w->strict, &w->format, line, &fault);
	w->good += good;
	for (unsigned i = 0; i < w->parsers; i++) {
		memset(&w->quick.words, 0xa5, sizeof(w->quick.words));
		if (!w->parser[i](&w->quick, &w->format, line))
			continue;
		if (!good)
			fail_msg("parser %u takes %.*s", i, (int)line.len, line.data);
		w->taken[i]++;
		check_taken(w, (enum machine)i);
	}
	free(w->text);
}

/* One to three octets become others, of those that mean something somewhere. */
static void mutate(struct dice *dice, char *text, size_t *len)
{
	static const char octets[] = " -.:09125afg=+@\",\\/\x7f\xc3\n";
	for (size_t n = 1 + dice_below(dice, 3); n > 0 && *len > 0; n--) {
		size_t at = dice_below(dice, *len);
		char c = octets[dice_below(dice, sizeof(octets))];
		switch (dice_below(dice, 3)) {
		case 0:
			text[at] = c;
			break;
		case 1:
			memmove(text + at, text + at + 1, --*len - at);
			break;
		default:
			memmove(text + at + 1, text + at, (*len)++ - at);
			text[at] = c;
		}
	}
}

static void check_row(struct way *w, struct dice *dice, const char *format, struct slice line)
{
	set_format(w, format);
	check_line(w, line);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		char *text = malloc(line.len + 3);
		size_t len = line.len;
		assert_non_null(text);
		memcpy(text, line.data, len);
		mutate(dice, text, &len);
		check_line(w, slice_of(text, len));
		free(text);
	}
}

static void test_rows(void **state)
{
	(void)state;
	static struct way w;
	static const struct {
		const char *path;
		unsigned columns;
	} files[] = {
		{ TEST_DATA "/rows-records.tsv", 4 },
		{ TEST_DATA "/aws-docs-records.tsv", 3 },
	};
	struct dice dice = { 1 };
	way_init(&w);
	for (unsigned i = 0; i < COUNT_OF(files); i++) {
		struct rows r;
		rows_open(&r, files[i].path);
		while (rows_next(&r, files[i].columns))
			if (strcmp(r.column[0], "name") != 0)
				check_row(&w, &dice, r.column[1], unescape_row(r.column[2]));
	}
	assert_true(w.good > 5000);
	for (unsigned i = 0; i < w.parsers; i++)
		assert_true(w.taken[i] > w.good / 10 * 8);
}

/* What AWS's documentation shows is what it writes: nothing of it is left to the strict way. */
static void test_all_taken(void **state)
{
	(void)state;
	static struct way w;
	struct rows r;
	size_t lines = 0;
	way_init(&w);
	rows_open(&r, TEST_DATA "/aws-docs-records.tsv");
	while (rows_next(&r, 3)) {
		if (strcmp(r.column[0], "name") == 0)
			continue;
		set_format(&w, r.column[1]);
		check_line(&w, slice_text(r.column[2]));
		lines++;
	}
	assert_int_equal(lines, 32);
	assert_int_equal(w.good, lines);
	/* One is printed there with a space too many. */
	for (unsigned i = 0; i < w.parsers; i++)
		assert_int_equal(w.taken[i], lines - 1);
}

/* Formats of one to all columns, in lines that end at any place of a block. */
static void test_widths(void **state)
{
	(void)state;
	static struct way w;
	static const char *const words[] = {
		"-", "a", "7", "eni-0123456789abcdef0", "65535", "=x"
	};
	static const char *const kinds[] = {
		"u%u", "u%u", "bytes", "interface-id", "srcport", "u%u"
	};
	struct dice dice = { 3 };
	way_init(&w);
	for (unsigned i = 0; i < 3000; i++) {
		struct buf format;
		struct buf line;
		bool used[COUNT_OF(words)] = { false };
		unsigned columns = 1 + (unsigned)dice_below(&dice, i % 3 == 0 ? COLUMN_LIMIT : 12);
		buf_init(&format, 1 << 16);
		buf_init(&line, 1 << 16);
		for (unsigned c = 0; c < columns; c++) {
			size_t which = dice_below(&dice, COUNT_OF(words) - (i % 8 != 0));
			char name[32];
			bool again = used[which] && kinds[which][0] != 'u';
			(void)snprintf(name, sizeof(name), again ? "u%u" : kinds[which], c);
			used[which] = true;
			add_text(&format, name);
			add_text(&format, " ");
			add_text(&line, c == 0 ? "" : " ");
			add_text(&line, words[which]);
		}
		assert_true(buf_add(&format, "", 1));
		set_format(&w, format.data);
		check_line(&w, buf_slice(&line));
		buf_deinit(&format);
		buf_deinit(&line);
	}
	for (unsigned i = 0; i < w.parsers; i++)
		assert_int_equal(w.taken[i], w.good);
}

/* As many columns as there may be, and behind them more than a block without a space. */
static void test_more_columns(void **state)
{
	(void)state;
	static struct way w;
	struct buf format;
	struct buf line;
	buf_init(&format, 1 << 16);
	buf_init(&line, 1 << 16);
	way_init(&w);
	for (unsigned i = 0; i < COLUMN_LIMIT; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "u%u ", i);
		add_text(&format, name);
		add_text(&line, "7 ");
	}
	assert_true(buf_add(&format, "", 1));
	set_format(&w, format.data);
	for (unsigned i = 0; i < 200; i++) {
		add_text(&line, "7");
		check_line(&w, buf_slice(&line));
	}
	assert_int_equal(w.good, 0);
	buf_deinit(&format);
	buf_deinit(&line);
}

/* Each group with each of these texts, which are all of the shapes there are, and some that are none. */
static void test_dotted(void **state)
{
	(void)state;
	static struct way w;
	static const char *const groups[] = { "0", "9", "10", "99", "100", "255", "256", "01", "" };
	enum { GROUPS = COUNT_OF(groups) };
	char line[64];
	way_init(&w);
	set_format(&w, "srcaddr dstaddr");
	for (unsigned i = 0; i < GROUPS * GROUPS * GROUPS * GROUPS; i++) {
		const char *a = groups[i % GROUPS];
		const char *b = groups[i / GROUPS % GROUPS];
		const char *c = groups[i / GROUPS / GROUPS % GROUPS];
		const char *d = groups[i / GROUPS / GROUPS / GROUPS];
		(void)snprintf(line, sizeof(line), "1.2.3.4 %s.%s.%s.%s", a, b, c, d);
		check_line(&w, slice_text(line));
		if (i % 97 == 0) {
			(void)snprintf(line, sizeof(line), "2001:db8::%s %s.%s.%s.%s.1", a, b, c, d,
				       a);
			check_line(&w, slice_text(line));
		}
	}
	assert_true(w.good >= 6 * 6 * 6 * 6);
	for (unsigned i = 0; i < w.parsers; i++)
		assert_int_equal(w.taken[i], w.good);
}

/* Up to nine groups, of any of these texts, so that there are all kinds of gaps, and mistakes. */
static void test_grouped(void **state)
{
	(void)state;
	static struct way w;
	static const char *const groups[] = { "0",  "1", "8b4c", "db8",	  "",	"",	  "fde",
					      "af", "A", "g",	 "12345", ".1", "1.2.3.4" };
	enum { USUAL = 8, LINES = 8000 };
	struct dice dice = { 9 };
	way_init(&w);
	set_format(&w, "srcaddr dstaddr");
	for (unsigned i = 0; i < LINES; i++) {
		char line[128] = "2001:db8:1234:a100:8b4c:cdca:3fde:fb6f ";
		size_t kinds = dice_below(&dice, 4) == 0 ? COUNT_OF(groups) : USUAL;
		for (size_t left = dice_below(&dice, 10); left > 0; left--) {
			strcat(line, groups[dice_below(&dice, kinds)]);
			strcat(line, left > 1 ? ":" : "");
		}
		check_line(&w, slice_text(line));
	}
	assert_in_range(w.good, LINES / 50, LINES / 2);
	for (unsigned i = 0; i < w.parsers; i++)
		assert_int_equal(w.taken[i], w.good);
}

/* As inet_ntop writes them, which is as AWS does, nothing is left to others. */
static void test_grouped_as_written(void **state)
{
	(void)state;
	struct dice dice = { 10 };
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t octets[GROUPED_OCTETS];
		uint8_t read[GROUPED_OCTETS];
		char text[GROUPED_READ + INET6_ADDRSTRLEN] = "";
		size_t zeros = dice_below(&dice, GROUPED_OCTETS);
		for (unsigned k = 0; k < GROUPED_OCTETS; k++)
			octets[k] = dice_below(&dice, GROUPED_OCTETS) < zeros
					    ? 0
					    : (uint8_t)dice_below(&dice, 256);
		assert_non_null(inet_ntop(AF_INET6, octets, text, sizeof(text)));
		if (strchr(text, '.') != NULL)
			continue;
		assert_true(grouped_octets(text, strlen(text), read));
		assert_memory_equal(read, octets, sizeof(octets));
	}
}

/* Numbers around the end of each range, and with zeros before them. */
static void test_ranges(void **state)
{
	(void)state;
	static struct way w;
	static const char *const fields[] = { "protocol", "srcport", "version", "bytes", "start" };
	static const uint64_t numbers[] = {
		0,
		9,
		10,
		99,
		100,
		254,
		255,
		256,
		9999,
		10000,
		65534,
		65535,
		65536,
		99999,
		100000,
		1999999999,
		2000000000,
		2147483647,
		2147483648,
		4294967294,
		4294967295,
		4294967296,
		9999999999,
		1418530010000,
		99999999999999999,
		UINT64_MAX / 2,
		UINT64_MAX,
	};
	char line[64];
	way_init(&w);
	for (unsigned f = 0; f < COUNT_OF(fields); f++) {
		set_format(&w, fields[f]);
		for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
			for (int zeros = 0; zeros < 4; zeros++) {
				(void)snprintf(line, sizeof(line), "%.*s%llu", zeros, "000",
					       (unsigned long long)numbers[i]);
				check_line(&w, slice_text(line));
			}
		}
		check_line(&w, SLICE_LITERAL("18446744073709551616"));
		check_line(&w, SLICE_LITERAL("-1"));
		check_line(&w, SLICE_LITERAL("1-"));
		check_line(&w, SLICE_LITERAL("--"));
	}
	assert_true(w.good > 300);
	for (unsigned i = 0; i < w.parsers; i++)
		assert_true(w.taken[i] > w.good / 10 * 8);
}

/* Numbers longer than any number is, over the ends of blocks, with a number behind them. */
static void test_long_numbers(void **state)
{
	(void)state;
	static struct way w;
	static const char *const formats[] = { "interface-id protocol srcport",
					       "interface-id dstport srcport",
					       "interface-id end srcport" };
	enum { DIGITS = 300, TEXT = 70 };
	char digits[DIGITS];
	char text[TEXT];
	way_init(&w);
	memset(text, 'x', sizeof(text));
	for (unsigned f = 0; f < COUNT_OF(formats); f++) {
		set_format(&w, formats[f]);
		for (int len = 1; len < DIGITS; len += len < 24 || len > 250 ? 1 : 7) {
			char line[DIGITS + TEXT + 16];
			memset(digits, len % 2 ? '1' : '0', sizeof(digits));
			digits[len - 1] = '1';
			for (int before = 1; before < TEXT; before += 17) {
				(void)snprintf(line, sizeof(line), "%.*s %.*s 65535", before, text,
					       len, digits);
				check_line(&w, slice_text(line));
			}
		}
	}
	for (unsigned i = 0; i < w.parsers; i++)
		assert_true(w.taken[i] > 0);
}

/* All numbers of a record, of as many digits as there are, in formats that have some of them or all. */
static void test_records(void **state)
{
	(void)state;
	static struct way w;
#define WHOLE "srcaddr dstaddr interface-id action srcport dstport protocol packets bytes start end"
	static const char *const formats[] = {
		WHOLE " tcp-flags",
		WHOLE,
		"srcaddr dstaddr interface-id action srcport dstport protocol packets bytes start",
		"srcaddr dstaddr interface-id action srcport dstport",
	};
	static const char *const actions[] = { "ACCEPT", "REJECT", "accept", "-", "ACCEPTED" };
	enum { LINES = 8000 };
	struct dice dice = { 5 };
	way_init(&w);
	for (unsigned i = 0; i < LINES; i++) {
		const char *format = formats[i % COUNT_OF(formats)];
		char line[512];
		int len = snprintf(line, sizeof(line), "10.0.0.%u 172.31.9.69 eni-%08x %s", i % 256,
				   (unsigned)dice_below(&dice, UINT32_MAX),
				   actions[dice_below(&dice, COUNT_OF(actions))]);
		set_format(&w, format);
		for (unsigned c = 4; c < w.format.count; c++) {
			bool narrow = w.format.kind[c] < FIELD_U64;
			uint64_t most = w.format.kind[c] == FIELD_U8 ? UINT8_MAX : UINT16_MAX;
			uint64_t n = (uint64_t)dice_below(&dice, UINT32_MAX) << 32 |
				     dice_below(&dice, UINT32_MAX);
			n = narrow ? n % (most + 1) : n >> dice_below(&dice, 64);
			len += snprintf(line + len, sizeof(line) - (size_t)len,
					dice_below(&dice, 100) == 0 ? " -" : " %llu",
					(unsigned long long)n);
		}
		check_line(&w, slice_of(line, (size_t)len));
	}
	assert_int_equal(w.good, LINES);
	for (unsigned i = 0; i < w.parsers; i++)
		assert_int_equal(w.taken[i], w.good);
}

/* Columns of every kind at every place there is, among texts of any width. */
static void test_places(void **state)
{
	(void)state;
	static struct way w;
	static const char *const known[] = { "protocol", "start", "srcport", "bytes", "srcaddr" };
	static const char *const numbers[] = {
		"6",	 "-",	       "255",	 "256",	     "65535",
		"65536", "1418530010", "100000", "12345678", "9999999999999999999"
	};
	enum { KNOWN = COUNT_OF(known) };
	struct dice dice = { 7 };
	way_init(&w);
	for (unsigned i = 0; i < 16 * COLUMN_LIMIT; i++) {
		char format[COLUMN_LIMIT * 16];
		char line[COLUMN_LIMIT * 32];
		size_t at = 0;
		size_t len = 0;
		unsigned first = i % (COLUMN_LIMIT - 2 * KNOWN + 2);
		for (unsigned c = 0; c < first + 2 * KNOWN - 1; c++) {
			unsigned k = c < first ? 1 : c - first;
			bool text = k % 2 != 0;
			const char *number = numbers[dice_below(&dice, COUNT_OF(numbers))];
			char name[16];
			const char *value = k / 2 == KNOWN - 1 ? "10.0.0.1" : number;
			int most = text ? 1 + (int)dice_below(&dice, 12) : (int)strlen(value);
			(void)snprintf(name, sizeof(name), "u%u", c);
			at += (size_t)snprintf(format + at, sizeof(format) - at, "%s ",
					       text ? name : known[k / 2]);
			len += (size_t)snprintf(line + len, sizeof(line) - len, "%.*s ", most,
						text ? "interface-id" : value);
		}
		set_format(&w, format);
		check_line(&w, slice_of(line, len - 1));
	}
	assert_in_range(w.good, COLUMN_LIMIT, 16 * COLUMN_LIMIT - 1);
	for (unsigned i = 0; i < w.parsers; i++)
		assert_int_equal(w.taken[i], w.good);
}

/* Numbers of many digits and of few, a word of columns apart. */
static void test_apart(void **state)
{
	(void)state;
	static struct way w;
	static const char *const values[][2] = {
		{ "12345678901", "6" }, { "1", "255" }, { "1", "256" }, { "12345678901", "256" }
	};
	enum { APART = 64, GOOD = 2 };
	way_init(&w);
	for (unsigned i = 0; i < APART; i++)
		for (unsigned k = 0; k < COUNT_OF(values); k++) {
			char format[COLUMN_LIMIT * 16] = "";
			char line[COLUMN_LIMIT * 16] = "";
			size_t at = 0;
			size_t len = 0;
			for (unsigned c = 0; c <= APART + i; c++) {
				const char *value = c == i	     ? values[k][0]
						    : c == APART + i ? values[k][1]
								     : "text";
				char name[16];
				(void)snprintf(name, sizeof(name), "u%u", c);
				at += (size_t)snprintf(format + at, sizeof(format) - at, "%s ",
						       c == i		? "bytes"
						       : c == APART + i ? "protocol"
									: name);
				len += (size_t)snprintf(line + len, sizeof(line) - len, "%s ",
							value);
			}
			set_format(&w, format);
			check_line(&w, slice_of(line, len - 1));
		}
	assert_int_equal(w.good, GOOD * APART);
	for (unsigned i = 0; i < w.parsers; i++)
		assert_int_equal(w.taken[i], w.good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	     cmocka_unit_test(test_all_taken),
		cmocka_unit_test(test_widths),	     cmocka_unit_test(test_more_columns),
		cmocka_unit_test(test_grouped),	     cmocka_unit_test(test_grouped_as_written),
		cmocka_unit_test(test_dotted),	     cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_long_numbers), cmocka_unit_test(test_records),
		cmocka_unit_test(test_places),	     cmocka_unit_test(test_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
