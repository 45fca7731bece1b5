/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that formats are read as AWS writes them (LogFormat, header lines, lists of names), that
 * mistakes are refused and named, that a header line is told from a record, and that the table of
 * fields is AWS's: 54 fields of VPC flow logs, 18 more of Transit Gateway flow logs, by all three
 * ways of writing a name.
 */
#include "support.h"

#include "flow/format.h"

/* AWS's "Available fields", versions 2 to 11, in the order of its table. */
static const char vpc_fields[] =
	"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
	"start end action log-status "
	"vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr "
	"region az-id sublocation-type sublocation-id "
	"pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path "
	"ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id "
	"ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn "
	"ecs-task-arn ecs-task-id "
	"reject-reason resource-id encryption-status "
	"instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 "
	"interface-type next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id "
	"next-hop-interface-type";

/* The default of Transit Gateway flow logs, which is all of its fields. */
static const char tgw_fields[] =
	"version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id "
	"tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id "
	"tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr "
	"dstaddr srcport dstport protocol packets bytes start end log-status type "
	"packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded "
	"packets-lost-ttl-expired tcp-flags region flow-direction pkt-src-aws-service "
	"pkt-dst-aws-service";

/* The names of a format, separated by spaces. */
static const char *names_of(const struct format *f, char text[8192])
{
	size_t len = 0;
	text[0] = '\0';
	for (unsigned i = 0; i < f->count; i++) {
		struct slice name = format_column_name(f, i);
		len += (size_t)snprintf(text + len, 8192 - len, "%s%.*s", i == 0 ? "" : " ",
					(int)name.len, name.data);
	}
	return text;
}

/* Places and columns must say the same. */
static void check_places(const struct format *f)
{
	unsigned known = 0;
	for (unsigned i = 0; i < f->count; i++)
		if (f->column[i].field != FIELD_UNKNOWN)
			assert_int_equal(f->place[f->column[i].field], i);
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		assert_in_range(f->place[i] + 1, 0, f->count);
		known += f->place[i] >= 0;
	}
	assert_int_equal(known + f->unknown, f->count);
}

/* ---- what is a format ----------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *names; /* NULL: as the text */
	unsigned unknown;
} good[] = {
	{ "version", NULL, 0 },
	{ "version srcaddr dstaddr", NULL, 0 },
	{ "${version} ${srcaddr}", "version srcaddr", 0 },
	{ "${version} srcaddr", "version srcaddr", 0 },
	{ "version,srcaddr,dstaddr", "version srcaddr dstaddr", 0 },
	{ "version, srcaddr ,dstaddr", "version srcaddr dstaddr", 0 },
	{ "  ${version}   ${srcaddr}  ", "version srcaddr", 0 },
	{ "${version}\t${srcaddr}\r\n", "version srcaddr", 0 },
	{ "log-status end start", NULL, 0 },
	{ "account_id log_status", NULL, 0 },
	{ "${account_id}", "account_id", 0 },
	{ "srcaddr field-of-2031 dstaddr", NULL, 1 },
	{ "a b c", NULL, 3 },
	{ "Version", NULL, 1 },
	{ "SRCADDR srcaddr", NULL, 1 },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, 1 },
	{ "defaults", NULL, 1 },
	{ "default tgw", NULL, 2 },
	{ "instance-tag instance-tag-2", NULL, 0 },
	{ vpc_fields, NULL, 0 },
	{ tgw_fields, NULL, 0 },
	{ "tgw", tgw_fields, 0 },
	{ "default",
	  "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
	  "start end action log-status",
	  0 },
};

static void test_good(void **state)
{
	(void)state;
	static struct format f;
	char names[8192];
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct slice where;
		enum format_error error = format_parse(&f, slice_text(good[i].text), COLUMN_LIMIT,
						       &where);
		if (error != FORMAT_OK)
			fail_msg("\"%s\": %s", good[i].text, format_error_text(error));
		assert_string_equal(names_of(&f, names),
				    good[i].names == NULL ? good[i].text : good[i].names);
		assert_int_equal(f.unknown, good[i].unknown);
		check_places(&f);
	}
}

