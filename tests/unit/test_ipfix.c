/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the data records of IPFIX: every record of tests/data as a collector reads it, under the
 * template that was announced for it; sets, lengths and limits of messages; sequence numbers over
 * sessions and domains; octets worked out by hand; and a session as libfixbuf's collector reads it.
 */
#include <arpa/inet.h>
#include <fixbuf/public.h>
#include <time.h>

#include "encode/ipfix.h"
#include "ipfix_rig.h"

static struct rig rig;

static void begin(bool packet_addresses)
{
	struct encoder_settings settings = rig_settings();
	settings.packet_addresses = packet_addresses;
	rig_begin(&rig, &settings, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

/* The flow as the only record of a message. */
static const struct walk_record *carry(const char *names, const char *record)
{
	rig_read(&rig, names, record);
	rig_add(&rig);
	rig_send(&rig);
	return rig_flow(&rig, rig_flows(&rig) - 1);
}

/* ---- every record --------------------------------------------------------------------------- */

/* What ipfix.md has: number and octets, by IANA's registry but for tcpControlBits' reduced size. */
static const struct walk_element known[] = {
	{ 0, 8, 4 },	{ 0, 12, 4 },  { 0, 27, 16 }, { 0, 28, 16 },  { 0, 7, 2 },    { 0, 11, 2 },
	{ 0, 4, 1 },	{ 0, 2, 8 },   { 0, 1, 8 },   { 0, 152, 8 },  { 0, 153, 8 },  { 0, 6, 1 },
	{ 0, 89, 1 },	{ 0, 233, 1 }, { 0, 61, 1 },  { 0, 10, 4 },   { 0, 14, 4 },   { 0, 130, 4 },
	{ 0, 131, 16 }, { 0, 225, 4 }, { 0, 226, 4 }, { 0, 281, 16 }, { 0, 282, 16 },
};

static void check_value(enum element e, const struct flow *flow, unsigned variant,
			struct slice octets)
{
	struct element_value expected;
	element_of(flow, e, variant, &expected);
	if (element_info[e].type == ELEMENT_ADDRESS)
		assert_memory_equal(octets.data, expected.address->octets, octets.len);
	else
		assert_int_equal(walk_number(octets), expected.number);
}

/* The elements of a variant, in order, each with the flow's value. */
static void expect_flow(const struct walk_record *record, const struct flow *flow, bool packets)
{
	const struct walk_template *t = record->template;
	unsigned variant = element_variant(flow, packets);
	unsigned place = 0;
	for (enum element e = 0; e < ELEMENT_COUNT; e++) {
		if (!element_in(e, variant, NULL))
			continue;
		assert_true(place < t->count);
		assert_int_equal(t->element[place].number, element_info[e].number);
		assert_int_equal(t->element[place].octets, element_info[e].octets);
		check_value(e, flow, variant, walk_value_at(record, place));
		place++;
	}
	assert_int_equal(place, t->count);
}

/* Parses a row's record, with addresses before it if it has none. False when it is no flow. */
static bool parse_row(const char *names, struct slice record)
{
	struct buf format;
	struct buf line;
	buf_init(&format, LINE_LIMIT);
	buf_init(&line, 2 * LINE_LIMIT);
	if (strstr(names, "addr") == NULL) {
		add_text(&format, PLAIN " ");
		add_text(&line, PLAIN_RECORD " ");
	}
	add_text(&format, names);
	assert_true(buf_add(&format, "", 1));
	assert_true(buf_add(&line, record.data, record.len));
	bool flow = rig_parse(&rig, format.data, buf_slice(&line)) &&
		    flow_status(&rig.flow) == FLOW_RECORD && encoder_takes(&rig.encoder, &rig.flow);
	buf_deinit(&format);
	buf_deinit(&line);
	return flow;
}

static bool carry_row(const char *names, struct slice record)
{
	if (!parse_row(names, record))
		return false;
	rig_add(&rig);
	rig_send(&rig);
	return true;
}

static unsigned carry_rows(const char *path, unsigned columns, bool packets)
{
	struct rows r;
	unsigned records = 0;
	rows_open(&r, path);
	while (rows_next(&r, columns)) {
		if (!carry_row(r.column[1], unescape_row(r.column[2])))
			continue;
		assert_int_equal(rig_flows(&rig), 1);
		expect_flow(rig_flow(&rig, 0), &rig.flow, packets);
		rig_forget(&rig);
		records++;
	}
	return records;
}

static void test_every_record(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		bool packets = way & 1;
		begin(packets);
		rig.quick = way < 2 ? NULL : quick_parser_of(machine_here());
		assert_in_range(carry_rows(TEST_DATA "/rows-records.tsv", 4, packets), 150, 2000);
		assert_in_range(carry_rows(TEST_DATA "/aws-docs-records.tsv", 3, packets), 28, 34);
		rig_end(&rig);
	}
	begin(false);
}

/* Each record is made by the columns of its own format, also when it stands beside others. */
static void test_formats_in_turn(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "srcaddr dstaddr srcport dstport protocol packets bytes start end action "
		  "interface-id",
		  "10.0.0.1 10.0.0.2 1 2 3 4 5 6 7 ACCEPT eni-00000008" },
		{ "interface-id action end start bytes packets protocol dstport srcport dstaddr "
		  "srcaddr",
		  "eni-00000011 REJECT 12 13 14 15 16 17 18 10.0.0.3 10.0.0.4" },
		{ "tcp-flags srcaddr dstaddr srcport dstport protocol packets bytes start end "
		  "action interface-id",
		  "19 10.0.0.1 10.0.0.2 21 22 23 24 25 26 27 ACCEPT eni-00000028" },
	};
	begin(false);
	rig.quick = quick_parser_of(machine_here());
	for (unsigned i = 0; i < 9; i++) {
		unsigned row = i * i % COUNT_OF(rows);
		assert_true(carry_row(rows[row][0], slice_text(rows[row][1])));
		row = i % COUNT_OF(rows);
		assert_true(carry_row(rows[row][0], slice_text(rows[row][1])));
		expect_flow(rig_flow(&rig, 1), &rig.flow, false);
		rig_forget(&rig);
	}
}

