/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_FILTER_PROGRAM_H
#define VPCFLOWD_FLOW_FILTER_PROGRAM_H

#include <stdint.h>

#include "flow/filter.h"

/*
 * What filter_parse.c makes, with filter_values.c, and filter.c runs. An expression is a row of terms,
 * in the order in which they are written; and, or, not and parentheses are nothing but where a term
 * goes on to:
 *
 *   action = REJECT and (dstport = 22 or not srcaddr in 10.0.0.0/8)
 *
 *     0 action = REJECT      yes ─▶ 1       no ─▶ DROP
 *     1 dstport = 22         yes ─▶ KEEP    no ─▶ 2
 *     2 srcaddr in ...       yes ─▶ DROP    no ─▶ KEEP
 *
 * Always further down, so that it ends.
 */

enum {
	FILTER_TERMS = 512,   /* comparisons; addr and port are two each */
	FILTER_VALUES = 4096, /* in all lists */
	FILTER_NESTING = 64,  /* parentheses: the parser's recursion */
	FILTER_FEW = 4,	      /* values that a term has itself */
	FILTER_DROP = UINT16_MAX - 1,
	FILTER_KEEP = UINT16_MAX,
};

enum filter_test {
	TEST_ABSENT, /* the record does not have the field */
	TEST_NUMBER,
	TEST_TIME, /* in milliseconds */
	TEST_BITS, /* all of the value's are set */
	TEST_ADDRESS,
	TEST_TEXT,
	TEST_WORD, /* the same in any letter case */
	/* What a few values make of them, for which the term itself is enough. */
	TEST_RANGES, /* numbers */
	TEST_BLOCKS, /* addresses of IPv4 */
	TEST_KEYS,   /* words of which the key tells all */
};

/*
 * A comparison. Its values lie side by side in the filter: of a text first the plain ones, then the
 * patterns; of an address first those of IPv4, then those of IPv6. More terms than one may share them.
 * A few are here as well, so that most terms need to look nowhere else.
 */
struct term {
	uint8_t test;
	uint8_t field;
	bool negated;	  /* true of other values */
	bool absent;	  /* true of a field that is not there */
	uint16_t next[2]; /* where it goes on, by whether it holds: no guess of the processor's */
	uint16_t first;
	uint16_t count;
	uint16_t more;
	uint16_t few;
	uint64_t low[FILTER_FEW];  /* of a range; the bits; a word's key */
	uint64_t span[FILTER_FEW]; /* to its last; a word's length */
};

/* A number, a time, or an address: 128 bits. */
struct point {
	uint64_t high;
	uint64_t low;
};

/* Both ends are in it. */
struct range {
	bool wide; /* IPv6 */
	struct point first;
	struct point last;
};

/* A text or a pattern, in lower case where letter case does not count; NUL-terminated. */
struct word {
	struct slice text;
	uint64_t key;	/* filter_key of the text */
	bool key_tells; /* no other text of its length has the same */
};

/* One piece of memory; what the pointers point to lies behind it, as much as the text may need. */
struct filter {
	unsigned terms;
	unsigned ranges;
	unsigned words;
	unsigned values; /* that there is room for, of ranges and of words */
	size_t len;
	size_t pooled;
	struct range *range; /* each term's sorted, with gaps between */
	struct word *word;   /* each term's plain ones sorted */
	char *pool;	     /* what words lie in */
	char *text;
	struct term term[FILTER_TERMS];
};

_Static_assert((int)FIELD_COUNT <= (int)UINT8_MAX, "a field in an octet");
_Static_assert((int)FILTER_VALUES <= (int)UINT16_MAX, "values by numbers of 16 bits");

/* What a value is compared for; ORDER_NONE: it is what it is, a single one. */
enum filter_order {
	ORDER_SAME,
	ORDER_LESS,
	ORDER_LESS_SAME,
	ORDER_MORE,
	ORDER_MORE_SAME,
	ORDER_NONE,
};

/* ---- filter.c -------------------------------------------------------------------------------- */

