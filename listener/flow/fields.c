/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and kinds of the fields, out of the table in fields.h, and the way back from a name.
 * Lookups by name happen once a format, and once a member for transformers' JSON: a scan will do.
 */
#include "flow/fields.h"

#include <pthread.h>

#define NAME_LIMIT 32

static const struct {
	struct slice name;
	enum field_kind kind;
	uint16_t element;
} fields[FIELD_ALL + 1] = {
#define X(code, text, type, number)                                                                \
	[FIELD_##code] = { { (text), sizeof(text) - 1 }, FIELD_##type, (number) },
	FIELDS(X) DERIVED_FIELDS(X)
#undef X
		[FIELD_UNKNOWN] = { { "", 0 }, FIELD_TEXT, 0 },
};

static char column_names[FIELD_ALL][NAME_LIMIT];

static void make_column_names(void)
{
	for (unsigned f = 0; f < FIELD_ALL; f++)
		for (size_t i = 0; i < fields[f].name.len; i++)
			column_names[f][i] = fields[f].name.data[i] == '-' ? '_'
									   : fields[f].name.data[i];
}

struct slice field_name(enum field field)
{
	return fields[field].name;
}

uint16_t field_element(enum field field)
{
	return fields[field].element;
}

struct slice field_column_name(enum field field)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_column_names);
	return slice_of(column_names[field], fields[field].name.len);
}

enum field_kind field_kind(enum field field)
{
	return fields[field].kind;
}

/* With all hyphens, or all underscores. */
static bool name_equal(struct slice name, struct slice hyphenated)
{
	if (name.len != hyphenated.len)
		return false;
	char between = memchr(name.data, '_', name.len) != NULL ? '_' : '-';
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] != (hyphenated.data[i] == '-' ? between : hyphenated.data[i]))
			return false;
	return true;
}

/* The first of some fields that has this name. */
static enum field find(struct slice name, enum field first, enum field end)
{
	for (enum field f = first; f < end; f++)
		if (name_equal(name, fields[f].name))
			return f;
	return FIELD_UNKNOWN;
}

enum field field_by_name(struct slice name)
{
	return find(name, 0, FIELD_COUNT);
}

enum field field_derived_by_name(struct slice name)
{
	return find(name, FIELD_COUNT, FIELD_ALL);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool camel_equal(struct slice camel, struct slice hyphenated)
{
	size_t at = 0;
	for (size_t i = 0; i < hyphenated.len; i++) {
		if (hyphenated.data[i] == '-')
			continue;
		if (at == camel.len || lower(camel.data[at]) != hyphenated.data[i])
			return false;
		at++;
	}
	return at == camel.len;
}

enum field field_by_camel_name(struct slice name)
{
	for (unsigned f = 0; f < FIELD_COUNT; f++)
		if (camel_equal(name, fields[f].name))
			return f;
	return FIELD_UNKNOWN;
}
