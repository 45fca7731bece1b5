/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_FORMAT_H
#define VPCFLOWD_FLOW_FORMAT_H

#include <stdint.h>

#include "base/attributes.h"
#include "flow/fields.h"

enum { COLUMN_LIMIT = 128, COLUMN_NAME_LIMIT = 64, KEY_BEFORE = 2, KEY_ROOM = 16 };
/* Digits that fit 64 bits whatever they are, and octets that may be read behind `sure`. */
enum { SURE_OF_U64 = 19, SURE_SLACK = 64 };

/*
 * The order of the columns in a record: which field each column is, and which column each field
 * is. A field stands in a format once at most.
 */
struct format {
	uint64_t serial; /* the same in copies, and in them only */
	unsigned count;
	unsigned unknown; /* columns whose name is not AWS's, as far as we know */
	uint8_t kind[COLUMN_LIMIT];
	/* for the quick way (quick.c): a bit for each column of a kind, and digits that are in range */
	uint64_t numbers[COLUMN_LIMIT / 64];
	uint64_t times[COLUMN_LIMIT / 64];
	uint64_t addresses[COLUMN_LIMIT / 64];
	uint8_t sure[COLUMN_LIMIT + SURE_SLACK];
	struct {
		enum field field;
		uint8_t name_len;
		char name[COLUMN_NAME_LIMIT]; /* as written */
		uint8_t key_len;
		/* As JSON has it before a value, with underscores: ,"name":" or, of numbers, ,"name": */
		char key[COLUMN_NAME_LIMIT + KEY_ROOM];
	} column[COLUMN_LIMIT];
	int16_t place[FIELD_ALL]; /* the column of a field, -1 for none */
};

enum format_error {
	FORMAT_OK,
	FORMAT_EMPTY,
	FORMAT_NAME,	 /* not [A-Za-z][A-Za-z0-9_-]*, or too long */
	FORMAT_TWICE,	 /* the same name again */
	FORMAT_TOO_MANY, /* more columns than max */
};

const char *format_error_text(enum format_error error);

/*
 * Reads a format: '${version} ${account-id} ...' as AWS has it in LogFormat, plain names separated
 * by spaces or commas, or one of the words default and tgw. Names nobody knows become columns of
 * text and are counted in unknown. On an error *where is the name it lies in, borrowed from text.
 */
MUST_CHECK enum format_error format_parse(struct format *f, struct slice text, unsigned max,
					  struct slice *where);

/* Adds a column for a field, derived ones too. An error leaves the format as it was. */
MUST_CHECK enum format_error format_add(struct format *f, enum field field);
/* Takes columns of unknown names for the derived fields that are called so. */
void format_take_derived(struct format *f);

/* The format of all of AWS's fields, in the table's order: what a record given by names is put into. */
const struct format *format_every_field(void);

/*
 * Whether a line is an S3 object's header line rather than a record: words that look like field
 * names and nothing else, at least half of them AWS's. No record is like that: it has a number or
 * an address, or "-".
 */
bool format_is_header(struct slice line);

/* Whether a format has a column of this name. */
bool format_has(const struct format *f, struct slice name);
/* Whether two formats have the same columns in the same order. */
bool format_equal(const struct format *a, const struct format *b);

/* The name of a column as written; lives as long as the format. */
static inline struct slice format_column_name(const struct format *f, unsigned column)
{
	return slice_of(f->column[column].name, f->column[column].name_len);
}

/* The same with underscores, as outputs name it; sixteen octets may be read from any place in it. */
static inline struct slice format_shown_name(const struct format *f, unsigned column)
{
	return slice_of(f->column[column].key + KEY_BEFORE, f->column[column].name_len);
}

#endif
