/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves what is sent ahead of flows: nothing without flows; in every session the templates and what
 * options tell; names and losses gathered for a minute, at the last call at once; everything again
 * when asked, and for datagrams by time and by messages. First that the walker, which judges all of
 * it, refuses what it has to.
 */
#include "ipfix_rig.h"

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	rig_begin(&rig, &settings, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

static void begin(const struct encoder_settings *settings)
{
	rig_end(&rig);
	rig_begin(&rig, settings, NULL);
}

static void read_flow(const char *id)
{
	char line[128];
	(void)snprintf(line, sizeof(line), PLAIN_RECORD " %s", id);
	rig_read(&rig, PLAIN " interface-id", line);
}

/* A flow is seen on this interface, but not sent. */
static void see(const char *id)
{
	read_flow(id);
	rig_add(&rig);
	batch_clear(&rig.batch);
}

static void send_flow(const char *id)
{
	read_flow(id);
	rig_add(&rig);
	rig_send(&rig);
}

/* How many messages are ahead of the lane after this time. */
static unsigned ahead_after(uint64_t ms)
{
	rig_forget(&rig);
	rig.now_ms += ms;
	return rig_ahead(&rig, rig.lane);
}

/* ---- the walker ----------------------------------------------------------------------------- */

/* A message's octets after its header in hex, or all of them, and why it is refused. */
static const struct {
	const char *sets;
	const char *wrong;
} messages[] = {
	{ "", "message of nothing" },
	{ "0002 000c 0100 0001 0008 0004", NULL },
	{ "0002 0014 0100 0001 0008 0004 0101 0001 000c 0004", NULL },
	{ "0002 000c 0100 0001 0008 0004 0100 0008 01020304", NULL },
	{ "0002 000c 0100 0001 0008 0004 0100 000c 01020304 05060708", NULL },
	{ "0002 000c 0100 0001 0008 0004 0100 0004", "set of nothing" },
	{ "0002 000c 0100 0001 0008 0004 0100 0009 01020304 00", "cut short" },
	{ "0002 000c 0100 0001 0008 0004 0100 0009 01020304", "cut short" },
	{ "0002 000c 0100 0001 0008 0004 0101 0008 01020304", "data before its template" },
	{ "0100 0008 01020304", "data before its template" },
	{ "0002 0008 0100 0000", "template withdrawn, or padding" },
	{ "0002 0010 0100 0001 0008 0004 0000 0000", "template id below 256" },
	{ "0002 000e 0100 0001 0008 0004 0000", "cut short" },
	{ "0002 000c 00ff 0001 0008 0004", "template id below 256" },
	{ "0002 000c 0100 0001 0000 0004", "element of no number or length" },
	{ "0002 000c 0100 0001 0008 0000", "element of no number or length" },
	{ "0002 000c 0100 0002 0008 0004", "cut short" },
	{ "0002 000c 0100 0001 8008 0004", "cut short" },
	{ "0002 0010 0100 0001 8008 0004 00000000", "enterprise number 0" },
	{ "0002 0010 0100 0001 8008 0004 00001ad7", NULL },
	{ "0002 000c 0100 0001 0008 0004 0002 000c 0100 0001 0008 0004", NULL },
	{ "0002 000c 0100 0001 0008 0004 0002 000c 0100 0001 000c 0004", "template that changes" },
	{ "0003 000e 0100 0001 0001 0095 0004", NULL },
	{ "0003 000e 0100 0001 0000 0095 0004", "scope of no or too many elements" },
	{ "0003 000e 0100 0001 0002 0095 0004", "scope of no or too many elements" },
	{ "0003 0018 0100 0001 0001 0095 0004 0101 0001 0001 0095 0004",
	  "two Options Templates in a set" },
	{ "0003 000e 0100 0001 0001 0095 0004 0002 000c 0100 0001 0095 0004",
	  "template that changes" },
	{ "0004 0005 00", "set of an unknown kind" },
	{ "00ff 0005 00", "set of an unknown kind" },
	{ "0002 0003", "set of nothing" },
	{ "0002 ffff 0100 0001 0008 0004", "cut short" },
	{ "0002 000c 0100 0001 0053 ffff 0100 0007 02 6162", NULL },
	{ "0002 000c 0100 0001 0053 ffff 0100 0006 00 00", NULL },
	{ "0002 000c 0100 0001 0053 ffff 0100 0006 02 61", "cut short" },
	{ "0002 000c 0100 0001 0053 ffff 0100 0008 ff0001 61",
	  "three octets of length where one would do" },
};

static size_t from_hex(const char *text, char *octets)
{
	size_t len = 0;
	for (; *text != '\0'; text++) {
		if (*text == ' ')
			continue;
		octets[len++] = (char)(hex_value(text[0]) << 4 | hex_value(text[1]));
		text++;
	}
	return len;
}

static void test_walker(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(messages); i++) {
		static struct walk walk;
		char octets[256];
		walk = (struct walk){ .domains = 0 };
		size_t len = 16 + from_hex(messages[i].sets, octets + 16);
		(void)from_hex("000a 0000 00000001 00000000 00000007", octets);
		octets[3] = (char)len;
		const char *wrong = walk_message(&walk, slice_of(octets, len));
		if ((wrong == NULL) != (messages[i].wrong == NULL) ||
		    (wrong != NULL && strcmp(wrong, messages[i].wrong) != 0))
			fail_msg("%s: %s", messages[i].sets, wrong);
	}
}