static inline bool point_less(struct point a, struct point b)
{
	return a.high != b.high ? a.high < b.high : a.low < b.low;
}

/*
 * The last octets of a text, up to eight: what nearly all texts differ in that have the same length.
 * fold: letters in lower case, and other octets perhaps as others.
 */
static inline uint64_t filter_key(struct slice text, bool fold)
{
	uint64_t key = 0;
	uint32_t half[2];
	if (text.len >= sizeof(key)) {
		memcpy(&key, text.data + text.len - sizeof(key), sizeof(key));
	} else if (text.len >= sizeof(half[0])) {
		memcpy(&half[0], text.data, sizeof(half[0]));
		memcpy(&half[1], text.data + text.len - sizeof(half[1]), sizeof(half[1]));
		key = (uint64_t)half[0] << 32 | half[1];
	} else {
		for (size_t i = 0; i < text.len; i++)
			key = key << 8 | (unsigned char)text.data[i];
	}
	return fold ? key | 0x2020202020202020u : key;
}

/* By length, then by octets: as plain texts are sorted. fold: the first in any letter case. */
int filter_compare_texts(struct slice text, struct slice word, bool fold);

/* ---- filter_tokens.c ------------------------------------------------------------------------- */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,
	TOKEN_QUOTED,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_OPEN_LIST,
	TOKEN_CLOSE_LIST,
	TOKEN_COMMA,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_NOT,
	TOKEN_SAME,
	TOKEN_OTHER,
	TOKEN_LESS,
	TOKEN_LESS_SAME,
	TOKEN_MORE,
	TOKEN_MORE_SAME,
	TOKEN_BAD, /* half a sign; with an empty text a quote that is not closed */
};

struct token {
	enum token_kind kind;
	struct slice text; /* of a quoted one what is between the quotes */
	size_t at;
	size_t len; /* as written */
};

bool filter_is_space(char c);
/* What begins at a place, behind white space; borrows from text. */
struct token filter_token_at(struct slice text, size_t at);

/* ---- filter_values.c ------------------------------------------------------------------------- */

/* Sets mistake->why and returns false; where it is, the caller knows. */
bool filter_wrong(struct filter_mistake *mistake, const char *format, ...) PRINTF_LIKE(2, 3);

/* Begins the list of a term's values; the term has its field. */
void filter_list_begin(const struct filter *f, struct term *t);
/*
 * Reads a value of the term's field into the list: a number, name, time, address, block, range or text.
 * ORDER_SAME takes all of them, the others no ranges. False with why.
 */
MUST_CHECK bool filter_list_add(struct filter *f, const struct term *t, enum filter_order order,
				struct slice word, struct filter_mistake *mistake);
/* The list is complete: sorts it, and makes one of ranges that touch. */
void filter_list_end(struct filter *f, struct term *t);
/* For TEST_BITS instead: the bits of all. */
void filter_list_unite(struct filter *f, struct term *t);

/* How a field is compared. */
enum filter_test filter_test_of(enum field field);
/* What a value of the field has to be, as "a number up to 255, or a name, as tcp". */
const char *filter_expects(enum field field);

/* ---- filter_names.c -------------------------------------------------------------------------- */

/* The number that a name stands for in a field: tcp, ssh, syn-ack; letter case does not count. */
bool filter_name_number(enum field field, struct slice name, uint64_t *n);
/* The name that is meant most likely: of a field, or of a field's values. NULL when none is near. */
const char *filter_nearest_field(struct slice name);
const char *filter_nearest_value(enum field field, struct slice name);
/* Whether its values are words of AWS's own, as REJECT or ingress, rather than names that people gave. */
bool filter_is_word(enum field field);

/* ---- filter_time.c --------------------------------------------------------------------------- */

/*
 * Reads a time into its first and last millisecond since 1970: Unix seconds, or milliseconds above
 * 2^31-1, as records have them; or by ISO 8601 a day, minute, second or fraction of one, in UTC unless
 * it has an offset. False when it is none, or before 1970.
 */
MUST_CHECK bool filter_time(struct slice text, uint64_t *first, uint64_t *last);

#endif