static const struct {
	const char *text;
	enum format_error error;
	const char *where;
} bad[] = {
	{ "", FORMAT_EMPTY, "" },
	{ "  ,, \t", FORMAT_EMPTY, "" },
	{ "srcaddr srcaddr", FORMAT_TWICE, "srcaddr" },
	{ "srcaddr dstaddr ${srcaddr}", FORMAT_TWICE, "${srcaddr}" },
	{ "account-id account_id", FORMAT_TWICE, "account_id" },
	{ "x srcaddr x", FORMAT_TWICE, "x" },
	{ "${}", FORMAT_NAME, "${}" },
	{ "${version", FORMAT_NAME, "${version" },
	{ "$version", FORMAT_NAME, "$version" },
	{ "{version}", FORMAT_NAME, "{version}" },
	{ "${ver sion}", FORMAT_NAME, "${ver" },
	{ "${version}${srcaddr}", FORMAT_NAME, "${version}${srcaddr}" },
	{ "srcaddr;dstaddr", FORMAT_NAME, "srcaddr;dstaddr" },
	{ "2", FORMAT_NAME, "2" },
	{ "-", FORMAT_NAME, "-" },
	{ "srcaddr -x", FORMAT_NAME, "-x" },
	{ "_x", FORMAT_NAME, "_x" },
	{ "a.b", FORMAT_NAME, "a.b" },
	{ "a\x01", FORMAT_NAME, "a\x01" },
	{ "caf\xc3\xa9", FORMAT_NAME, "caf\xc3\xa9" },
	{ "\"srcaddr\"", FORMAT_NAME, "\"srcaddr\"" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", FORMAT_NAME,
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
};

static void test_bad(void **state)
{
	(void)state;
	static struct format f;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct slice where;
		enum format_error error = format_parse(&f, slice_text(bad[i].text), COLUMN_LIMIT,
						       &where);
		if (error != bad[i].error || !slice_equal(where, slice_text(bad[i].where)))
			fail_msg("\"%s\": \"%s\" at \"%.*s\"", bad[i].text,
				 format_error_text(error), (int)where.len, where.data);
		assert_true(strlen(format_error_text(error)) > 5);
	}
}

static void numbered(char *text, size_t room, unsigned columns)
{
	size_t len = 0;
	for (unsigned i = 0; i < columns; i++)
		len += (size_t)snprintf(text + len, room - len, "f%u ", i);
}

static void test_columns_limit(void **state)
{
	(void)state;
	static struct format f;
	struct slice where;
	char text[1024];
	numbered(text, sizeof(text), 128);
	assert_int_equal(format_parse(&f, slice_text(text), COLUMN_LIMIT, &where), FORMAT_OK);
	assert_int_equal(f.count, 128);
	numbered(text, sizeof(text), 129);
	assert_int_equal(format_parse(&f, slice_text(text), COLUMN_LIMIT, &where), FORMAT_TOO_MANY);
	assert_true(slice_equal(where, SLICE_LITERAL("f128")));
	assert_int_equal(format_parse(&f, SLICE_LITERAL("srcaddr dstaddr"), 2, &where), FORMAT_OK);
	assert_int_equal(format_parse(&f, SLICE_LITERAL("srcaddr dstaddr end"), 2, &where),
			 FORMAT_TOO_MANY);
	assert_true(slice_equal(where, SLICE_LITERAL("end")));
	assert_int_equal(format_parse(&f, SLICE_LITERAL("default"), 13, &where), FORMAT_TOO_MANY);
	assert_int_equal(format_parse(&f, SLICE_LITERAL("default"), 14, &where), FORMAT_OK);
}

/* A column of text that becomes one of numbers is that in every way. */
static void test_derived(void **state)
{
	(void)state;
	static struct format f;
	static struct format same;
	struct slice where;
	assert_int_equal(format_parse(&f, SLICE_LITERAL("action flows"), 2, &where), FORMAT_OK);
	assert_int_equal(f.unknown, 1);
	format_take_derived(&f);
	assert_int_equal(format_parse(&same, SLICE_LITERAL("action"), 2, &where), FORMAT_OK);
	assert_int_equal(format_add(&same, FIELD_FLOWS), FORMAT_OK);
	assert_int_equal(f.unknown, 0);
	assert_int_equal(f.place[FIELD_FLOWS], 1);
	assert_int_equal(f.kind[1], FIELD_U64);
	assert_int_equal(f.sure[1], same.sure[1]);
	assert_int_equal(f.numbers[0], same.numbers[0]);
	assert_string_equal(f.column[1].key, ",\"flows\":");
	assert_string_equal(same.column[1].key, f.column[1].key);
}