static const struct {
	const char *message;
	const char *wrong;
} headers[] = {
	{ "000a 001c 00000001 00000000 00000007 0002 000c 0100 0001 0008 0004", NULL },
	{ "0009 001c 00000001 00000000 00000007 0002 000c 0100 0001 0008 0004", "not version 10" },
	{ "000a 001d 00000001 00000000 00000007 0002 000c 0100 0001 0008 0004",
	  "length is not the message's" },
	{ "000a 001c 00000001 00000001 00000007 0002 000c 0100 0001 0008 0004", "sequence number" },
	{ "000a 001c 00000001 00000000 00000000 0002 000c 0100 0001 0008 0004", "domain 0" },
	{ "000a 000f 00000001 00000000 000000", "shorter than its header" },
};

static void test_walker_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(headers); i++) {
		static struct walk walk;
		char octets[64];
		walk = (struct walk){ .domains = 0 };
		size_t len = from_hex(headers[i].message, octets);
		const char *wrong = walk_message(&walk, slice_of(octets, len));
		if ((wrong == NULL) != (headers[i].wrong == NULL) ||
		    (wrong != NULL && strcmp(wrong, headers[i].wrong) != 0))
			fail_msg("%s: %s", headers[i].message, wrong);
	}
}

/* ---- the beginning of a session ------------------------------------------------------------- */

static void test_silence(void **state)
{
	(void)state;
	for (unsigned session = 0; session < 2; session++) {
		assert_int_equal(rig_ahead(&rig, ANY_LANE), 0);
		see("-");
		assert_int_equal(rig_ahead(&rig, ANY_LANE), 0);
		assert_in_range(rig_ahead(&rig, rig.lane), 1, 3);
		assert_int_equal(rig_ahead(&rig, rig.lane), 0);
		assert_int_equal(rig_ahead(&rig, ANY_LANE), 0);
		assert_int_equal(rig_flow_templates(&rig), 4);
		rig_session(&rig);
	}
}

/* Each Options Template: number and octets of its elements; the first is the scope. */
static const struct {
	unsigned count;
	struct walk_element element[4];
} options[] = {
	{ 2, { { 0, 149, 4 }, { 0, 34, 4 } } },
	{ 2, { { 0, 149, 4 }, { 0, 130, 4 } } },
	{ 2, { { 0, 149, 4 }, { 0, 300, DOMAIN_NAME_ROOM } } },
	{ 3, { { 0, 149, 4 }, { 0, 10, 4 }, { 0, 83, 32 } } },
	{ 4, { { 0, 149, 4 }, { 0, 166, 8 }, { 0, 167, 8 }, { 0, 168, 8 } } },
};

static void expect_options_template(const struct walk_template *t)
{
	for (size_t i = 0; i < COUNT_OF(options); i++)
		if (t->count == options[i].count && t->scope == 1 &&
		    memcmp(t->element, options[i].element, t->count * sizeof(t->element[0])) == 0)
			return;
	fail_msg("unknown Options Template %u", t->id);
}

