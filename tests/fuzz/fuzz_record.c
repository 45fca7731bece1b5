/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: a line with a flow format, then a record.
 * Held: what the quick ways take the strict one takes, with the same values, and all encoders make the
 * same lines of it, and the same IPFIX record; what is refused has a record's fault and a column that there is; no text encoder writes more
 * than ENCODED_ROOM octets, nor anything but printable ASCII and one line end; csv reads back as
 * the same values by RFC 4180; json is one object of the same values, and no name comes twice.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "decode/json.h"
#include "encode/encoder.h"
#include "encode/ipfix_record.h"
#include "flow/quick.h"
#include "fuzz.h"

static void check_fault(const struct fault *fault, const struct format *f, struct slice line)
{
	CHECK(fault->code == FAULT_COLUMNS || fault->code == FAULT_NUMBER ||
	      fault->code == FAULT_RANGE || fault->code == FAULT_ADDRESS ||
	      fault->code == FAULT_TEXT);
	CHECK(fault->offset <= line.len);
	if (fault->code == FAULT_COLUMNS)
		CHECK(fault->column != f->count);
	else
		CHECK(fault->column < f->count);
}

/* A column as text, without its quotes or escapes. */
static struct slice expected(const struct format *columns, unsigned column, const struct flow *flow,
			     char room[24])
{
	enum field field = columns->column[column].field;
	int from = encoder_column(columns, column, flow);
	const struct value *v = from < 0 ? NULL : flow_column(flow, (unsigned)from);
	if (v == NULL)
		return SLICE_NONE;
	if (!field_is_number(field))
		return v->text;
	bool time = field_kind(field) == FIELD_TIME;
	(void)snprintf(room, 24, "%" PRIu64, time ? time_seconds(v->number) : v->number);
	return slice_text(room);
}

/* Takes one field of a CSV line and the comma or line end after it (RFC 4180 section 2). */
static void take_csv(struct slice *line, struct buf *text)
{
	text->len = 0;
	bool quoted = line->len > 0 && line->data[0] == '"';
	slice_skip(line, quoted);
	for (;;) {
		CHECK(line->len > 0);
		char c = line->data[0];
		if (quoted && c == '"') {
			slice_skip(line, 1);
			CHECK(line->len > 0);
			c = line->data[0];
			quoted = c == '"';
			CHECK(quoted || c == ',' || c == '\n');
		} else {
			CHECK(quoted || c != '"');
		}
		slice_skip(line, 1);
		if (!quoted && (c == ',' || c == '\n'))
			return;
		fuzz_add(text, slice_of(&c, 1));
	}
}

static void check_csv(const struct encoder *e, const struct flow *flow, struct slice line)
{
	struct buf text;
	buf_init(&text, SIZE_MAX / 2);
	for (unsigned i = 0; i < e->columns.count; i++) {
		char room[24];
		take_csv(&line, &text);
		CHECK(slice_equal(buf_slice(&text), expected(&e->columns, i, flow, room)));
	}
	CHECK(line.len == 0);
	buf_deinit(&text);
}

static void check_json(const struct format *columns, const struct flow *flow, struct slice line)
{
	CHECK(json_is_object(line, 1));
	cJSON *root = cJSON_ParseWithLengthOpts(line.data, line.len, NULL, 0);
	CHECK(root != NULL);
	const cJSON *member = root->child;
	for (unsigned i = 0; i < columns->count; i++) {
		char room[24];
		enum field field = columns->column[i].field;
		struct slice text = expected(columns, i, flow, room);
		if (text.len == 0)
			continue;
		CHECK(member != NULL);
		CHECK(cJSON_GetObjectItemCaseSensitive(root, member->string) == member);
		if (field != FIELD_UNKNOWN)
			CHECK(slice_equal(slice_text(member->string), field_column_name(field)));
		if (field_is_number(field))
			CHECK(cJSON_IsNumber(member) && member->valuedouble == strtod(room, NULL));
		else
			CHECK(slice_equal(slice_text(member->valuestring), text));
		member = member->next;
	}
	CHECK(member == NULL);
	cJSON_Delete(root);
}

static void check_line(struct slice line)
{
	CHECK(line.len > 0 && line.len <= ENCODED_ROOM && line.data[line.len - 1] == '\n');
	for (size_t i = 0; i + 1 < line.len; i++)
		CHECK(line.data[i] >= ' ' && line.data[i] <= '~');
}

static void check_encoder(const struct encoder_class *class, const struct format *columns,
			  const struct flow *flow)
{
	struct encoder e;
	struct buf out;
	encoder_init(&e, &(struct encoder_settings){ .class = class, .columns = columns });
	CHECK(encoder_begin(&e, flow->format));
	/* Exactly that much: an octet more is the sanitizer's. */
	buf_init(&out, ENCODED_ROOM);
	CHECK(buf_reserve(&out, ENCODED_ROOM));
	if (class->header != NULL) {
		class->header(&e, &out);
		check_line(buf_slice(&out));
		out.len = 0;
	}
	if (encoder_takes(&e, flow)) {
		class->flow(&e, flow, &out);
		check_line(buf_slice(&out));
		if (class == &encoder_csv)
			check_csv(&e, flow, buf_slice(&out));
		if (class == &encoder_json)
			check_json(e.has_columns ? &e.columns : flow->format, flow,
				   buf_slice(&out));
	}
	buf_deinit(&out);
}