/* A record as a line of ipfix-csv. */
static void put_row(const struct walk_record *record, struct buf *out)
{
	enum { VIEW = 19 };
	for (unsigned i = 0; i < VIEW; i++) {
		struct slice value;
		char text[INET6_ADDRSTRLEN];
		if (i > 0)
			add_text(out, ",");
		if (!walk_value(record, 0, known[i].number, &value))
			continue;
		bool six = known[i].octets == 16;
		if (six || strchr("\010\014\202", known[i].number) != NULL)
			inet_ntop(six ? AF_INET6 : AF_INET, value.data, text, sizeof(text));
		else
			(void)snprintf(text, sizeof(text), "%llu",
				       (unsigned long long)walk_number(value));
		add_text(out, text);
	}
}

struct example {
	char *name, *format, *record;
};

static unsigned read_examples(struct example *example, unsigned most)
{
	struct rows r;
	unsigned n = 0;
	rows_open(&r, TEST_DATA "/aws-docs-records.tsv");
	while (rows_next(&r, 3)) {
		assert_true(n < most);
		example[n++] = (struct example){ strdup(r.column[0]), strdup(r.column[1]),
						 strdup(r.column[2]) };
	}
	return n;
}

/* The rows of ipfix-csv were worked out from AWS's documentation, not by this program. */
static void test_documented_rows(void **state)
{
	(void)state;
	static struct example example[64];
	struct rows r;
	struct buf row;
	unsigned rows = 0;
	unsigned examples = read_examples(example, COUNT_OF(example));
	begin(false);
	assert_true(source_set_exporter(&rig.source, SLICE_LITERAL("127.0.0.1")));
	buf_init(&row, LINE_LIMIT);
	rows_open(&r, TEST_DATA "/rows-aws-docs.tsv");
	while (rows_next(&r, 3)) {
		unsigned i = 0;
		if (strcmp(r.column[1], "ipfix-csv") != 0)
			continue;
		while (i < examples && strcmp(example[i].name, r.column[0]) != 0)
			i++;
		assert_true(i < examples);
		if (!carry_row(example[i].format, slice_text(example[i].record)))
			continue;
		row.len = 0;
		put_row(rig_flow(&rig, rows++), &row);
		assert_true(buf_add(&row, "", 1));
		assert_string_equal(row.data, r.column[2]);
	}
	assert_in_range(rows, 28, 32);
	buf_deinit(&row);
	for (unsigned i = 0; i < examples; i++) {
		free(example[i].name);
		free(example[i].format);
		free(example[i].record);
	}
}