/* Whether the domain was told this name, of fixed length as nfcapd wants it, padded with NUL. */
static void expect_domain_name(const char *name, size_t len)
{
	char padded[DOMAIN_NAME_ROOM] = { 0 };
	memcpy(padded, name, len);
	assert_int_equal(rig_options(&rig, 300), 1);
	assert_true(slice_equal(rig_octets(rig_option(&rig, 300, 0), 300),
				slice_of(padded, sizeof(padded))));
}

static void test_beginning(void **state)
{
	(void)state;
	rig.origin.group = SLICE_LITERAL("/aws/vpc/flows");
	rig.origin.account = SLICE_LITERAL("123456789012");
	send_flow("-");
	unsigned seen = 0;
	for (unsigned i = 0; i < rig.count; i++) {
		const struct seen *s = rig.seen[i];
		/* Every template is there before the first record. */
		assert_int_equal(s->is_record, i >= 4 + COUNT_OF(options));
		if (!s->is_record && s->template.scope > 0) {
			expect_options_template(&s->template);
			seen++;
		}
	}
	assert_int_equal(seen, COUNT_OF(options));
	static const uint16_t once[] = { 34, 130, 300 };
	for (size_t i = 0; i < COUNT_OF(once); i++) {
		assert_int_equal(rig_options(&rig, once[i]), 1);
		assert_int_equal(rig_number(rig_option(&rig, once[i], 0), 149), 7);
	}
	assert_int_equal(rig_number(rig_option(&rig, 34, 0), 34), 1);
	assert_int_equal(rig_number(rig_option(&rig, 130, 0), 130), 0xc0000201);
	expect_domain_name("123456789012//aws/vpc/flows", 27);
	assert_int_equal(rig_options(&rig, 83), 0);
	assert_int_equal(rig_options(&rig, 166), 0);
	assert_int_equal(rig_flows(&rig), 1);
}

static void test_exporter_of_ipv6(void **state)
{
	(void)state;
	static const char six[16] = { 0x20, 0x01, 0x0d, (char)0xb8, [15] = 0x12 };
	assert_true(source_set_exporter(&rig.source, SLICE_LITERAL("2001:db8::12")));
	send_flow("-");
	assert_int_equal(rig_options(&rig, 130), 0);
	assert_int_equal(rig_option_templates(&rig, 130), 0);
	assert_int_equal(rig_options(&rig, 131), 1);
	assert_true(
		slice_equal(rig_octets(rig_option(&rig, 131, 0), 131), slice_of(six, sizeof(six))));
}

/* account of the record, account and log group of its document, the domain's name; "": none */
static const struct {
	const char *recorded;
	const char *account;
	const char *group;
	const char *name;
} domain_names[] = {
	{ "-", "", "", "" },
	{ "123", "", "", "123" },
	{ "123", "456", "", "456" },
	{ "-", "456", "", "456" },
	{ "-", "", "g", "g" },
	{ "123", "", "g", "123/g" },
	{ "123", "456", "/g/h", "456//g/h" },
	{ "-", "", "a b\x01\x7f\xc3\xa9~", "a b????~" },
};

static void test_domain_names(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	for (size_t i = 0; i < COUNT_OF(domain_names); i++) {
		char line[64];
		begin(&settings);
		rig.origin.account = slice_text(domain_names[i].account);
		rig.origin.group = slice_text(domain_names[i].group);
		(void)snprintf(line, sizeof(line), PLAIN_RECORD " %s", domain_names[i].recorded);
		rig_read(&rig, PLAIN " account-id", line);
		rig_add(&rig);
		rig_send(&rig);
		if (domain_names[i].name[0] == '\0')
			assert_int_equal(rig_options(&rig, 300), 0);
		else
			expect_domain_name(domain_names[i].name, strlen(domain_names[i].name));
	}
}

/* A name as long as it may be, in the smallest messages; a second payload's changes nothing. */
static void test_long_domain_name(void **state)
{
	(void)state;
	char group[600];
	struct encoder_settings settings = rig_settings();
	settings.message_size = 576;
	begin(&settings);
	memset(group, 'g', sizeof(group));
	rig.origin.group = slice_of(group, sizeof(group));
	send_flow("-");
	expect_domain_name(group, DOMAIN_NAME_ROOM - 1);
	rig.origin.group = SLICE_LITERAL("other");
	rig_session(&rig);
	send_flow("-");
	expect_domain_name(group, DOMAIN_NAME_ROOM - 1);
}

