/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves --aws-elements: the numbers in the table of fields; types told before the templates that
 * need them; every field in the record as AWS wrote it; and texts of any length, of which those that
 * no message holds are left out and counted, but never their flow.
 */
#include "encode/ipfix.h"
#include "ipfix_rig.h"

enum { CERT = 6871 };

static struct rig rig;

static int tear_down(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

static const char *every_field(void)
{
	static char names[FIELD_COUNT * COLUMN_NAME_LIMIT];
	size_t len = 0;
	for (enum field f = 0; f < FIELD_COUNT; f++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s ",
					field_name(f).data);
	return names;
}

/* columns NULL: all of AWS's */
static void begin(uint32_t enterprise, size_t message_size, const char *columns)
{
	struct encoder_settings settings = rig_settings();
	settings.aws_elements = enterprise;
	settings.message_size = message_size;
	rig_begin(&rig, &settings, columns != NULL ? columns : every_field());
}

static const struct walk_record *carry(const char *names, const char *record)
{
	rig_read(&rig, names, record);
	rig_add(&rig);
	rig_send(&rig);
	return rig_flow(&rig, rig_flows(&rig) - 1);
}

static struct slice aws_octets(const struct walk_record *record, uint32_t enterprise,
			       enum field field)
{
	struct slice value;
	if (!walk_value(record, enterprise, field_element(field), &value))
		fail_msg("no element for %s", field_name(field).data);
	return value;
}

/* ---- the table ------------------------------------------------------------------------------ */

/* What IANA's elements say: no number of AWS's. */
static const enum field of_iana[] = {
	FIELD_SRCADDR,	FIELD_DSTADDR, FIELD_SRCPORT,	FIELD_DSTPORT,
	FIELD_PROTOCOL, FIELD_PACKETS, FIELD_BYTES,	FIELD_START,
	FIELD_END,	FIELD_ACTION,  FIELD_TCP_FLAGS, FIELD_FLOW_DIRECTION,
};

static void test_numbers(void **state)
{
	(void)state;
	bool iana[FIELD_COUNT] = { false };
	for (size_t i = 0; i < COUNT_OF(of_iana); i++)
		iana[of_iana[i]] = true;
	for (enum field f = 0; f < FIELD_COUNT; f++) {
		assert_int_equal(field_element(f) == 0, iana[f]);
		if (field_element(f) == 0)
			continue;
		/* 15 bits; and IANA's own numbers would confuse nfacctd. */
		assert_in_range(field_element(f), 1001, 0x7fff);
		for (enum field other = 0; other < f; other++)
			assert_int_not_equal(field_element(f), field_element(other));
	}
	assert_int_equal(field_element(FIELD_UNKNOWN), 0);
}

/* For ever: collectors have them in their configurations. A sample of what was given out. */
static void test_numbers_stay(void **state)
{
	(void)state;
	static const struct {
		enum field field;
		uint16_t number;
	} rows[] = {
		{ FIELD_VERSION, 1001 },
		{ FIELD_ACCOUNT_ID, 1002 },
		{ FIELD_INTERFACE_ID, 1003 },
		{ FIELD_VPC_ID, 1015 },
		{ FIELD_REGION, 1022 },
		{ FIELD_TRAFFIC_PATH, 1029 },
		{ FIELD_ECS_TASK_ID, 1039 },
		{ FIELD_ENCRYPTION_STATUS, 1042 },
		{ FIELD_NEXT_HOP_INTERFACE_TYPE, 1054 },
		{ FIELD_RESOURCE_TYPE, 1101 },
		{ FIELD_PACKETS_LOST_TTL_EXPIRED, 1118 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(field_element(rows[i].field), rows[i].number);
}

/* ---- types ---------------------------------------------------------------------------------- */

/* The type record of an element, which must stand before this place. */
static const struct walk_record *find_type(const struct walk_element *e, unsigned before)
{
	const struct walk_record *found = NULL;
	for (unsigned i = 0; i < before; i++) {
		const struct seen *s = rig.seen[i];
		if (!s->is_record || !walk_has(&s->template, 0, 346) ||
		    rig_number(&s->record, 346) != e->enterprise ||
		    rig_number(&s->record, 303) != e->number)
			continue;
		assert_null(found);
		found = &s->record;
	}
	return found;
}

static void expect_type(const struct walk_record *type, bool quantity)
{
	enum { UNSIGNED64 = 4, STRING = 13, DELTA_COUNTER = 3, PACKETS = 3 };
	/* RFC 5610: ipfixDump wants every one of these, the first two as the scope. */
	static const struct walk_element elements[] = {
		{ 0, 346, 4 },
		{ 0, 303, 2 },
		{ 0, 339, 1 },
		{ 0, 344, 1 },
		{ 0, 345, 2 },
		{ 0, 342, 8 },
		{ 0, 343, 8 },
		{ 0, 341, WALK_VARIABLE },
		{ 0, 340, WALK_VARIABLE },
	};
	assert_int_equal(type->template->count, COUNT_OF(elements));
	assert_int_equal(type->template->scope, 2);
	for (size_t i = 0; i < COUNT_OF(elements); i++)
		assert_memory_equal(&type->template->element[i], &elements[i], sizeof(*elements));
	assert_int_equal(rig_number(type, 339), quantity ? UNSIGNED64 : STRING);
	assert_int_equal(rig_number(type, 344), quantity ? DELTA_COUNTER : 0);
	assert_int_equal(rig_number(type, 345), quantity ? PACKETS : 0);
	assert_int_equal(rig_number(type, 342), 0);
	assert_int_equal(rig_number(type, 343), 0);
}

/*
 * So many templates of flows were seen, with all of AWS's elements, and each of these was typed
 * before, once.
 */
static void expect_types(uint32_t enterprise, unsigned expected)
{
	unsigned templates = 0;
	for (unsigned i = 0; i < rig.count; i++) {
		const struct walk_template *t = &rig.seen[i]->template;
		if (rig.seen[i]->is_record || t->scope > 0)
			continue;
		unsigned own = 0;
		for (unsigned k = 0; k < t->count; k++) {
			const struct walk_element *e = &t->element[k];
			if (e->enterprise == 0)
				continue;
			assert_int_equal(e->enterprise, enterprise);
			const struct walk_record *type = find_type(e, i);
			assert_non_null(type);
			expect_type(type, e->octets == 8);
			own++;
		}
		assert_int_equal(own, FIELD_COUNT - COUNT_OF(of_iana));
		templates++;
	}
	assert_int_equal(templates, expected);
}

static void test_types(void **state)
{
	(void)state;
	static const uint32_t enterprises[] = { CERT, 1, 65535, UINT32_MAX };
	for (size_t i = 0; i < COUNT_OF(enterprises); i++) {
		begin(enterprises[i], 1400, NULL);
		carry(PLAIN, PLAIN_RECORD);
		expect_types(enterprises[i], 4);
		rig_session(&rig);
		carry(PLAIN, PLAIN_RECORD);
		expect_types(enterprises[i], 4);
		rig_end(&rig);
	}
	begin(CERT, 1400, NULL);
}

static void test_type_names(void **state)
{
	(void)state;
	static const struct {
		enum field field;
		const char *name;
	} rows[] = {
		{ FIELD_VERSION, "awsVersion" },
		{ FIELD_VPC_ID, "awsVpcId" },
		{ FIELD_PKT_SRC_AWS_SERVICE, "awsPktSrcAwsService" },
		{ FIELD_ECS_CONTAINER_INSTANCE_ARN, "awsEcsContainerInstanceArn" },
		{ FIELD_INSTANCE_TAG_2, "awsInstanceTag2" },
		{ FIELD_PACKETS_LOST_MTU_EXCEEDED, "awsPacketsLostMtuExceeded" },
	};
	begin(CERT, 1400, NULL);
	carry(PLAIN, PLAIN_RECORD);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct walk_element e = { CERT, field_element(rows[i].field), 0 };
		const struct walk_record *type = find_type(&e, rig.count);
		assert_non_null(type);
		assert_true(slice_equal(rig_octets(type, 341), slice_text(rows[i].name)));
		assert_true(slice_equal(rig_octets(type, 340), field_name(rows[i].field)));
	}
}

/* In datagrams they come again with what options tell, not with every refresh of the templates. */
static void test_types_again(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	settings.aws_elements = CERT;
	settings.datagrams = true;
	settings.refresh_messages = 30;
	rig_begin(&rig, &settings, every_field());
	carry(PLAIN, PLAIN_RECORD);
	/* Templates twice, as they may be lost. */
	expect_types(CERT, 8);
	rig_forget(&rig);
	for (unsigned i = 0; i < 40; i++)
		carry(PLAIN, PLAIN_RECORD);
	assert_true(rig_flow_templates(&rig) >= 4);
	assert_int_equal(rig_options(&rig, 346), 0);
	rig_forget(&rig);
	rig.now_ms += settings.refresh_ms;
	carry(PLAIN, PLAIN_RECORD);
	expect_types(CERT, 4);
}

/* ---- values --------------------------------------------------------------------------------- */

/* A value of every field; the addresses are there already. */
static void put_values(char *line, size_t room, bool there)
{
	static const char *const by_kind[] = {
		[FIELD_TEXT] = "t%u", [FIELD_ADDRESS] = "10.0.1.%u", [FIELD_U8] = "%u",
		[FIELD_U16] = "%u",   [FIELD_U32] = "0%u",	     [FIELD_U64] = "%u",
		[FIELD_TIME] = "%u",
	};
	size_t len = 0;
	for (enum field f = 0; f < FIELD_COUNT; f++) {
		bool address = f == FIELD_SRCADDR || f == FIELD_DSTADDR;
		char value[32] = "-";
		if (there || address)
			(void)snprintf(value, sizeof(value), by_kind[field_kind(f)], f);
		len += (size_t)snprintf(line + len, room - len, "%s ", value);
	}
}

static void expect_values(const struct walk_record *record, uint32_t enterprise)
{
	for (enum field f = 0; f < FIELD_COUNT; f++) {
		if (field_element(f) == 0)
			continue;
		const struct value *v = flow_value(&rig.flow, f);
		struct slice octets = aws_octets(record, enterprise, f);
		if (field_kind(f) == FIELD_U64) {
			assert_int_equal(octets.len, 8);
			assert_int_equal(walk_number(octets), v == NULL ? 0 : v->number);
		} else {
			assert_true(slice_equal(octets, v == NULL ? SLICE_NONE : v->text));
		}
	}
}

static void test_values(void **state)
{
	(void)state;
	static const uint32_t enterprises[] = { CERT, UINT32_MAX };
	char line[4096];
	for (size_t i = 0; i < COUNT_OF(enterprises); i++) {
		begin(enterprises[i], 1400, NULL);
		for (unsigned there = 0; there < 2; there++) {
			put_values(line, sizeof(line), there);
			const struct walk_record *record = carry(every_field(), line);
			expect_values(record, enterprises[i]);
			/* IANA's are there as without. */
			assert_int_equal(rig_number(record, 7), there ? FIELD_SRCPORT : 0);
			assert_int_equal(rig_number(record, 130), 0xc0000201);
		}
		/* A record that lacks most of the columns. */
		expect_values(carry(PLAIN " region packets-lost-blackhole",
				    PLAIN_RECORD " eu-west-1 18446744073709551615"),
			      enterprises[i]);
		assert_int_equal(ipfix_texts_cut(rig.encoder.ipfix), 0);
		rig_end(&rig);
	}
	begin(CERT, 1400, NULL);
}

/* Each row of rows-records.tsv that has one column and a value in it. */
static void test_every_value(void **state)
{
	(void)state;
	struct rows r;
	unsigned values = 0;
	begin(CERT, 1400, NULL);
	rows_open(&r, TEST_DATA "/rows-records.tsv");
	while (rows_next(&r, 4)) {
		char names[128];
		char line[1024];
		if (strchr(r.column[1], ' ') != NULL || strstr(r.column[1], "addr") != NULL ||
		    strchr(r.column[2], '\\') != NULL || strlen(r.column[2]) > 900)
			continue;
		(void)snprintf(names, sizeof(names), PLAIN " %s", r.column[1]);
		(void)snprintf(line, sizeof(line), PLAIN_RECORD " %s", r.column[2]);
		if (!rig_parse(&rig, names, slice_text(line)))
			continue;
		rig_add(&rig);
		rig_send(&rig);
		expect_values(rig_flow(&rig, 0), CERT);
		rig_forget(&rig);
		values++;
	}
	assert_in_range(values, 100, 2000);
}

/* Only the columns of the format, or of --fields, in the table's order. */
static void test_columns(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	static struct format fields;
	struct slice where;
	settings.aws_elements = CERT;
	for (unsigned chosen = 0; chosen < 2; chosen++) {
		settings.columns = chosen ? &fields : NULL;
		assert_int_equal(format_parse(&fields, SLICE_LITERAL("vpc-id srcaddr version new"),
					      COLUMN_LIMIT, &where),
				 FORMAT_OK);
		rig_begin(&rig, &settings, chosen ? "region" : "vpc-id srcaddr version new");
		const struct walk_record *record = carry(PLAIN " vpc-id region version new",
							 PLAIN_RECORD " vpc-1 eu-west-1 5 x");
		const struct walk_template *t = record->template;
		assert_true(t->count > 2);
		assert_int_equal(t->element[t->count - 3].enterprise, 0);
		assert_int_equal(t->element[t->count - 2].number, field_element(FIELD_VERSION));
		assert_int_equal(t->element[t->count - 1].number, field_element(FIELD_VPC_ID));
		assert_true(
			slice_equal(aws_octets(record, CERT, FIELD_VERSION), SLICE_LITERAL("5")));
		assert_true(slice_equal(aws_octets(record, CERT, FIELD_VPC_ID),
					SLICE_LITERAL("vpc-1")));
		rig_end(&rig);
	}
	begin(CERT, 1400, NULL);
}

static void test_none(void **state)
{
	(void)state;
	begin(0, 1400, NULL);
	const struct walk_record *record = carry(PLAIN " vpc-id", PLAIN_RECORD " vpc-1");
	for (unsigned i = 0; i < record->template->count; i++)
		assert_int_equal(record->template->element[i].enterprise, 0);
	assert_int_equal(rig_options(&rig, 346), 0);
	assert_int_equal(rig_option_templates(&rig, 346), 0);
}

/* ---- long texts ----------------------------------------------------------------------------- */

/* A record with two texts of these lengths. */
static const struct walk_record *carry_texts(size_t first, size_t second)
{
	static char line[LINE_LIMIT];
	size_t len = (size_t)snprintf(line, sizeof(line), PLAIN_RECORD " 5 ");
	memset(line + len, 'a', first);
	line[len + first] = ' ';
	memset(line + len + first + 1, 'b', second);
	line[len + first + 1 + second] = '\0';
	return carry(PLAIN " bytes instance-tag interface-tag", line);
}

static void expect_run(struct slice octets, char c, size_t len)
{
	assert_int_equal(octets.len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(octets.data[i], c);
}

static void expect_texts(const struct walk_record *record, size_t first, size_t second)
{
	assert_int_equal(rig_number(record, 8), 0x0a000001);
	assert_int_equal(rig_number(record, 1), 5);
	expect_run(aws_octets(record, CERT, FIELD_INSTANCE_TAG), 'a', first);
	expect_run(aws_octets(record, CERT, FIELD_INTERFACE_TAG), 'b', second);
}

static void test_long_texts(void **state)
{
	(void)state;
	static const size_t lengths[] = { 1, 253, 254, 255, 256, 257, 1000, 15000 };
	begin(CERT, UINT16_MAX, NULL);
	for (size_t i = 0; i < COUNT_OF(lengths); i++)
		for (size_t k = 0; k < COUNT_OF(lengths); k++)
			expect_texts(carry_texts(lengths[i], lengths[k]), lengths[i], lengths[k]);
	assert_int_equal(ipfix_texts_cut(rig.encoder.ipfix), 0);
}

/* What fits alone comes whole; the flow comes in any case. */
static void test_texts_too_long(void **state)
{
	(void)state;
	static const struct {
		size_t text[2];
		size_t seen[2];
	} rows[] = {
		{ { 100, 100 }, { 100, 100 } },	 { { 1400, 1 }, { 0, 1 } },
		{ { 1, 1400 }, { 1, 0 } },	 { { 20000, 10000 }, { 0, 0 } },
		{ { 1000, 1000 }, { 1000, 0 } }, { { 1000, 250 }, { 1000, 250 } },
		{ { 5000, 1200 }, { 0, 1200 } },
	};
	uint64_t cut = 0;
	begin(CERT, 1400, "instance-tag interface-tag");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		expect_texts(carry_texts(rows[i].text[0], rows[i].text[1]), rows[i].seen[0],
			     rows[i].seen[1]);
		cut += rows[i].seen[0] != rows[i].text[0];
		cut += rows[i].seen[1] != rows[i].text[1];
		assert_int_equal(ipfix_texts_cut(rig.encoder.ipfix), cut);
	}
}

/* The longest text that fits, to the octet: 16 and 4 of headers, 60 of IANA's elements, 3 and 1. */
static void test_longest_text(void **state)
{
	(void)state;
	enum { LONGEST = 1400 - 16 - 4 - 60 - 3 - 1 };
	for (size_t len = LONGEST - 2; len < LONGEST + 3; len++) {
		begin(CERT, 1400, "instance-tag interface-tag");
		char line[1600] = PLAIN_RECORD " ";
		memset(line + strlen(line), 'a', len);
		const struct walk_record *record = carry(PLAIN " instance-tag", line);
		expect_run(aws_octets(record, CERT, FIELD_INSTANCE_TAG), 'a',
			   len <= LONGEST ? len : 0);
		assert_int_equal(ipfix_texts_cut(rig.encoder.ipfix), len > LONGEST);
		rig_end(&rig);
	}
	begin(CERT, 1400, NULL);
}

/* A flow that has no room beside another is refused, and nothing of it stays. */
static void test_refused(void **state)
{
	(void)state;
	char line[1500] = PLAIN_RECORD " ";
	unsigned refused = 0;
	begin(CERT, 1400, "instance-tag interface-tag");
	for (size_t len = 1240; len < 1270; len++) {
		batch_clear(&rig.batch);
		rig_read(&rig, PLAIN " instance-tag", PLAIN_RECORD " x");
		rig_add(&rig);
		struct batch before = rig.batch;
		memset(line + strlen(PLAIN_RECORD " "), 'a', len);
		rig_read(&rig, PLAIN " instance-tag", line);
		/* 16 + 4 of headers, 60 + 2 + 1 of the first, 60 + 3 + 1 of this one and its text */
		bool fits = 16 + 4 + 63 + 64 + len <= 1400;
		assert_int_equal(encoder_add(&rig.encoder, &rig.flow, &rig.batch), fits);
		refused += !fits;
		if (!fits)
			assert_memory_equal(&rig.batch, &before, sizeof(before));
	}
	assert_in_range(refused, 1, 29);
	assert_int_equal(ipfix_texts_cut(rig.encoder.ipfix), 0);
	rig_send(&rig);
	assert_int_equal(rig_flows(&rig), 1);
}

/* In a message that just holds the largest template everything has its place. */
static void test_least_message(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	char line[4096];
	settings.aws_elements = CERT;
	settings.packet_addresses = true;
	settings.message_size = announce_least_message(&settings, format_every_field());
	assert_in_range(settings.message_size, 400, 700);
	rig_begin(&rig, &settings, every_field());
	assert_true(source_set_exporter(&rig.source, SLICE_LITERAL("2001:db8::12")));
	put_values(line, sizeof(line), true);
	carry(every_field(), line);
	carry(PLAIN " pkt-srcaddr pkt-dstaddr", "2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4");
	assert_int_equal(rig_flow_templates(&rig), 8);
	assert_int_equal(rig_flows(&rig), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_numbers_stay),
		cmocka_unit_test_teardown(test_types, tear_down),
		cmocka_unit_test_teardown(test_type_names, tear_down),
		cmocka_unit_test_teardown(test_types_again, tear_down),
		cmocka_unit_test_teardown(test_values, tear_down),
		cmocka_unit_test_teardown(test_every_value, tear_down),
		cmocka_unit_test_teardown(test_columns, tear_down),
		cmocka_unit_test_teardown(test_none, tear_down),
		cmocka_unit_test_teardown(test_long_texts, tear_down),
		cmocka_unit_test_teardown(test_texts_too_long, tear_down),
		cmocka_unit_test_teardown(test_longest_text, tear_down),
		cmocka_unit_test_teardown(test_refused, tear_down),
		cmocka_unit_test_teardown(test_least_message, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