/* ---- templates ------------------------------------------------------------------------------ */

static bool has(const struct walk_template *t, uint16_t number)
{
	return walk_has(t, 0, number);
}

static unsigned known_octets(uint16_t number)
{
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (known[i].number == number)
			return known[i].octets;
	fail_msg("unknown element %u", number);
	return 0;
}

static void expect_template(const struct walk_template *t)
{
	unsigned variant = t->id - TEMPLATE_FLOW;
	assert_int_equal(t->scope, 0);
	for (unsigned i = 0; i < t->count; i++) {
		assert_int_equal(t->element[i].octets, known_octets(t->element[i].number));
		assert_int_equal(t->element[i].enterprise, 0);
	}
	for (enum element e = 0; e < ELEMENT_COUNT; e++)
		assert_int_equal(has(t, element_info[e].number), element_in(e, variant, NULL));
	/* Addresses of one family: zeros in the other would be taken for addresses. */
	bool four = has(t, 8) || has(t, 12) || has(t, 225) || has(t, 226);
	bool six = has(t, 27) || has(t, 28) || has(t, 281) || has(t, 282);
	assert_true(four != six);
	assert_true(has(t, 130) != has(t, 131));
	assert_int_equal(has(t, four ? 8 : 27) && has(t, four ? 12 : 28), true);
	assert_int_equal(has(t, 61), (variant & VARIANT_DIRECTION) != 0);
}

static unsigned expect_templates(void)
{
	unsigned templates = 0;
	for (unsigned i = 0; i < rig.count; i++) {
		const struct seen *s = rig.seen[i];
		if (s->is_record || s->template.id >= TEMPLATE_SAMPLING)
			continue;
		assert_true(s->template.id >= TEMPLATE_FLOW);
		expect_template(&s->template);
		templates++;
	}
	return templates;
}

static void test_templates(void **state)
{
	(void)state;
	for (unsigned packets = 0; packets < 2; packets++) {
		begin(packets);
		carry(PLAIN, PLAIN_RECORD);
		assert_int_equal(expect_templates(), packets ? 8 : 4);
		rig_forget(&rig);
		assert_true(source_set_exporter(&rig.source, SLICE_LITERAL("2001:db8::1")));
		carry(PLAIN, PLAIN_RECORD);
		/* The other exporter's are new, the first one's are told again. */
		assert_int_equal(expect_templates(), packets ? 16 : 8);
		rig_end(&rig);
	}
	begin(false);
}

static void test_direction(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int direction; /* -1: a template without it */
		uint32_t ingress, egress;
	} rows[] = {
		{ "ingress", 0, 0x12345678, 0 },  { "egress", 1, 0, 0x12345678 },
		{ "-", -1, 0x12345678, 0 },	  { "sideways", -1, 0x12345678, 0 },
		{ "Ingress", -1, 0x12345678, 0 }, { "upward", -1, 0x12345678, 0 },
	};
	begin(false);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char line[128];
		(void)snprintf(line, sizeof(line), PLAIN_RECORD " eni-012345678 %s", rows[i].text);
		const struct walk_record *record = carry(PLAIN " interface-id flow-direction",
							 line);
		assert_int_equal(has(record->template, 61), rows[i].direction >= 0);
		if (rows[i].direction >= 0)
			assert_int_equal(rig_number(record, 61), rows[i].direction);
		assert_int_equal(rig_number(record, 10), rows[i].ingress);
		assert_int_equal(rig_number(record, 14), rows[i].egress);
	}
}

static void test_action(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned forwarding, firewall;
	} rows[] = {
		{ "ACCEPT", 64, 1 },  { "REJECT", 130, 3 }, { "-", 0, 0 },     { "accept", 0, 0 },
		{ "ACCEPTED", 0, 0 }, { "REJECTS", 0, 0 },  { "ACCEP", 0, 0 },
	};
	begin(false);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char line[128];
		(void)snprintf(line, sizeof(line), PLAIN_RECORD " %s", rows[i].text);
		const struct walk_record *record = carry(PLAIN " action", line);
		assert_int_equal(rig_number(record, 89), rows[i].forwarding);
		assert_int_equal(rig_number(record, 233), rows[i].firewall);
	}
}