/* A record whose document is not known. */
static void test_no_origin(void **state)
{
	(void)state;
	rig_read(&rig, PLAIN " account-id", PLAIN_RECORD " 123");
	rig.flow.origin = NULL;
	rig_add(&rig);
	rig_send(&rig);
	expect_domain_name("123", 3);
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Whether exactly these interfaces were told, each once. */
static void expect_names(unsigned count, const char *const *ids)
{
	assert_int_equal(rig_options(&rig, 83), count);
	for (unsigned i = 0; i < count; i++) {
		char text[32] = { 0 };
		unsigned found = 0;
		memcpy(text, ids[i], strlen(ids[i]));
		for (unsigned k = 0; k < count; k++) {
			const struct walk_record *record = rig_option(&rig, 83, k);
			assert_int_equal(rig_number(record, 149), 7);
			found += rig_number(record, 10) == element_interface(slice_text(ids[i])) &&
				 memcmp(rig_octets(record, 83).data, text, sizeof(text)) == 0;
		}
		assert_int_equal(found, 1);
	}
}

#define EXPECT_NAMES(...)                                                                          \
	expect_names(COUNT_OF(((const char *[]){ __VA_ARGS__ })), (const char *[]){ __VA_ARGS__ })

static void test_names(void **state)
{
	(void)state;
	send_flow("eni-1235b8ca123456789");
	EXPECT_NAMES("eni-1235b8ca123456789");
	rig_forget(&rig);
	rig_session(&rig);
	rig_read(&rig, PLAIN " tgw-attachment-id flow-direction",
		 PLAIN_RECORD " tgw-attach-0123456789abcdef0 egress");
	rig_add(&rig);
	rig_send(&rig);
	/* All that were ever seen in the domain, in every session; the leaving one as ingress too. */
	EXPECT_NAMES("eni-1235b8ca123456789", "tgw-attach-0123456789abcdef0");
}

static void test_names_are_gathered(void **state)
{
	(void)state;
	send_flow("eni-00000001");
	EXPECT_NAMES("eni-00000001");
	see("eni-00000002");
	assert_int_equal(ahead_after(0), 0);
	assert_int_equal(ahead_after(30 * 1000), 0);
	see("eni-00000003");
	see("eni-00000002");
	see("eni-00000001");
	assert_int_equal(ahead_after(30 * 1000 - 1), 0);
	assert_int_equal(ahead_after(1), 1);
	EXPECT_NAMES("eni-00000002", "eni-00000003");
	assert_int_equal(rig_flow_templates(&rig), 0);
	assert_int_equal(rig_options(&rig, 34), 0);
	assert_int_equal(ahead_after(600 * 1000), 0);
	see("eni-00000004");
	assert_int_equal(ahead_after(0), 1);
	EXPECT_NAMES("eni-00000004");
	see("eni-00000005");
	assert_int_equal(ahead_after(60 * 1000 - 1), 0);
}

/* A domain that is quiet now still tells what waits. */
static void test_names_without_flows(void **state)
{
	(void)state;
	send_flow("eni-00000001");
	send_flow("eni-00000002");
	rig_forget(&rig);
	assert_int_equal(rig_ahead(&rig, ANY_LANE), 0);
	rig.now_ms += 60 * 1000;
	assert_int_equal(rig_ahead(&rig, ANY_LANE), 1);
	EXPECT_NAMES("eni-00000002");
}

static void test_last_call(void **state)
{
	(void)state;
	send_flow("eni-00000001");
	see("eni-00000002");
	encoder_not_sent(&rig.encoder, rig.lane, &(struct tally){ 1, 2, 3 });
	assert_int_equal(ahead_after(0), 0);
	encoder_last_call(&rig.encoder);
	rig_forget(&rig);
	assert_int_equal(rig_ahead(&rig, ANY_LANE), 1);
	EXPECT_NAMES("eni-00000002");
	assert_int_equal(rig_options(&rig, 166), 1);
	assert_int_equal(ahead_after(0), 0);
	see("eni-00000003");
	assert_int_equal(ahead_after(0), 1);
	EXPECT_NAMES("eni-00000003");
	/* Another session takes its time again. */
	rig_session(&rig);
	send_flow("-");
	see("eni-00000004");
	assert_int_equal(ahead_after(59 * 1000), 0);
}

/* Octets of a message with one name, by RFC 7011 section 3: header, set 276, one record. */
static void test_names_octets(void **state)
{
	(void)state;
	char expected[60];
	send_flow("-");
	see("eni-00ab12cd");
	size_t before = rig.stream.len;
	assert_int_equal(ahead_after(60 * 1000), 1);
	(void)from_hex("000a 003c 00000000 00000003 00000007 0114 002c 00000007 00ab12cd"
		       "656e692d3030616231326364 0000000000000000000000000000000000000000",
		       expected);
	assert_int_equal(rig.stream.len - before, sizeof(expected));
	memset(rig.stream.data + before + 4, 0, 4);
	assert_memory_equal(rig.stream.data + before, expected, sizeof(expected));
}

/* More interfaces than are kept, time after time. */
static void test_many_interfaces(void **state)
{
	(void)state;
	enum { MANY = 5000, ROUNDS = 2 + NAMES_LIMIT / MANY };
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 1; i <= MANY; i++) {
			char id[32];
			(void)snprintf(id, sizeof(id), "eni-%08x", (round * MANY + i) * 7);
			read_flow(id);
			rig_add(&rig);
			rig.now_ms += 30;
		}
		rig_send(&rig);
		assert_int_equal(rig_flows(&rig), MANY);
		for (unsigned i = 0; i < MANY; i += 999)
			assert_int_equal(rig_number(rig_flow(&rig, i), 10),
					 (round * MANY + i + 1) * 7);
		assert_in_range(rig_options(&rig, 83), 900, NAMES_LIMIT);
		rig_forget(&rig);
	}
	/* And a session that begins with as many as there can be. */
	rig_session(&rig);
	see("eni-00000001");
	assert_in_range(rig_ahead(&rig, rig.lane), 1, NAMES_LIMIT / 20);
}

