/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What IPFIX records ask of a flow: its numbers, its interface, what became of it. Of those that are words
 * (flow.h) numbers are made four at a time, each of up to eight digits; what stands before them in a larger
 * one is added.
 *
 * ipfix_facts_avx2.c is this file once more, for machines of today.
 */
#include "encode/ipfix_record.h"

#ifndef RECORD_FACTS
#define RECORD_FACTS record_facts_anywhere
#endif

/* ---- what a flow says ------------------------------------------------------------------------ */

/* Six letters as a number: which of two words it is nobody can foretell, so it is no branch. */
static inline uint64_t six(const char *letters)
{
	uint32_t four;
	uint16_t two;
	memcpy(&four, letters, sizeof(four));
	memcpy(&two, letters + sizeof(four), sizeof(two));
	return (uint64_t)two << 32 | four;
}

static inline void take_action(struct record_facts *f, struct slice action)
{
	static const uint8_t forwarding[4] = { 0, 64, 130 };
	static const uint8_t firewall[4] = { 0, 1, 3 };
	uint64_t word = action.len == 6 ? six(action.data) : 0;
	unsigned verdict = (word == six("ACCEPT")) + 2u * (word == six("REJECT"));
	f->forwarding = forwarding[verdict];
	f->firewall = firewall[verdict];
}

static inline void take_interface(struct record_facts *f, struct slice id)
{
	f->interface_id = id;
	f->interface = element_interface(id);
}

static void take_values(struct record_facts *f, const struct flow *flow)
{
	take_action(f, flow_field_text(flow, FIELD_ACTION));
	take_interface(f, element_interface_id(flow));
	for (unsigned i = 0; i < RECORD_NUMBERS; i++)
		f->number[i] = flow_number(flow, record_number_field[i]);
}

/* ---- the same of words ----------------------------------------------------------------------- */

/* Whether all that is asked for stands in the line, so that nothing has to be asked of any of them. */
static inline bool are_words(const struct flow *flow, const struct record_columns *c)
{
	uint64_t absent = 0;
	for (unsigned k = 0; k < COLUMN_WORDS; k++)
		absent |= flow->words.absent[k] & c->asked[k];
	return c->all && flow->words.line.len > 0 && absent == 0;
}

static inline uint64_t narrow(const struct words *w, unsigned column)
{
	struct slice text = words_text(w, column);
	return digits_load(text.data, text.len);
}

/* A number's last eight digits, and what those before them are. */
static inline uint64_t last_digits(struct slice text)
{
	if (text.len < DIGITS_WORD)
		return digits_load(text.data, text.len);
	return word_load(text.data + text.len - DIGITS_WORD);
}

static inline uint64_t above_last(struct slice text)
{
	if (text.len <= DIGITS_WORD)
		return 0;
	return digits_number(text.data, text.len - DIGITS_WORD) * DIGITS_WORD_IS;
}

/* The same of a time, which has two of them in our days. */
static inline uint64_t above_seconds(struct slice text)
{
	if (text.len != DIGITS_WORD + 2)
		return above_last(text);
	unsigned tens = (unsigned char)text.data[0] - '0';
	unsigned ones = (unsigned char)text.data[1] - '0';
	return (uint64_t)(10 * tens + ones) * DIGITS_WORD_IS;
}

static inline void take_numbers(struct record_facts *f, const struct words *w,
				const struct record_columns *c)
{
	const uint8_t *column = c->number;
	struct slice packets = words_text(w, column[RECORD_PACKETS]);
	struct slice octets = words_text(w, column[RECORD_BYTES]);
	struct slice start = words_text(w, column[RECORD_START]);
	struct slice end = words_text(w, column[RECORD_END]);
	digits_of_four(f->number, narrow(w, column[RECORD_SRCPORT]),
		       narrow(w, column[RECORD_DSTPORT]), narrow(w, column[RECORD_PROTOCOL]),
		       narrow(w, column[RECORD_TCP_FLAGS]));
	digits_of_four(f->number + RECORD_PACKETS, last_digits(packets), last_digits(octets),
		       last_digits(start), last_digits(end));
	f->number[RECORD_PACKETS] += above_last(packets);
	f->number[RECORD_BYTES] += above_last(octets);
	f->number[RECORD_START] += above_seconds(start);
	f->number[RECORD_END] += above_seconds(end);
	if (!c->tcp_flags)
		f->number[RECORD_TCP_FLAGS] = 0;
}

static inline void take_words(struct record_facts *f, const struct words *w,
			      const struct record_columns *c)
{
	take_action(f, words_text(w, c->action));
	take_interface(f, words_text(w, c->interface_id));
	take_numbers(f, w, c);
}

void RECORD_FACTS(struct record_facts *f, const struct flow *flow,
		  const struct record_columns *columns, bool packet_addresses)
{
	struct slice direction = flow_field_text(flow, FIELD_FLOW_DIRECTION);
	f->variant = element_variant_of(flow, direction, packet_addresses);
	f->leaves = direction.len == 6 && six(direction.data) == six("egress");
	if (are_words(flow, columns))
		take_words(f, &flow->words, columns);
	else
		take_values(f, flow);
}