static void test_interface_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *id;
		uint32_t number;
	} rows[] = {
		{ "eni-1235b8ca123456789", 0x23456789 },
		{ "eni-1235b8ca", 0x1235b8ca },
		{ "eni-0123456789abcdef0", 0x9abcdef0 },
		{ "eni-00000000000000000", 1 },
		{ "eni-0000000a00000000", 1 },
		{ "eni-00000001", 1 },
		{ "eni-ffffffff", 0xffffffff },
		{ "eni-80000000", 0x80000000 },
		{ "tgw-attach-0123456789abcdef0", 0x9abcdef0 },
		{ "eni-1235B8CA", 1 },
		{ "eni-1234567", 1 },
		{ "eni-1235b8cg", 1 },
		{ "1235b8ca", 0x1235b8ca },
		{ "235b8ca", 1 },
		{ "x", 1 },
		{ "", 1 },
	};
	begin(false);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(element_interface(slice_text(rows[i].id)), rows[i].number);
		char line[128];
		(void)snprintf(line, sizeof(line), PLAIN_RECORD " %s",
			       rows[i].id[0] == '\0' ? "-" : rows[i].id);
		assert_int_equal(rig_number(carry(PLAIN " interface-id", line), 10),
				 rows[i].number);
	}
}

/* ---- octets worked out by hand -------------------------------------------------------------- */

static const unsigned char golden[] = {
	/* message header, RFC 7011 section 3.1: version 10, 140 octets, time, sequence 6, domain 7 */
	0x00, 0x0a, 0x00, 0x8c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00,
	0x07,
	/* set header, section 3.3.2: template 256, 4 + 2 * 60 octets */
	0x01, 0x00, 0x00, 0x7c,
	/* 172.31.16.139 to 172.31.16.21, ports 20641 and 22, TCP */
	0xac, 0x1f, 0x10, 0x8b, 0xac, 0x1f, 0x10, 0x15, 0x50, 0xa1, 0x00, 0x16, 0x06,
	/* 20 packets, 4249 octets */
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10,
	0x99,
	/* 1418530010000 and 1418530070000 milliseconds; no flags; 64 forwarded, 1 created */
	0x00, 0x00, 0x01, 0x4a, 0x46, 0xfa, 0x33, 0x90, 0x00, 0x00, 0x01, 0x4a, 0x46, 0xfb, 0x1d,
	0xf0, 0x00, 0x40, 0x01,
	/* in at 0x23456789, out at nothing, exporter 192.0.2.1 */
	0x23, 0x45, 0x67, 0x89, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x01,
	/* 255.255.255.255 to 1.2.3.4, ports and protocol 0, 2^64-1 packets, 0 octets, no times */
	0xff, 0xff, 0xff, 0xff, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	/* flags 0xff; 130 dropped, 3 denied; in at 1, out at nothing, exporter 192.0.2.1 */
	0xff, 0x82, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x01
};

static void test_octets(void **state)
{
	(void)state;
	begin(false);
	/* Three options records and three flows before it. */
	rig.origin.group = SLICE_LITERAL("group");
	for (unsigned i = 0; i < 3; i++)
		carry(PLAIN, PLAIN_RECORD);
	size_t before = rig.stream.len;
	rig_read(&rig, FORMAT_DEFAULT,
		 "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 "
		 "4249 1418530010 1418530070 ACCEPT OK");
	rig_add(&rig);
	rig_read(&rig, PLAIN " packets tcp-flags action",
		 "255.255.255.255 1.2.3.4 18446744073709551615 511 REJECT");
	rig_add(&rig);
	rig_ahead(&rig, rig.lane);
	assert_int_equal(rig.stream.len, before);
	uint32_t earliest = (uint32_t)time(NULL);
	rig_send(&rig);
	assert_in_range(rig.walk.message.time, earliest, time(NULL));
	assert_int_equal(rig.stream.len - before, sizeof(golden));
	memset(rig.stream.data + before + 4, 0, 4);
	assert_memory_equal(rig.stream.data + before, golden, sizeof(golden));
}

/* ---- messages ------------------------------------------------------------------------------- */