/* ---- small messages ------------------------------------------------------------------------- */

static void test_small_messages(void **state)
{
	(void)state;
	enum { INTERFACES = 100 };
	struct encoder_settings settings = rig_settings();
	settings.message_size = 576;
	settings.packet_addresses = true;
	begin(&settings);
	for (unsigned i = 1; i <= INTERFACES; i++) {
		char id[32];
		(void)snprintf(id, sizeof(id), "eni-%08x", i);
		see(id);
	}
	assert_true(source_set_exporter(&rig.source, SLICE_LITERAL("2001:db8::12")));
	see("-");
	/* Sixteen templates of flows need three messages, a hundred names eight; rig_ahead and
	   the walker look at their sizes and sequence numbers. */
	assert_in_range(rig_ahead(&rig, rig.lane), 3 + 8, 3 + 8 + 3);
	assert_int_equal(rig_flow_templates(&rig), 16);
	assert_int_equal(rig_options(&rig, 83), INTERFACES);
	assert_int_equal(rig.walk.domain[0].sequence, INTERFACES + 2);
}

/* ---- again ---------------------------------------------------------------------------------- */

/* Whether everything was told now. */
static void expect_all(unsigned names)
{
	assert_int_equal(rig_flow_templates(&rig), 4);
	assert_int_equal(rig_option_templates(&rig, 149), COUNT_OF(options));
	assert_int_equal(rig_options(&rig, 34), 1);
	assert_int_equal(rig_options(&rig, 130), 1);
	assert_int_equal(rig_options(&rig, 83), names);
}

static void test_repeat(void **state)
{
	(void)state;
	send_flow("eni-00000001");
	send_flow("eni-00000002");
	uint32_t sequence = rig.walk.domain[0].sequence;
	encoder_repeat(&rig.encoder);
	rig_forget(&rig);
	see("eni-00000001");
	assert_in_range(rig_ahead(&rig, rig.lane), 1, 3);
	expect_all(2);
	assert_int_equal(rig.walk.domain[0].sequence, sequence + 2 + 2);
	assert_int_equal(ahead_after(0), 0);
	/* What was half told is told anew. */
	encoder_repeat(&rig.encoder);
	assert_int_equal(encoder_ahead(&rig.encoder, rig.lane, rig.now_ms, &rig.ahead), STEP_OK);
	batch_clear(&rig.ahead);
	encoder_repeat(&rig.encoder);
	rig_forget(&rig);
	assert_in_range(rig_ahead(&rig, rig.lane), 1, 3);
	expect_all(2);
}

