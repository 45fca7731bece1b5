/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the way of one record from a line of text to a line of output. rows-records.tsv has a row
 * for every field of every version: with a value, without, and with what its type must refuse.
 * rows-aws-docs.tsv has the records of AWS's documentation in every text output, as worked out from
 * the documentation and not from what the program prints.
 */
#include "support.h"

#include "decode/logevents.h"
#include "encode/encoder.h"
#include "flow/flow.h"

/* Everything that a record needs on its way; big, so static where it is used. */
struct way {
	struct format format;
	struct source source;
	struct flow flow;
	struct document document;
	struct logevents events;
	struct encoder encoder;
	struct buf out;
	bool value[FIELD_COUNT]; /* fields that were converted with a value */
	bool none[FIELD_COUNT];	 /* and without */
};

static void way_init(struct way *w)
{
	memset(w, 0, sizeof(*w));
	w->source.domain = 1;
	assert_true(source_set_exporter(&w->source, SLICE_LITERAL("127.0.0.1")));
	logevents_init(&w->events);
	buf_init(&w->out, ENCODED_ROOM);
	assert_true(buf_reserve(&w->out, ENCODED_ROOM));
}

static void way_deinit(struct way *w)
{
	logevents_deinit(&w->events);
	buf_deinit(&w->out);
}

static void set_format(struct way *w, const char *format)
{
	struct slice where;
	if (format_parse(&w->format, slice_text(format), COLUMN_LIMIT, &where) != FORMAT_OK)
		fail_msg("bad format in row: %s", format);
}

static const char *verdict(struct way *w, const char *text)
{
	w->out.len = 0;
	buf_put(&w->out, slice_text(text));
	return text;
}

static void begin_encoder(struct way *w, const struct encoder_class *class)
{
	encoder_init(&w->encoder, &(struct encoder_settings){ .class = class });
	assert_true(encoder_begin(&w->encoder, &w->format));
}

/* Encodes the flow into w->out, without its line end. */
static void encode(struct way *w, const char *output)
{
	const struct encoder_class *class = encoder_class_by_name(slice_text(output));
	assert_non_null(class);
	begin_encoder(w, class);
	w->out.len = 0;
	if (!encoder_takes(&w->encoder, &w->flow)) {
		verdict(w, "no_address");
		return;
	}
	class->flow(&w->encoder, &w->flow, &w->out);
	assert_true(w->out.len > 0 && w->out.data[w->out.len - 1] == '\n');
	w->out.len--;
}

static void remember_fields(struct way *w)
{
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		bool there = flow_value(&w->flow, i) != NULL;
		w->value[i] = w->value[i] || there;
		w->none[i] = w->none[i] || (!there && w->format.place[i] >= 0);
	}
}

/* One record, all the way: the verdict is in w->out. */
static void run(struct way *w, struct slice record, const char *output)
{
	struct event event;
	struct fault fault;
	char text[64];
	w->document = (struct document){
		.kind = DOCUMENT_LINES,
		.text = (char *)(uintptr_t)record.data,
		.len = record.len,
	};
	logevents_open(&w->events, &w->document);
	if (!logevents_next(&w->events, &event)) {
		verdict(w, "nothing");
		return;
	}
	assert_false(event.broken);
	assert_false(event.json);
	w->flow.source = &w->source;
	if (!flow_parse(&w->flow, &w->format, event.text, &fault)) {
		(void)snprintf(text, sizeof(text), "!%s %zu", fault_name(fault.code), fault.column);
		verdict(w, text);
	} else if (flow_status(&w->flow) == FLOW_NODATA) {
		verdict(w, "NODATA");
	} else if (flow_status(&w->flow) == FLOW_SKIPDATA) {
		verdict(w, "SKIPDATA");
	} else {
		remember_fields(w);
		encode(w, output);
	}
	assert_false(logevents_next(&w->events, &event));
}

static bool expect(struct way *w, const char *name, const char *expected)
{
	if (slice_equal(buf_slice(&w->out), slice_text(expected)))
		return true;
	print_error("%s\n  expected %s\n  got      %.*s\n", name, expected, (int)w->out.len,
		    w->out.data);
	return false;
}

static void test_records(void **state)
{
	(void)state;
	static struct way w;
	struct rows r;
	unsigned wrong = 0;
	unsigned records = 0;
	way_init(&w);
	rows_open(&r, TEST_DATA "/rows-records.tsv");
	while (rows_next(&r, 4)) {
		set_format(&w, r.column[1]);
		run(&w, unescape_row(r.column[2]), r.column[3][0] == '{' ? "json" : "ftsq");
		wrong += !expect(&w, r.column[0], r.column[3]);
		records++;
	}
	for (unsigned i = 0; i < FIELD_COUNT; i++)
		if (!w.value[i] || !w.none[i])
			fail_msg("no row for field %s", field_name(i).data);
	way_deinit(&w);
	assert_int_equal(wrong, 0);
	assert_in_range(records, 800, 5000);
}

/* ---- AWS's documentation -------------------------------------------------------------------- */

struct example {
	char *name, *format, *record;
	unsigned outputs; /* rows that were seen of it */
};

static unsigned read_examples(struct example *example, unsigned most)
{
	struct rows r;
	unsigned n = 0;
	rows_open(&r, TEST_DATA "/aws-docs-records.tsv");
	while (rows_next(&r, 3)) {
		if (strcmp(r.column[0], "name") == 0)
			continue;
		assert_true(n < most);
		example[n++] = (struct example){
			.name = strdup(r.column[0]),
			.format = strdup(r.column[1]),
			.record = strdup(r.column[2]),
		};
	}
	return n;
}