/* Whether the batch, unfinished as it is, is a message with nothing wrong. */
static void expect_whole(void)
{
	static struct walk copy;
	static char octets[UINT16_MAX];
	memcpy(octets, rig.batch.bytes.data, rig.batch.bytes.len);
	copy = rig.walk;
	copy.on_template = NULL;
	copy.on_record = NULL;
	for (unsigned i = 0; i < 4; i++)
		octets[8 + i] = (char)(copy.domain[0].sequence >> (24 - 8 * i) & 0xff);
	const char *wrong = walk_message(&copy, slice_of(octets, rig.batch.bytes.len));
	if (wrong != NULL)
		fail_msg("after %u records: %s", rig.batch.records, wrong);
	assert_int_equal(copy.message.records, rig.batch.records);
}

static void read_variant(unsigned variant)
{
	char line[256];
	(void)snprintf(line, sizeof(line), "%s %s",
		       variant & VARIANT_V6 ? "2001:db8::1 2001:db8::2" : PLAIN_RECORD,
		       variant & VARIANT_DIRECTION ? "egress" : "-");
	rig_read(&rig, PLAIN " flow-direction", line);
}

static void test_sets(void **state)
{
	(void)state;
	static const struct {
		unsigned variant;
		unsigned sets;
	} rows[] = {
		{ 0, 1 },
		{ 0, 1 },
		{ 0, 1 },
		{ VARIANT_V6, 2 },
		{ VARIANT_V6, 2 },
		{ VARIANT_DIRECTION, 3 },
		{ 0, 4 },
		{ VARIANT_V6 | VARIANT_DIRECTION, 5 },
		{ VARIANT_V6 | VARIANT_DIRECTION, 5 },
	};
	begin(false);
	carry(PLAIN, PLAIN_RECORD);
	for (unsigned times = 0; times < 2; times++) {
		for (size_t i = 0; i < COUNT_OF(rows); i++) {
			read_variant(rows[i].variant);
			rig_add(&rig);
			expect_whole();
		}
		rig_send(&rig);
		assert_int_equal(rig.walk.message.sets, rows[COUNT_OF(rows) - 1].sets);
		assert_int_equal(rig.walk.message.records, COUNT_OF(rows));
	}
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(rig_flow(&rig, (unsigned)i + 1)->template->id,
				 TEMPLATE_FLOW + rows[i].variant);
}

/* Fills a batch with records of pseudo-random variants until one is refused. */
static void fill_batch(struct dice *dice)
{
	for (;;) {
		read_variant((unsigned)dice_below(dice, 4) * VARIANT_DIRECTION %
			     (VARIANT_DIRECTION + VARIANT_V6));
		rig.batch.lane = encoder_lane(&rig.encoder, &rig.flow);
		struct batch before = rig.batch;
		char *octets = malloc(before.bytes.max);
		memcpy(octets, before.bytes.data, before.bytes.len);
		bool added = encoder_add(&rig.encoder, &rig.flow, &rig.batch);
		if (!added) {
			assert_memory_equal(&rig.batch, &before, sizeof(before));
			assert_memory_equal(rig.batch.bytes.data, octets, before.bytes.len);
		}
		free(octets);
		if (!added)
			return;
		assert_int_equal(rig.batch.records, before.records + 1);
		expect_whole();
	}
}

static void test_message_sizes(void **state)
{
	(void)state;
	static const size_t sizes[] = { 576, 1400, 9000, UINT16_MAX };
	struct encoder_settings settings = rig_settings();
	struct dice dice = { 42 };
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		settings.message_size = sizes[i];
		rig_begin(&rig, &settings, NULL);
		carry(PLAIN, PLAIN_RECORD);
		for (unsigned messages = 0; messages < (sizes[i] < 10000 ? 20 : 2); messages++) {
			fill_batch(&dice);
			/* One more record with a set of its own would be too much. */
			assert_in_range(rig.batch.bytes.len, sizes[i] - 108, sizes[i]);
			rig_send(&rig);
		}
		rig_end(&rig);
	}
	begin(false);
}

/* ---- sequence numbers ----------------------------------------------------------------------- */

/* rig_send fails when a number is not the count of all records of the session before. */
static void test_sequence(void **state)
{
	(void)state;
	begin(false);
	for (unsigned session = 0; session < 3; session++) {
		rig.origin.group = SLICE_LITERAL("group");
		for (unsigned i = 0; i < 40; i++) {
			rig_read(&rig, PLAIN, PLAIN_RECORD);
			rig_add(&rig);
			rig_send(&rig);
		}
		/* Sampling, exporter and name are records as well. */
		assert_int_equal(rig.walk.message.sequence, 42);
		assert_int_equal(rig.walk.domain[0].sequence, 43);
		rig_session(&rig);
	}
}