/* The first ones may be lost, and what comes before templates is of no use to a collector. */
static void test_datagrams_begin_twice(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	settings.datagrams = true;
	begin(&settings);
	for (unsigned session = 0; session < 2; session++) {
		send_flow("eni-00000001");
		assert_int_equal(rig_flow_templates(&rig), 8);
		assert_int_equal(rig_option_templates(&rig, 149), 2 * COUNT_OF(options));
		assert_int_equal(rig_options(&rig, 34), 1);
		assert_int_equal(rig_options(&rig, 83), 1);
		assert_true(rig.seen[rig.count - 1]->is_record);
		rig_forget(&rig);
		send_flow("eni-00000001");
		assert_int_equal(rig_flow_templates(&rig), 0);
		rig_session(&rig);
	}
}

static void test_refresh_by_time(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	settings.datagrams = true;
	settings.refresh_ms = 90 * 1000;
	begin(&settings);
	send_flow("eni-00000001");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ahead_after(89999), 0);
		rig_forget(&rig);
		rig.now_ms++;
		/* Without a flow as well: collectors forget by their own clocks. */
		assert_in_range(rig_ahead(&rig, i == 0 ? rig.lane : ANY_LANE), 1, 3);
		expect_all(1);
		assert_int_equal(rig_options(&rig, 166), 0);
	}
	/* Not in a connection. */
	settings.datagrams = false;
	begin(&settings);
	send_flow("eni-00000001");
	assert_int_equal(ahead_after(24 * 3600 * 1000), 0);
}

/* Sends flows until templates come again; how many messages of flows were between them. */
static unsigned messages_between(void)
{
	unsigned messages_of_flows = 0;
	do {
		rig_forget(&rig);
		send_flow("eni-00000001");
		messages_of_flows++;
		assert_in_range(messages_of_flows, 1, 1000);
	} while (rig_flow_templates(&rig) == 0);
	/* The last one comes after them. */
	return messages_of_flows - 1;
}

static void test_refresh_by_messages(void **state)
{
	(void)state;
	enum { MESSAGES = 20 };
	struct encoder_settings settings = rig_settings();
	settings.datagrams = true;
	settings.refresh_messages = MESSAGES;
	begin(&settings);
	send_flow("eni-00000001");
	assert_in_range(messages_between(), MESSAGES - 6, MESSAGES);
	for (unsigned times = 0; times < 5; times++) {
		/* Templates only: options data looks like lost records to nfcapd. */
		assert_int_equal(rig_flow_templates(&rig), 4);
		assert_int_equal(rig_option_templates(&rig, 149), COUNT_OF(options));
		assert_int_equal(rig_options(&rig, 149), 0);
		assert_in_range(messages_between(), MESSAGES - 6, MESSAGES);
	}
	settings.datagrams = false;
	begin(&settings);
	for (unsigned i = 0; i < 2 * MESSAGES; i++)
		send_flow("eni-00000001");
	assert_int_equal(rig_flow_templates(&rig), 4);
}

/* Templates that need more messages than they are good for must not be sent for ever. */
static void test_refresh_by_few_messages(void **state)
{
	(void)state;
	struct encoder_settings settings = rig_settings();
	settings.datagrams = true;
	for (uint64_t few = 1; few < 5; few++) {
		settings.refresh_messages = few;
		begin(&settings);
		for (unsigned i = 0; i < 10; i++)
			send_flow("-");
		assert_int_equal(rig_flows(&rig), 10);
	}
}

/* ---- loss ----------------------------------------------------------------------------------- */

static void expect_loss(uint64_t flows, uint64_t packets, uint64_t octets)
{
	assert_int_equal(rig_options(&rig, 166), 1);
	const struct walk_record *record = rig_option(&rig, 166, 0);
	assert_int_equal(rig_number(record, 149), 7);
	assert_int_equal(rig_number(record, 166), flows);
	assert_int_equal(rig_number(record, 167), packets);
	assert_int_equal(rig_number(record, 168), octets);
}