static void header(struct way *w)
{
	begin_encoder(w, &encoder_csv);
	w->out.len = 0;
	encoder_csv.header(&w->encoder, &w->out);
	assert_true(w->out.len > 0 && w->out.data[w->out.len - 1] == '\n');
	w->out.len--;
}

static void test_aws_documentation(void **state)
{
	(void)state;
	static struct way w;
	static struct example example[64];
	struct rows r;
	unsigned wrong = 0;
	unsigned examples = read_examples(example, COUNT_OF(example));
	way_init(&w);
	rows_open(&r, TEST_DATA "/rows-aws-docs.tsv");
	while (rows_next(&r, 3)) {
		unsigned i = 0;
		while (i < examples && strcmp(example[i].name, r.column[0]) != 0)
			i++;
		assert_true(i < examples);
		example[i].outputs += strcmp(r.column[1], "csv-header") != 0;
		set_format(&w, example[i].format);
		if (strcmp(r.column[1], "csv-header") == 0)
			header(&w);
		else
			run(&w, slice_text(example[i].record), r.column[1]);
		wrong += !expect(&w, r.column[0], r.column[2]);
	}
	assert_int_equal(examples, 32);
	for (unsigned i = 0; i < examples; i++) {
		assert_int_equal(example[i].outputs, 4);
		free(example[i].name);
		free(example[i].format);
		free(example[i].record);
	}
	way_deinit(&w);
	assert_int_equal(wrong, 0);
}

/* ---- records by name ------------------------------------------------------------------------ */

static const struct {
	const char *object;
	const char *verdict;
} objects[] = {
	{ "{\"srcAddr\":\"10.0.0.1\",\"dstAddr\":\"10.0.0.2\",\"bytes\":40}",
	  "{\"srcaddr\":\"10.0.0.1\",\"dstaddr\":\"10.0.0.2\",\"bytes\":40}" },
	{ "{\"bytes\":\"40\",\"srcAddr\":\"10.0.0.1\"}",
	  "{\"srcaddr\":\"10.0.0.1\",\"bytes\":40}" },
	{ "{\"bytes\":18446744073709551615}", "{\"bytes\":18446744073709551615}" },
	{ "{\"bytes\":18446744073709551616}", "!range" },
	{ "{\"bytes\":1e3}", "!number" },
	{ "{\"bytes\":-1}", "!number" },
	{ "{\"bytes\":1.0}", "!number" },
	{ "{\"bytes\":true}", "!number" },
	{ "{\"protocol\":256}", "!range" },
	{ "{\"srcAddr\":\"x\"}", "!address" },
	{ "{\"srcAddr\":1}", "!address" },
	{ "{\"action\":\"=1\"}", "!text" },
	{ "{\"action\":\"a b\"}", "!text" },
	{ "{\"action\":\"caf\\u00e9\"}", "!text" },
	{ "{\"action\":\"a\\u0000\"}", "!message_json" },
	{ "{\"action\":\"\\u0041CCEPT\",\"type\":\"IP\\u00764\"}",
	  "{\"action\":\"ACCEPT\",\"type\":\"IPv4\"}" },
	{ "{\"accountId\":123456789012}", "{\"account_id\":\"123456789012\"}" },
	{ "{\"bytes\":null,\"packets\":1}", "{\"packets\":1}" },
	{ "{\"bytes\":\"\",\"packets\":\"-\",\"version\":2}", "{\"version\":2}" },
	{ "{\"bytes\":1,\"unknown\":[{\"bytes\":2}]}", "{\"bytes\":1}" },
	{ "{\"bytes\":1,\"bytes\":2}", "{\"bytes\":1}" },
	{ "{ \"bytes\" : 1 } ", "{\"bytes\":1}" },
	{ "{\"logStatus\":\"NODATA\",\"bytes\":null}", "NODATA" },
	{ "{\"logStatus\":\"SKIPDATA\"}", "SKIPDATA" },
	{ "{\"bytes\":{}}", "!message_json" },
	{ "{\"bytes\":[1]}", "!message_json" },
	{ "{}", "!message_json" },
	{ "{\"hello\":1}", "!message_json" },
	{ "{\"bytes\":1", "!message_json" },
	{ "{\"bytes\":1}x", "!message_json" },
	{ "[1]", "!message_json" },
	{ "{\"x\":{\"x\":{\"x\":{\"x\":{}}}},\"bytes\":1}", "!message_json" },
	{ "{\"x\":{\"x\":{\"x\":1}},\"bytes\":1}", "{\"bytes\":1}" },
};

static void run_object(struct way *w, struct slice object)
{
	struct fault fault;
	struct buf scratch;
	char text[64];
	buf_init(&scratch, LINE_LIMIT);
	w->flow.source = &w->source;
	if (!logevents_parse_json(&w->flow, object, 4, &scratch, &fault)) {
		(void)snprintf(text, sizeof(text), "!%s", fault_name(fault.code));
		verdict(w, text);
	} else if (flow_status(&w->flow) != FLOW_RECORD) {
		verdict(w, flow_status(&w->flow) == FLOW_NODATA ? "NODATA" : "SKIPDATA");
	} else {
		encode(w, "json");
	}
	buf_deinit(&scratch);
}

static void test_objects(void **state)
{
	(void)state;
	static struct way w;
	unsigned wrong = 0;
	way_init(&w);
	for (size_t i = 0; i < COUNT_OF(objects); i++) {
		run_object(&w, slice_text(objects[i].object));
		wrong += !expect(&w, objects[i].object, objects[i].verdict);
	}
	way_deinit(&w);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_aws_documentation),
		cmocka_unit_test(test_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
