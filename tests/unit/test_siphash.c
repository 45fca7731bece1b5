/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves the hash by the values that its authors published for the key 00 01 .. 0f and the octets
 * 00 01 02 ..: the one in the paper's appendix A, and of lengths about a word's from their reference
 * vectors; that the key matters, and that two keys are not the same.
 */
#include "support.h"

#include "base/siphash.h"

static const struct siphash_key key = { { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u } };

static uint64_t hash(const struct siphash_key *k, size_t len)
{
	char octets[64];
	for (size_t i = 0; i < len; i++)
		octets[i] = (char)i;
	return siphash(k, slice_of(octets, len));
}

static void test_published(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		uint64_t value;
	} rows[] = {
		{ 0, 0x726fdb47dd0e0e31u }, { 1, 0x74f839c593dc67fdu },	 { 7, 0xab0200f58b01d137u },
		{ 8, 0x93f5f5799a932462u }, { 15, 0xa129ca6149be45e5u },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_true(hash(&key, rows[i].len) == rows[i].value);
}

static void test_keys(void **state)
{
	(void)state;
	struct siphash_key a;
	struct siphash_key b;
	const struct siphash_key other = { { key.word[0], key.word[1] ^ 1 } };
	assert_true(hash(&key, 9) != hash(&other, 9));
	assert_int_equal(siphash_key_make(&a), 0);
	assert_int_equal(siphash_key_make(&b), 0);
	assert_memory_not_equal(&a, &b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