/* A batch that a lost session left behind, stamped or not, takes its place in the next. */
static void test_restamp(void **state)
{
	(void)state;
	begin(false);
	for (unsigned stamped = 0; stamped < 2; stamped++) {
		for (unsigned i = 0; i < 5; i++)
			carry(PLAIN, PLAIN_RECORD);
		rig_read(&rig, PLAIN, PLAIN_RECORD);
		rig_add(&rig);
		rig_add(&rig);
		if (stamped)
			encoder_stamp(&rig.encoder, &rig.batch);
		rig_session(&rig);
		rig_send(&rig);
		assert_int_equal(rig.walk.message.sequence, 2);
		assert_int_equal(rig_flows(&rig), 2);
		assert_false(rig.seen[0]->is_record);
		/* And more goes into the session after it. */
		carry(PLAIN, PLAIN_RECORD);
		assert_int_equal(rig.walk.message.sequence, 4);
	}
}

static void test_domains(void **state)
{
	(void)state;
	static const uint32_t domains[] = { 7, 8, 7, 7, UINT32_MAX, 8, 8, 7, UINT32_MAX, 1 };
	static struct source source[COUNT_OF(domains)];
	begin(false);
	for (unsigned session = 0; session < 2; session++) {
		for (size_t i = 0; i < COUNT_OF(domains); i++) {
			source[i] = rig.source;
			source[i].domain = domains[i];
			rig_read(&rig, PLAIN, PLAIN_RECORD);
			rig.flow.source = &source[i];
			rig_add(&rig);
			rig_send(&rig);
			assert_int_equal(rig.walk.message.domain, domains[i]);
		}
		assert_int_equal(rig.walk.domains, 4);
		/* Sampling and exporter, and its flows. */
		assert_int_equal(rig.walk.domain[0].sequence, 2 + 4);
		assert_int_equal(rig.walk.domain[1].sequence, 2 + 3);
		assert_int_equal(rig.walk.domain[2].sequence, 2 + 2);
		assert_int_equal(rig.walk.domain[3].sequence, 2 + 1);
		rig_session(&rig);
	}
}

/* ---- --packet-addresses --------------------------------------------------------------------- */

static void expect_address(const struct walk_record *record, uint16_t number, const char *text)
{
	unsigned char octets[16];
	bool six = strchr(text, ':') != NULL;
	struct slice value = rig_octets(record, number);
	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, text, octets), 1);
	assert_int_equal(value.len, six ? 16 : 4);
	assert_memory_equal(value.data, octets, value.len);
}