/* ---- header lines --------------------------------------------------------------------------- */

static const struct {
	const char *line;
	bool header;
} headers[] = {
	{ "version account-id interface-id srcaddr dstaddr", true },
	{ "version", true },
	{ "account_id srcaddr", true },
	{ "srcaddr dstaddr field-of-2031", true },
	{ "srcaddr field-of-2031", true },
	{ vpc_fields, true },
	{ tgw_fields, true },
	{ "", false },
	{ " ", false },
	{ "-", false },
	{ "- - -", false },
	{ "- - - srcaddr", false },
	{ "srcaddr one two", false },
	{ "hello world", false },
	{ "ACCEPT OK", false },
	{ "NODATA", false },
	{ "SKIPDATA", false },
	{ "REJECT", false },
	{ "ingress IPv4 ACCEPT OK", false },
	{ "OK S3 AMAZON", false },
	{ "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA",
	  false },
	{ "srcaddr dstaddr 10.0.0.1", false },
	{ "version 2", false },
	{ "srcaddr dstaddr -", false },
	{ "eni-1235b8ca123456789 vpc-abcdefab012345678 ACCEPT", false },
	{ "srcaddr dstaddr \"end\"", false },
	{ "{\"version\":2}", false },
	{ "srcaddr=1 dstaddr=2", false },
	{ "srcaddr \xff", false },
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(headers); i++)
		if (format_is_header(slice_text(headers[i].line)) != headers[i].header)
			fail_msg("\"%s\": expected %d", headers[i].line, headers[i].header);
	assert_false(format_is_header(SLICE_NONE));
	assert_false(format_is_header(slice_of("srcaddr\0", 8)));
}

/* None of the records that AWS prints in its documentation is taken for a header line. */
static void test_records_are_no_headers(void **state)
{
	(void)state;
	struct rows r;
	unsigned records = 0;
	rows_open(&r, TEST_DATA "/aws-docs-records.tsv");
	while (rows_next(&r, 3)) {
		if (strcmp(r.column[0], "name") == 0)
			continue;
		assert_true(format_is_header(slice_text(r.column[1])));
		assert_false(format_is_header(slice_text(r.column[2])));
		records++;
	}
	assert_int_equal(records, 32);
}

/* ---- the table ------------------------------------------------------------------------------ */

static void test_table(void **state)
{
	(void)state;
	static struct format vpc;
	static struct format tgw;
	struct slice where;
	char names[8192];
	assert_int_equal(format_parse(&vpc, slice_text(vpc_fields), COLUMN_LIMIT, &where),
			 FORMAT_OK);
	assert_int_equal(format_parse(&tgw, slice_text(tgw_fields), COLUMN_LIMIT, &where),
			 FORMAT_OK);
	assert_int_equal(vpc.count, 54);
	assert_int_equal(vpc.unknown, 0);
	assert_int_equal(tgw.count, 36);
	assert_int_equal(tgw.unknown, 0);
	assert_int_equal(FIELD_COUNT, 54 + 18);
	const struct format *every = format_every_field();
	assert_int_equal(every->count, FIELD_COUNT);
	check_places(every);
	/* VPC's in AWS's order first, then what only Transit Gateway has. */
	names_of(every, names);
	assert_memory_equal(names, vpc_fields, strlen(vpc_fields));
	for (unsigned i = 54; i < FIELD_COUNT; i++) {
		assert_int_equal(every->place[i], i);
		assert_true(tgw.place[i] >= 0 && vpc.place[i] < 0);
	}
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		struct slice name = field_name(i);
		struct slice column = field_column_name(i);
		char expected[64] = "";
		for (size_t k = 0; k < name.len; k++)
			expected[k] = name.data[k] == '-' ? '_' : name.data[k];
		assert_true(slice_equal(column, slice_text(expected)));
		assert_int_equal(field_by_name(name), i);
		assert_int_equal(field_by_name(column), i);
	}
	assert_int_equal(field_by_name(SLICE_LITERAL("srcAddr")), FIELD_UNKNOWN);
	assert_int_equal(field_by_name(SLICE_LITERAL("srcadd")), FIELD_UNKNOWN);
	assert_int_equal(field_by_name(SLICE_LITERAL("srcaddrs")), FIELD_UNKNOWN);
	assert_int_equal(field_by_name(SLICE_LITERAL("account_id-")), FIELD_UNKNOWN);
	assert_int_equal(field_by_name(SLICE_NONE), FIELD_UNKNOWN);
	assert_int_equal(field_kind(FIELD_UNKNOWN), FIELD_TEXT);
}