/* ---- the quick ways -------------------------------------------------------------------------- */

static bool same_value(enum field_kind kind, const struct value *a, const struct value *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (!slice_equal(a->text, b->text))
		return false;
	if (kind == FIELD_ADDRESS)
		return address_equal(&a->address, &b->address);
	return kind == FIELD_TEXT || a->number == b->number;
}

static void check_same_line(const struct encoder_class *class, const struct format *columns,
			    const struct flow *a, const struct flow *b)
{
	struct encoder e;
	struct buf line[2];
	encoder_init(&e, &(struct encoder_settings){ .class = class, .columns = columns });
	CHECK(encoder_begin(&e, a->format));
	for (unsigned i = 0; i < 2; i++) {
		buf_init(&line[i], ENCODED_ROOM);
		CHECK(buf_reserve(&line[i], ENCODED_ROOM));
		class->flow(&e, i == 0 ? a : b, &line[i]);
	}
	CHECK(slice_equal(buf_slice(&line[0]), buf_slice(&line[1])));
	buf_deinit(&line[0]);
	buf_deinit(&line[1]);
}

/* The record of a flow with two addresses of one family, whose octets it gives back. */
static size_t put_record(const struct flow *flow, record_reader facts_of, bool packets,
			 unsigned variant, char *to)
{
	struct record_columns columns;
	struct record_facts facts;
	struct record_shape shape;
	record_columns_of(&columns, flow->format);
	record_shape_of(&shape, variant, NULL);
	facts_of(&facts, flow, &columns, packets);
	CHECK(facts.variant == variant);
	return (size_t)(record_put(to, flow, &facts, &shape) - to);
}

static void check_same_record(const struct flow *a, const struct flow *b, enum machine machine)
{
	const struct encoder ipfix = { .settings.class = &encoder_ipfix };
	if (!encoder_takes(&ipfix, a))
		return;
	for (unsigned packets = 0; packets < 2; packets++) {
		enum { ROOM = 512 };
		char record[2][ROOM];
		unsigned variant = element_variant(a, packets);
		CHECK(element_variant(b, packets) == variant);
		size_t octets = put_record(a, record_facts_anywhere, packets, variant, record[0]);
		CHECK(put_record(b, record_reader_of(machine), packets, variant, record[1]) ==
		      octets);
		CHECK(memcmp(record[0], record[1], octets) == 0);
	}
}

static void check_quick(enum machine machine, const struct flow *flow, struct slice line)
{
	struct flow quick = { .source = flow->source };
	struct buf roomy;
	static const char beyond[QUICK_BEYOND] = "12 3.4:5";
	buf_init(&roomy, SIZE_MAX / 2);
	fuzz_add(&roomy, line);
	fuzz_add(&roomy, slice_of(beyond, sizeof(beyond)));
	if (quick_parser_of(machine)(&quick, flow->format, slice_of(roomy.data, line.len))) {
		struct flow strict = { .source = flow->source };
		struct fault fault;
		CHECK(flow_parse(&strict, flow->format, line, &fault));
		CHECK(flow_status(&quick) == flow_status(&strict));
		check_same_record(&strict, &quick, machine);
		for (unsigned f = 0; f < FIELD_COUNT; f++)
			CHECK(!field_is_number(f) ||
			      flow_number(&quick, f) == flow_number(&strict, f));
		for (unsigned i = 0; i < flow->format->count; i++)
			CHECK(same_value(flow->format->kind[i], flow_column(&quick, i),
					 flow_column(&strict, i)));
		for (size_t i = 0; encoder_classes[i] != NULL; i++)
			if (!encoder_classes[i]->messages &&
			    (!encoder_classes[i]->needs_addresses ||
			     (flow_value(&quick, FIELD_SRCADDR) != NULL &&
			      flow_value(&quick, FIELD_DSTADDR) != NULL))) {
				check_same_line(encoder_classes[i], NULL, &quick, &strict);
				check_same_line(encoder_classes[i], format_every_field(), &quick,
						&strict);
			}
	}
	buf_deinit(&roomy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	const char *end = size == 0 ? NULL : memchr(data, '\n', size);
	size_t first = end == NULL ? size : (size_t)(end - in.data);
	struct slice where;
	struct format format;
	struct source source = { .domain = 1 };
	if (format_parse(&format, slice_of(in.data, first), COLUMN_LIMIT, &where) != FORMAT_OK)
		return 0;
	slice_skip(&in, end == NULL ? first : first + 1);
	if (in.len > LINE_LIMIT)
		return 0;
	CHECK(source_set_exporter(&source,
				  SLICE_LITERAL("2001:db8:1111:2222:3333:4444:5555:6666")));
	char *line = fuzz_copy(in);
	in.data = line;
	struct flow flow = { .source = &source };
	struct fault fault;
	flow.format = &format;
	for (int machine = (int)machine_here(); machine >= 0; machine--)
		check_quick((enum machine)machine, &flow, in);
	if (!flow_parse(&flow, &format, in, &fault)) {
		check_fault(&fault, &format, in);
	} else {
		for (size_t i = 0; encoder_classes[i] != NULL; i++) {
			/* Messages are fuzz_ipfix's. */
			if (encoder_classes[i]->messages)
				continue;
			check_encoder(encoder_classes[i], NULL, &flow);
			check_encoder(encoder_classes[i], format_every_field(), &flow);
		}
	}
	free(line);
	return 0;
}