/* srcaddr dstaddr pkt-srcaddr pkt-dstaddr, and whether the interface's view stands apart. */
static const struct {
	const char *address[4];
	bool view;
} packets[] = {
	{ { "10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2" }, false },
	{ { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2" }, true },
	{ { "10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.4" }, true },
	{ { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4" }, true },
	{ { "10.0.0.1", "10.0.0.2", "-", "-" }, false },
	{ { "10.0.0.1", "10.0.0.2", "10.0.0.3", "-" }, true },
	{ { "10.0.0.1", "10.0.0.2", "-", "10.0.0.4" }, true },
	{ { "10.0.0.1", "10.0.0.2", "10.0.0.1", "-" }, false },
	{ { "2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::2" }, false },
	{ { "2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::ffff" }, true },
	{ { "2001:DB8::1", "2001:db8::2", "2001:db8:0::1", "-" }, false },
	/* Of another family: the interface's view is all that fits. */
	{ { "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2" }, false },
	{ { "10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::2" }, false },
	{ { "2001:db8::1", "2001:db8::2", "10.0.0.1", "-" }, false },
};

static void expect_packet_addresses(const struct walk_record *record, const char *const address[4],
				    bool view)
{
	bool six = strchr(address[0], ':') != NULL;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t main_number = (uint16_t)((six ? 27 : 8) + i * (six ? 1 : 4));
		uint16_t view_number = (uint16_t)((six ? 281 : 225) + i);
		bool other = view && strcmp(address[2 + i], "-") != 0;
		expect_address(record, main_number, address[other ? 2 + i : i]);
		assert_int_equal(has(record->template, view_number), view);
		if (view)
			expect_address(record, view_number, address[i]);
	}
}

static void test_packet_addresses(void **state)
{
	(void)state;
	for (unsigned wanted = 0; wanted < 2; wanted++) {
		begin(wanted);
		for (size_t i = 0; i < COUNT_OF(packets); i++) {
			const char *const *a = packets[i].address;
			char line[256];
			(void)snprintf(line, sizeof(line), "%s %s %s %s", a[0], a[1], a[2], a[3]);
			expect_packet_addresses(carry(PLAIN " pkt-srcaddr pkt-dstaddr", line), a,
						wanted && packets[i].view);
		}
		rig_end(&rig);
	}
	begin(true);
}

/* ---- a collector that is not ours ----------------------------------------------------------- */

struct decoded {
	uint64_t packets, octets, start, end;
	uint32_t source4, destination4, ingress, egress, exporter4;
	uint16_t source_port, destination_port;
	uint8_t protocol, flags, status, firewall, direction, padding[7];
	uint8_t source6[16], destination6[16];
};

static fbInfoElementSpec_t decoded_spec[] = {
	{ "packetDeltaCount", 8, 0 },
	{ "octetDeltaCount", 8, 0 },
	{ "flowStartMilliseconds", 8, 0 },
	{ "flowEndMilliseconds", 8, 0 },
	{ "sourceIPv4Address", 4, 0 },
	{ "destinationIPv4Address", 4, 0 },
	{ "ingressInterface", 4, 0 },
	{ "egressInterface", 4, 0 },
	{ "exporterIPv4Address", 4, 0 },
	{ "sourceTransportPort", 2, 0 },
	{ "destinationTransportPort", 2, 0 },
	{ "protocolIdentifier", 1, 0 },
	{ "tcpControlBits", 1, 0 },
	{ "forwardingStatus", 1, 0 },
	{ "firewallEvent", 1, 0 },
	{ "flowDirection", 1, 0 },
	{ "paddingOctets", 7, 0 },
	{ "sourceIPv6Address", 16, 0 },
	{ "destinationIPv6Address", 16, 0 },
	FB_IESPEC_NULL,
};

static fBuf_t *make_collector(fbInfoModel_t *model)
{
	enum { INTERNAL = 999 };
	GError *error = NULL;
	fbSession_t *session = fbSessionAlloc(model);
	fbTemplate_t *t = fbTemplateAlloc(model);
	assert_true(fbTemplateAppendSpecArray(t, decoded_spec, UINT32_MAX, &error));
	assert_int_equal(fbSessionAddTemplate(session, TRUE, INTERNAL, t, &error), INTERNAL);
	fBuf_t *collector = fBufAllocForCollection(session, NULL);
	fBufSetBuffer(collector, (uint8_t *)rig.stream.data, rig.stream.len);
	assert_true(fBufSetInternalTemplate(collector, INTERNAL, &error));
	return collector;
}

/* The next flow; false at the end of the session, where there must be nothing more to read. */
static bool collect(fBuf_t *collector, struct decoded *flow)
{
	for (;;) {
		GError *error = NULL;
		uint16_t id = 0;
		size_t len = sizeof(*flow);
		fbTemplate_t *t = fBufNextCollectionTemplate(collector, &id, &error);
		if (t == NULL || !fBufNext(collector, (uint8_t *)flow, &len, &error)) {
			if (!g_error_matches(error, FB_ERROR_DOMAIN, FB_ERROR_BUFSZ))
				fail_msg("libfixbuf: %s", error->message);
			g_clear_error(&error);
			assert_int_equal(fBufRemaining(collector), 0);
			return false;
		}
		if (fbTemplateGetOptionsScope(t) == 0)
			return true;
	}
}

static uint64_t number_of(const struct flow *flow, enum field field)
{
	const struct value *v = flow_value(flow, field);
	return v == NULL ? 0 : v->number;
}

static uint64_t expected_number(const struct flow *flow, enum element e)
{
	struct element_value v;
	element_of(flow, e, 0, &v);
	return v.number;
}

static void expect_decoded_addresses(const struct decoded *d, const struct flow *flow)
{
	const struct address *src = &flow_value(flow, FIELD_SRCADDR)->address;
	const struct address *dst = &flow_value(flow, FIELD_DSTADDR)->address;
	if (src->version == 4) {
		uint32_t wire[2] = { htonl(d->source4), htonl(d->destination4) };
		assert_memory_equal(&wire[0], src->octets, 4);
		assert_memory_equal(&wire[1], dst->octets, 4);
	} else {
		assert_memory_equal(d->source6, src->octets, 16);
		assert_memory_equal(d->destination6, dst->octets, 16);
	}
	assert_int_equal(d->exporter4, 0xc0000201);
}

static void expect_decoded(const struct decoded *d, const struct flow *flow)
{
	expect_decoded_addresses(d, flow);
	assert_int_equal(d->packets, number_of(flow, FIELD_PACKETS));
	assert_int_equal(d->octets, number_of(flow, FIELD_BYTES));
	assert_int_equal(d->source_port, number_of(flow, FIELD_SRCPORT));
	assert_int_equal(d->destination_port, number_of(flow, FIELD_DSTPORT));
	assert_int_equal(d->protocol, number_of(flow, FIELD_PROTOCOL));
	assert_int_equal(d->flags, number_of(flow, FIELD_TCP_FLAGS) & 0xff);
	assert_int_equal(d->start, time_milliseconds(number_of(flow, FIELD_START)));
	assert_int_equal(d->end, time_milliseconds(number_of(flow, FIELD_END)));
	assert_int_equal(d->status, expected_number(flow, ELEMENT_FORWARDING_STATUS));
	assert_int_equal(d->firewall, expected_number(flow, ELEMENT_FIREWALL_EVENT));
	assert_int_equal(d->direction, expected_number(flow, ELEMENT_DIRECTION));
	assert_int_equal(d->ingress, expected_number(flow, ELEMENT_INGRESS_INTERFACE));
	assert_int_equal(d->egress, expected_number(flow, ELEMENT_EGRESS_INTERFACE));
}

/* Every record of rows-records.tsv, again as the flow it is. */
static void for_every_row(void (*call)(void *), void *context)
{
	struct rows r;
	rows_open(&r, TEST_DATA "/rows-records.tsv");
	while (rows_next(&r, 4))
		if (parse_row(r.column[1], unescape_row(r.column[2])))
			call(context);
}

static void add_row(void *context)
{
	unsigned *rows = context;
	rig_add(&rig);
	++*rows;
}

static void collect_row(void *context)
{
	struct decoded flow;
	assert_true(collect(context, &flow));
	expect_decoded(&flow, &rig.flow);
}

static void test_libfixbuf_collects(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	unsigned rows = 0;
	settings.message_size = 576;
	rig_begin(&rig, &settings, NULL);
	rig.origin.group = SLICE_LITERAL("/aws/vpc/flows");
	for_every_row(add_row, &rows);
	rig_send(&rig);
	encoder_last_call(&rig.encoder);
	encoder_not_sent(&rig.encoder, rig.lane, &(struct tally){ 1, 2, 3 });
	assert_int_equal(rig_ahead(&rig, ANY_LANE), 1);
	fbInfoModel_t *model = fbInfoModelAlloc();
	fBuf_t *collector = make_collector(model);
	struct decoded rest;
	for_every_row(collect_row, collector);
	assert_false(collect(collector, &rest));
	assert_in_range(rows, 150, 2000);
	fBufFree(collector);
	fbInfoModelFree(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_every_record, tear_down),
		cmocka_unit_test_teardown(test_formats_in_turn, tear_down),
		cmocka_unit_test_teardown(test_documented_rows, tear_down),
		cmocka_unit_test_teardown(test_templates, tear_down),
		cmocka_unit_test_teardown(test_direction, tear_down),
		cmocka_unit_test_teardown(test_action, tear_down),
		cmocka_unit_test_teardown(test_interface_numbers, tear_down),
		cmocka_unit_test_teardown(test_octets, tear_down),
		cmocka_unit_test_teardown(test_sets, tear_down),
		cmocka_unit_test_teardown(test_message_sizes, tear_down),
		cmocka_unit_test_teardown(test_sequence, tear_down),
		cmocka_unit_test_teardown(test_restamp, tear_down),
		cmocka_unit_test_teardown(test_domains, tear_down),
		cmocka_unit_test_teardown(test_packet_addresses, tear_down),
		cmocka_unit_test_teardown(test_libfixbuf_collects, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
