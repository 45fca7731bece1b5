/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: a line of keys, an octet each for order, top and workers, then lines: flow formats that follow a
 * !, and records of the last one; each goes to the worker that its first octet says.
 * Held: a list that is searched from its beginning has the same sums; they come in order, and no more
 * than were asked for; nothing is written that csv would not write of a record.
 */
#include "encode/encoder.h"
#include "fuzz.h"
#include "sum/report.h"

enum { WORKERS = 3, MOST = 512 };

/* The naive way: the text of the keys, made of values, and plain sums. */
struct row {
	char *key;
	size_t key_len;
	uint64_t value[BY_COUNT];
	bool shown;
};

static struct row rows[MOST];
static unsigned count;

static struct slice take_line(struct slice *in)
{
	const char *end = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);
	struct slice line = slice_of(in->data, end == NULL ? in->len : (size_t)(end - in->data));
	slice_skip(in, end == NULL ? line.len : line.len + 1);
	return line;
}

static void add_value(const struct value *v, enum field_kind kind, struct buf *out)
{
	if (v == NULL) {
		fuzz_add(out, SLICE_LITERAL("-"));
	} else if (kind == FIELD_TEXT) {
		fuzz_add(out, v->text);
	} else if (kind == FIELD_ADDRESS) {
		fuzz_add(out, slice_of((const char *)&v->address.version, 1));
		fuzz_add(out, slice_of((const char *)v->address.octets,
				       v->address.version == 4 ? 4 : 16));
	} else {
		CHECK(buf_reserve(out, 20));
		buf_put_number(out, v->number);
	}
	fuzz_add(out, SLICE_LITERAL(" "));
}

/* The row of a flow, a new one if need be. */
static struct row *row_of(const struct sums_wanted *w, const struct flow *flow)
{
	struct buf key;
	buf_init(&key, SIZE_MAX / 2);
	for (unsigned i = 0; i < w->keys; i++)
		add_value(flow_value(flow, w->format->column[i].field), w->format->kind[i], &key);
	for (unsigned i = 0; i < count; i++) {
		if (!slice_equal(slice_of(rows[i].key, rows[i].key_len), buf_slice(&key)))
			continue;
		buf_deinit(&key);
		return &rows[i];
	}
	CHECK(count < MOST);
	rows[count] = (struct row){ .key = key.data, .key_len = key.len };
	return &rows[count++];
}

static uint64_t number_of(const struct flow *flow, enum field field)
{
	const struct value *v = flow_value(flow, field);
	return v == NULL ? 0 : v->number;
}

static void add_up(uint64_t *to, uint64_t more)
{
	*to = more > UINT64_MAX - *to ? UINT64_MAX : *to + more;
}

static void add_record(const struct sums_wanted *w, struct sums *sums[WORKERS],
		       const struct format *format, struct slice text)
{
	static struct flow flow;
	struct fault fault;
	char *line = fuzz_copy(text);
	if (count < MOST && flow_parse(&flow, format, slice_of(line, text.len), &fault)) {
		struct row *row = row_of(w, &flow);
		add_up(&row->value[BY_PACKETS], number_of(&flow, FIELD_PACKETS));
		add_up(&row->value[BY_BYTES], number_of(&flow, FIELD_BYTES));
		row->value[BY_FLOWS]++;
		unsigned worker = text.len == 0 ? 0 : (unsigned char)text.data[0] % WORKERS;
		CHECK(sums_add(sums[worker], &flow) == 0);
	}
	free(line);
}

static uint64_t order_value(const struct flow *flow, enum sum_order order)
{
	static const enum field fields[] = {
		[BY_BYTES] = FIELD_BYTES,
		[BY_PACKETS] = FIELD_PACKETS,
		[BY_FLOWS] = FIELD_FLOWS,
	};
	return number_of(flow, fields[order]);
}

/* A flow of the report is a row that none before was. */
static void check_flow(const struct sums_wanted *w, const struct flow *flow)
{
	static char line[ENCODED_ROOM];
	struct buf out = { .data = line, .cap = sizeof(line), .max = sizeof(line) };
	struct encoder e;
	unsigned before = count;
	struct row *row = row_of(w, flow);
	CHECK(count == before && !row->shown);
	row->shown = true;
	for (enum sum_order i = 0; i < BY_COUNT; i++)
		CHECK(order_value(flow, i) == row->value[i]);
	for (unsigned i = 0; i < flow->format->count; i++)
		for (size_t k = 0; k < flow->value[i].text.len; k++)
			CHECK(flow->value[i].text.data[k] > ' ' &&
			      flow->value[i].text.data[k] <= '~');
	encoder_init(&e, &(struct encoder_settings){ .class = &encoder_csv, .sums = w->format });
	CHECK(encoder_begin(&e, w->format));
	encoder_csv.flow(&e, flow, &out);
	CHECK(out.len <= ENCODED_ROOM && out.data[out.len - 1] == '\n');
	encoder_deinit(&e);
}

static void check_report(const struct sums_wanted *w, struct summing *summing)
{
	struct report *r = report_new(summing);
	const struct flow *flow;
	uint64_t last = UINT64_MAX;
	uint64_t shown = 0;
	enum step step;
	int error;
	CHECK(r != NULL);
	while ((step = report_next(r, &flow, &error)) == STEP_OK) {
		if (flow == NULL)
			continue;
		check_flow(w, flow);
		CHECK(order_value(flow, w->order) <= last);
		last = order_value(flow, w->order);
		shown++;
	}
	CHECK(step == STEP_MORE && report_counts(r).keys == count);
	CHECK(shown == (w->top == 0 || w->top > count ? count : w->top));
	/* What is left out is no larger. */
	for (unsigned i = 0; i < count && shown > 0; i++)
		CHECK(rows[i].shown || rows[i].value[w->order] <= last);
	report_free(&r);
}

static void run(struct sums_wanted *w, struct slice in)
{
	static struct format format;
	struct source source = { .domain = 1 };
	struct slice where;
	struct sums *sums[WORKERS];
	bool last = false;
	struct summing *summing = summing_new(w, &source, UINT32_MAX, WORKERS);
	CHECK(summing != NULL);
	for (unsigned i = 0; i < WORKERS; i++)
		CHECK((sums[i] = sums_new(summing)) != NULL);
	CHECK(format_parse(&format, SLICE_LITERAL("default"), COLUMN_LIMIT, &where) == FORMAT_OK);
	while (in.len > 0) {
		struct slice line = take_line(&in);
		if (line.len > 0 && line.data[0] == '!') {
			slice_skip(&line, 1);
			if (format_parse(&format, line, COLUMN_LIMIT, &where) != FORMAT_OK)
				break;
		} else if (line.len <= LINE_LIMIT) {
			add_record(w, sums, &format, line);
		}
	}
	for (unsigned i = 0; i < WORKERS; i++)
		CHECK(sums_hand_in(&sums[i], &last) == 0);
	CHECK(last);
	check_report(w, summing);
	summing_free(&summing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	struct sums_wanted wanted = { .format = NULL };
	struct wanted_mistake mistake;
	if (!wanted_set_keys(&wanted, take_line(&in), &mistake)) {
		CHECK(mistake.why != NULL && mistake.len <= sizeof(mistake.name));
		return 0;
	}
	wanted.order = fuzz_choice(&in) % BY_COUNT;
	wanted.top = fuzz_choice(&in) % 8;
	run(&wanted, in);
	for (unsigned i = 0; i < count; i++)
		free(rows[i].key);
	count = 0;
	wanted_deinit(&wanted);
	return 0;
}