static void test_loss(void **state)
{
	(void)state;
	send_flow("-");
	assert_int_equal(ahead_after(600 * 1000), 0);
	encoder_not_sent(&rig.encoder, rig.lane, &(struct tally){ 1, 20, 300 });
	assert_int_equal(ahead_after(0), 1);
	expect_loss(1, 20, 300);
	encoder_not_sent(&rig.encoder, rig.lane, &(struct tally){ 1, 1, 1 });
	encoder_not_sent(&rig.encoder, rig.lane, &(struct tally){ 1, 1, UINT32_MAX });
	assert_int_equal(ahead_after(60 * 1000 - 1), 0);
	assert_int_equal(ahead_after(1), 1);
	expect_loss(3, 22, 301ull + UINT32_MAX);
	assert_int_equal(ahead_after(600 * 1000), 0);
	/* Totals since the start, so the next session has to know them. */
	rig_session(&rig);
	send_flow("-");
	expect_loss(3, 22, 301ull + UINT32_MAX);
	assert_int_equal(ahead_after(600 * 1000), 0);
	encoder_repeat(&rig.encoder);
	assert_in_range(ahead_after(0), 1, 3);
	expect_loss(3, 22, 301ull + UINT32_MAX);
}

/* ---- domains and exporters ------------------------------------------------------------------ */

static void test_two_exporters(void **state)
{
	(void)state;
	static struct source six;
	send_flow("eni-00000001");
	assert_int_equal(rig_flow_templates(&rig), 4);
	six = rig.source;
	assert_true(source_set_exporter(&six, SLICE_LITERAL("2001:db8::12")));
	for (unsigned i = 0; i < 6; i++) {
		read_flow("eni-00000001");
		rig.flow.source = i % 2 == 0 ? &six : &rig.source;
		rig_add(&rig);
	}
	rig_forget(&rig);
	rig_send(&rig);
	assert_int_equal(rig_flow_templates(&rig), 8);
	assert_int_equal(rig_options(&rig, 149), 0);
	for (unsigned i = 0; i < 6; i++) {
		uint16_t exporter = i % 2 == 0 ? 131 : 130;
		assert_int_equal(rig_octets(rig_flow(&rig, i), exporter).len, i % 2 == 0 ? 16 : 4);
	}
	rig_forget(&rig);
	send_flow("eni-00000001");
	assert_int_equal(rig_flow_templates(&rig), 0);
	rig_session(&rig);
	send_flow("eni-00000001");
	assert_int_equal(rig_flow_templates(&rig), 8);
}

/* Each tells its own, ahead of its own flows only. */
static void test_two_domains(void **state)
{
	(void)state;
	static struct source other;
	see("eni-00000001");
	unsigned first = rig.lane;
	other = rig.source;
	other.domain = 8;
	read_flow("eni-00000002");
	rig.flow.source = &other;
	rig_add(&rig);
	batch_clear(&rig.batch);
	assert_int_not_equal(rig.lane, first);
	assert_in_range(rig_ahead(&rig, rig.lane), 1, 3);
	assert_int_equal(rig_options(&rig, 83), 1);
	assert_int_equal(rig_number(rig_option(&rig, 83, 0), 149), 8);
	assert_int_equal(rig_number(rig_option(&rig, 83, 0), 10), 2);
	assert_int_equal(rig_ahead(&rig, ANY_LANE), 0);
	rig_forget(&rig);
	assert_in_range(rig_ahead(&rig, first), 1, 3);
	EXPECT_NAMES("eni-00000001");
	encoder_not_sent(&rig.encoder, first, &(struct tally){ 1, 2, 3 });
	rig_forget(&rig);
	rig.now_ms += 60 * 1000;
	assert_int_equal(rig_ahead(&rig, rig.lane), 0);
	assert_int_equal(rig_ahead(&rig, ANY_LANE), 1);
	expect_loss(1, 2, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walker),
		cmocka_unit_test(test_walker_headers),
		TEST(test_silence),
		TEST(test_beginning),
		TEST(test_exporter_of_ipv6),
		TEST(test_domain_names),
		TEST(test_long_domain_name),
		TEST(test_no_origin),
		TEST(test_names),
		TEST(test_names_are_gathered),
		TEST(test_names_without_flows),
		TEST(test_last_call),
		TEST(test_names_octets),
		TEST(test_many_interfaces),
		TEST(test_small_messages),
		TEST(test_repeat),
		TEST(test_datagrams_begin_twice),
		TEST(test_refresh_by_time),
		TEST(test_refresh_by_messages),
		TEST(test_refresh_by_few_messages),
		TEST(test_loss),
		TEST(test_two_exporters),
		TEST(test_two_domains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
