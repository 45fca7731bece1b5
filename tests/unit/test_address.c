/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that address_parse takes what inet_pton(3) takes, gives the same octets, and takes nothing
 * else: rows for the corners of the grammar, then 200,000 seeded mutations of good addresses, each
 * judged by inet_pton itself. Address blocks: what is one, and which addresses lie in it.
 */
#include "support.h"

#include <arpa/inet.h>

#include "flow/address.h"

/* A text, and its octets in hex; "" for what is no address. */
static const struct {
	const char *text;
	const char *octets;
} addresses[] = {
	{ "0.0.0.0", "00000000" },
	{ "255.255.255.255", "ffffffff" },
	{ "172.31.16.139", "ac1f108b" },
	{ "10.0.0.1", "0a000001" },
	{ "", "" },
	{ "1", "" },
	{ "1.2.3", "" },
	{ "1.2.3.", "" },
	{ ".1.2.3", "" },
	{ "1..2.3", "" },
	{ "1.2.3.4.", "" },
	{ "1.2.3.4.5", "" },
	{ "256.1.1.1", "" },
	{ "1.1.1.256", "" },
	{ "1.1.1.999", "" },
	{ "1.1.1.1000", "" },
	{ "01.2.3.4", "" },
	{ "1.2.3.04", "" },
	{ "1.2.3.00", "" },
	{ "0x1.2.3.4", "" },
	{ "1.2.3.a", "" },
	{ " 1.2.3.4", "" },
	{ "1.2.3.4 ", "" },
	{ "-1.2.3.4", "" },
	{ "+1.2.3.4", "" },
	{ "1.2.3.4/32", "" },
	{ "111.222.111.2222", "" },
	{ "::", "00000000000000000000000000000000" },
	{ "::1", "00000000000000000000000000000001" },
	{ "1::", "00010000000000000000000000000000" },
	{ "1::8", "00010000000000000000000000000008" },
	{ "1:2:3:4:5:6:7:8", "00010002000300040005000600070008" },
	{ "1:2:3:4:5:6:7::", "00010002000300040005000600070000" },
	{ "::2:3:4:5:6:7:8", "00000002000300040005000600070008" },
	{ "2001:db8:1234:a100:8d6e:3477:df66:f105", "20010db81234a1008d6e3477df66f105" },
	{ "2001:DB8::ABCD", "20010db800000000000000000000abcd" },
	{ "::ffff:1.2.3.4", "00000000000000000000ffff01020304" },
	{ "::1.2.3.4", "00000000000000000000000001020304" },
	{ "1:2:3:4:5:6:1.2.3.4", "00010002000300040005000601020304" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffffffffffffffffffffffffffffffff" },
	{ ":", "" },
	{ ":::", "" },
	{ "1:::8", "" },
	{ "1::2::3", "" },
	{ ":1", "" },
	{ "1:", "" },
	{ "1:2:3:4:5:6:7", "" },
	{ "1:2:3:4:5:6:7:", "" },
	{ "1:2:3:4:5:6:7:8:", "" },
	{ "1:2:3:4:5:6:7:8:9", "" },
	{ "1:2:3:4:5:6:7:8::", "" },
	{ "::1:2:3:4:5:6:7:8", "" },
	{ "12345::", "" },
	{ "00001::", "" },
	{ "g::", "" },
	{ "::1.2.3", "" },
	{ "::1.2.3.256", "" },
	{ "::01.2.3.4", "" },
	{ "1:2:3:4:5:6:7:1.2.3.4", "" },
	{ "::1.2.3.4:5", "" },
	{ "1.2.3.4::", "" },
	{ "fe80::1%eth0", "" },
	{ "[::1]", "" },
	{ "::1 ", "" },
	{ "::1/128", "" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2550", "" },
};

static void hex_of(const struct address *a, char hex[33])
{
	size_t octets = a->version == 4 ? 4 : 16;
	for (size_t i = 0; i < octets; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", a->octets[i]);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(addresses); i++) {
		struct address a;
		char hex[33] = "";
		if (address_parse(slice_text(addresses[i].text), &a))
			hex_of(&a, hex);
		if (strcmp(hex, addresses[i].octets) != 0)
			fail_msg("\"%s\": expected \"%s\", got \"%s\"", addresses[i].text,
				 addresses[i].octets, hex);
	}
}

/* A slice ends where it ends, and a NUL in it is an octet like any other. */
static void test_slices(void **state)
{
	(void)state;
	struct address a;
	assert_true(address_parse(slice_of("1.2.3.45", 7), &a));
	assert_int_equal(a.octets[3], 4);
	assert_true(address_parse(slice_of("::12", 3), &a));
	assert_int_equal(a.octets[15], 1);
	assert_false(address_parse(SLICE_NONE, &a));
	assert_false(address_parse(slice_of("1.2.3.4\0", 8), &a));
	assert_false(address_parse(slice_of("::1\0", 4), &a));
	assert_false(address_parse(slice_of("1.2.3\0.4", 8), &a));
}

/* Copies to the heap in its exact size, so that reading past its end is found. */
static bool parse_exact(const char *text, struct address *a)
{
	size_t len = strlen(text);
	char *exact = malloc(len + (len == 0));
	if (exact == NULL)
		return false;
	memcpy(exact, text, len);
	bool ok = address_parse(slice_of(exact, len), a);
	free(exact);
	return ok;
}

static void compare(const char *text)
{
	struct address a = { .version = 0 };
	uint8_t v4[4];
	uint8_t v6[16];
	bool is_v4 = inet_pton(AF_INET, text, v4) == 1;
	bool is_v6 = inet_pton(AF_INET6, text, v6) == 1;
	bool ok = parse_exact(text, &a);
	bool same = ok == (is_v4 || is_v6);
	if (same && is_v4)
		same = a.version == 4 && memcmp(a.octets, v4, 4) == 0;
	if (same && is_v6)
		same = a.version == 6 && memcmp(a.octets, v6, 16) == 0;
	if (!same)
		fail_msg("\"%s\": inet_pton says %d %d, address_parse %d", text, is_v4, is_v6, ok);
}

enum { TEXT_ROOM = 64 };

static void mutate(struct dice *dice, char text[TEXT_ROOM])
{
	static const char letters[] = "0123456789abcdefABCDEFg::::....:: %/-";
	size_t len = strlen(text);
	size_t at = dice_below(dice, len + 1);
	char c = letters[dice_below(dice, sizeof(letters) - 1)];
	switch (dice_below(dice, 4)) {
	case 0:
		if (at < len)
			text[at] = c;
		break;
	case 1:
		if (len + 1 < TEXT_ROOM) {
			memmove(text + at + 1, text + at, len - at + 1);
			text[at] = c;
		}
		break;
	case 2:
		if (at < len)
			memmove(text + at, text + at + 1, len - at);
		break;
	default:
		text[at] = '\0';
	}
}

static void test_against_inet_pton(void **state)
{
	(void)state;
	struct dice dice = { 20555 };
	unsigned good = 0;
	for (unsigned i = 0; i < 200000; i++) {
		char text[TEXT_ROOM];
		struct address a;
		size_t row = dice_below(&dice, COUNT_OF(addresses));
		(void)snprintf(text, sizeof(text), "%s", addresses[row].text);
		for (size_t n = 1 + dice_below(&dice, 3); n > 0; n--)
			mutate(&dice, text);
		compare(text);
		good += address_parse(slice_text(text), &a);
	}
	/* Mutations that never give an address would prove little. */
	assert_in_range(good, 20000, 180000);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static const struct {
	const char *block;
	const char *address; /* NULL: the block is none */
	bool inside;
} blocks[] = {
	{ "10.0.0.0/8", "10.255.255.255", true },
	{ "10.0.0.0/8", "11.0.0.0", false },
	{ "10.0.0.0/8", "9.255.255.255", false },
	{ "10.1.2.3/8", "10.9.9.9", true },
	{ "192.168.4.0/22", "192.168.7.255", true },
	{ "192.168.4.0/22", "192.168.8.0", false },
	{ "192.168.4.0/22", "192.168.3.255", false },
	{ "1.2.3.4/31", "1.2.3.5", true },
	{ "1.2.3.4/31", "1.2.3.6", false },
	{ "1.2.3.4", "1.2.3.4", true },
	{ "1.2.3.4", "1.2.3.5", false },
	{ "1.2.3.4/32", "1.2.3.5", false },
	{ "0.0.0.0/0", "255.1.2.3", true },
	{ "0.0.0.0/0", "::1", false },
	{ "1.2.3.4/008", "1.9.9.9", true },
	{ "2001:db8::/32", "2001:db8:ffff::1", true },
	{ "2001:db8::/32", "2001:db9::", false },
	{ "2001:db8::/33", "2001:db8:7fff::", true },
	{ "2001:db8::/33", "2001:db8:8000::", false },
	{ "::/0", "ffff::", true },
	{ "::/0", "1.2.3.4", false },
	{ "::1", "::1", true },
	{ "::1", "::2", false },
	{ "::1/128", "::1", true },
	{ "::1/127", "::", true },
	{ "::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true },
	{ "::ffff:10.0.0.0/104", "10.1.2.3", false },
	{ "", NULL, false },
	{ "/", NULL, false },
	{ "/8", NULL, false },
	{ "10.0.0.0/", NULL, false },
	{ "10.0.0.0/33", NULL, false },
	{ "10.0.0.0/999", NULL, false },
	{ "10.0.0.0/0008", NULL, false },
	{ "10.0.0.0/8/8", NULL, false },
	{ "10.0.0.0/-8", NULL, false },
	{ "10.0.0.0/+8", NULL, false },
	{ "10.0.0.0/ 8", NULL, false },
	{ "10.0.0.0/8 ", NULL, false },
	{ "10.0.0.0/255.0.0.0", NULL, false },
	{ "10/8", NULL, false },
	{ "::/129", NULL, false },
	{ "::/1a", NULL, false },
	{ "localhost", NULL, false },
};

static void test_blocks(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		struct cidr c;
		struct address a;
		bool good = cidr_parse(slice_text(blocks[i].block), &c);
		if (good != (blocks[i].address != NULL))
			fail_msg("block \"%s\": %d", blocks[i].block, good);
		if (!good)
			continue;
		assert_true(address_parse(slice_text(blocks[i].address), &a));
		if (cidr_contains(&c, &a) != blocks[i].inside)
			fail_msg("%s in %s: expected %d", blocks[i].address, blocks[i].block,
				 blocks[i].inside);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_against_inet_pton),
		cmocka_unit_test(test_blocks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
