/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_DIGITS_H
#define VPCFLOWD_FLOW_DIGITS_H

#include "base/sixteen.h"

/*
 * Decimal digits to a number, by the arithmetic of a word rather than octet by octet. Eight octets
 * may be read from any digit on, however near the text's end it is.
 */
enum { DIGITS_WORD = 8 };

/* One to eight digits at p; what is no digit gives any number. */
static inline uint64_t digits_word(const char *p, size_t len)
{
	/* The first digit of eight in the lowest octet, with zeros before them. */
	uint64_t w = (word_load(p) ^ WORD_ONES * '0') << (8 * (DIGITS_WORD - len));
	w = w * (1 + (10 << 8)) >> 8 & 0x00ff00ff00ff00ffu;
	w = w * (1 + (100 << 16)) >> 16 & 0x0000ffff0000ffffu;
	return w * (1 + ((uint64_t)10000 << 32)) >> 32;
}

/* Any number of digits of a number that fits 64 bits. */
static inline uint64_t digits_number(const char *p, size_t len)
{
	size_t first = (len - 1) % DIGITS_WORD + 1;
	uint64_t n = digits_word(p, first);
	for (size_t at = first; at < len; at += DIGITS_WORD)
		n = n * 100000000u + digits_word(p + at, DIGITS_WORD);
	return n;
}

#endif