/* AWS's type of every field that is no plain text. */
static void test_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *names;
		enum field_kind kind;
	} kinds[] = {
		{ "srcaddr dstaddr pkt-srcaddr pkt-dstaddr", FIELD_ADDRESS },
		{ "protocol", FIELD_U8 },
		{ "srcport dstport tcp-flags", FIELD_U16 },
		{ "version traffic-path encryption-status", FIELD_U32 },
		{ "packets bytes packets-lost-no-route packets-lost-blackhole "
		  "packets-lost-mtu-exceeded packets-lost-ttl-expired",
		  FIELD_U64 },
		{ "start end", FIELD_TIME },
	};
	unsigned typed = 0;
	unsigned text = 0;
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		static struct format f;
		struct slice where;
		assert_int_equal(format_parse(&f, slice_text(kinds[i].names), 128, &where),
				 FORMAT_OK);
		for (unsigned k = 0; k < f.count; k++) {
			assert_int_equal(field_kind(f.column[k].field), kinds[i].kind);
			assert_int_equal(field_is_number(f.column[k].field),
					 kinds[i].kind != FIELD_ADDRESS);
		}
		typed += f.count;
	}
	for (unsigned i = 0; i < FIELD_COUNT; i++)
		text += field_kind(i) == FIELD_TEXT;
	assert_int_equal(typed + text, FIELD_COUNT);
}

static const struct {
	const char *camel;
	const char *name; /* NULL: no field */
} camels[] = {
	{ "version", "version" },
	{ "accountId", "account-id" },
	{ "interfaceId", "interface-id" },
	{ "srcAddr", "srcaddr" },
	{ "dstAddr", "dstaddr" },
	{ "srcPort", "srcport" },
	{ "dstPort", "dstport" },
	{ "logStatus", "log-status" },
	{ "pktSrcAddr", "pkt-srcaddr" },
	{ "pktDstAddr", "pkt-dstaddr" },
	{ "pktSrcAwsService", "pkt-src-aws-service" },
	{ "pktDstAwsService", "pkt-dst-aws-service" },
	{ "tcpFlags", "tcp-flags" },
	{ "vpcId", "vpc-id" },
	{ "azId", "az-id" },
	{ "flowDirection", "flow-direction" },
	{ "trafficPath", "traffic-path" },
	{ "subLocationType", "sublocation-type" },
	{ "sublocationId", "sublocation-id" },
	{ "ecsContainerInstanceArn", "ecs-container-instance-arn" },
	{ "instanceTag", "instance-tag" },
	{ "instanceTag2", "instance-tag-2" },
	{ "tgwSrcVpcAccountId", "tgw-src-vpc-account-id" },
	{ "packetsLostMtuExceeded", "packets-lost-mtu-exceeded" },
	{ "SRCADDR", "srcaddr" },
	{ "srcaddr", "srcaddr" },
	{ "", NULL },
	{ "src", NULL },
	{ "srcAddress", NULL },
	{ "src-addr", NULL },
	{ "instanceTag3", NULL },
	{ "timestamp", NULL },
};

static void test_camel_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(camels); i++) {
		enum field field = field_by_camel_name(slice_text(camels[i].camel));
		if (camels[i].name == NULL)
			assert_int_equal(field, FIELD_UNKNOWN);
		else if (!slice_equal(field_name(field), slice_text(camels[i].name)))
			fail_msg("%s is not %s", camels[i].camel, camels[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	      cmocka_unit_test(test_bad),
		cmocka_unit_test(test_columns_limit), cmocka_unit_test(test_derived),
		cmocka_unit_test(test_headers),	      cmocka_unit_test(test_records_are_no_headers),
		cmocka_unit_test(test_table),	      cmocka_unit_test(test_names),
		cmocka_unit_test(test_kinds),	      cmocka_unit_test(test_camel_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
