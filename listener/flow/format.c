/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow formats: in comes a LogFormat, a header line or a list of names, out comes the order of
 * columns. CloudWatch records do not name their fields, so a format is never guessed from one.
 */
#include "flow/format.h"

#include <pthread.h>
#include <stdatomic.h>

const char *format_error_text(enum format_error error)
{
	static const char *const texts[] = {
		[FORMAT_OK] = "no error",
		[FORMAT_EMPTY] = "no field in it",
		[FORMAT_NAME] = "not a field name",
		[FORMAT_TWICE] = "the same field twice",
		[FORMAT_TOO_MANY] = "too many fields",
	};
	return texts[error];
}

static bool is_name(struct slice s)
{
	if (s.len == 0 || s.len > COLUMN_NAME_LIMIT)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool later = (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!letter && !(i > 0 && later))
			return false;
	}
	return true;
}

static bool is_separator(char c)
{
	return c == ' ' || c == ',' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes the next word off the text; false at its end. */
static bool next_word(struct slice *text, struct slice *word)
{
	size_t at = 0;
	while (at < text->len && is_separator(text->data[at]))
		at++;
	slice_skip(text, at);
	size_t len = 0;
	while (len < text->len && !is_separator(text->data[len]))
		len++;
	*word = slice_of(text->data, len);
	slice_skip(text, len);
	return len > 0;
}

/* "${name}" to "name"; a bare name stays. */
static struct slice unwrap(struct slice word)
{
	if (word.len > 3 && word.data[0] == '$' && word.data[1] == '{' &&
	    word.data[word.len - 1] == '}')
		return slice_of(word.data + 2, word.len - 3);
	return word;
}

/* Hyphens and underscores are the same in the output. */
static bool same_column_name(struct slice a, struct slice b)
{
	bool same = a.len == b.len;
	for (size_t i = 0; same && i < a.len; i++)
		same = a.data[i] == b.data[i] || ((a.data[i] == '-' || a.data[i] == '_') &&
						  (b.data[i] == '-' || b.data[i] == '_'));
	return same;
}

bool format_has(const struct format *f, struct slice name)
{
	for (unsigned i = 0; i < f->count; i++)
		if (same_column_name(format_column_name(f, i), name))
			return true;
	return false;
}

/* What its kind means for a column. */
static void set_kind(struct format *f, unsigned column, enum field_kind kind)
{
	/* Below 100, 10,000, 10^9 and 10^19; times that are seconds. */
	static const uint8_t sure[] = {
		[FIELD_U8] = 2,	   [FIELD_U16] = 4, [FIELD_U32] = 9, [FIELD_U64] = SURE_OF_U64,
		[FIELD_TIME] = 10,
	};
	uint64_t bit = (uint64_t)1 << (column % 64);
	f->kind[column] = (uint8_t)kind;
	if (kind == FIELD_TIME)
		f->times[column / 64] |= bit;
	if (kind == FIELD_ADDRESS)
		f->addresses[column / 64] |= bit;
	if (kind < FIELD_U8)
		return;
	f->numbers[column / 64] |= bit;
	f->sure[column] = sure[kind];
}

static void set_key(struct format *f, unsigned column, struct slice name)
{
	bool number = f->kind[column] >= FIELD_U8;
	char *key = f->column[column].key;
	memset(key, 0, sizeof(f->column[column].key));
	memcpy(key, ",\"", KEY_BEFORE);
	for (size_t i = 0; i < name.len; i++)
		key[KEY_BEFORE + i] = name.data[i] == '-' ? '_' : name.data[i];
	memcpy(key + KEY_BEFORE + name.len, number ? "\":" : "\":\"", number ? 2 : 3);
	f->column[column].key_len = (uint8_t)(KEY_BEFORE + name.len + (number ? 2 : 3));
}

/* What a column's field says of it; its name is there. */
static void set_field(struct format *f, unsigned column, enum field field)
{
	f->column[column].field = field;
	if (field == FIELD_UNKNOWN)
		f->unknown++;
	else
		f->place[field] = (int16_t)column;
	set_kind(f, column, field_kind(field));
	set_key(f, column, format_column_name(f, column));
}

static enum format_error add_column(struct format *f, struct slice name, enum field field,
				    unsigned max)
{
	if (!is_name(name))
		return FORMAT_NAME;
	if (f->count == max)
		return FORMAT_TOO_MANY;
	if (field == FIELD_UNKNOWN ? format_has(f, name) : f->place[field] >= 0)
		return FORMAT_TWICE;
	f->column[f->count].name_len = (uint8_t)name.len;
	memcpy(f->column[f->count].name, name.data, name.len);
	set_field(f, f->count, field);
	f->count++;
	return FORMAT_OK;
}

static void format_clear(struct format *f)
{
	static atomic_uint_fast64_t serials;
	f->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed);
	f->count = 0;
	f->unknown = 0;
	memset(f->numbers, 0, sizeof(f->numbers));
	memset(f->times, 0, sizeof(f->times));
	memset(f->addresses, 0, sizeof(f->addresses));
	for (unsigned i = 0; i < FIELD_ALL; i++)
		f->place[i] = -1;
}

enum format_error format_parse(struct format *f, struct slice text, unsigned max,
			       struct slice *where)
{
	if (slice_equal(text, SLICE_LITERAL("default")))
		text = SLICE_LITERAL(FORMAT_DEFAULT);
	else if (slice_equal(text, SLICE_LITERAL("tgw")))
		text = SLICE_LITERAL(FORMAT_TGW);
	format_clear(f);
	*where = SLICE_NONE;
	struct slice word;
	while (next_word(&text, &word)) {
		struct slice name = unwrap(word);
		enum format_error error = add_column(f, name, field_by_name(name), max);
		if (error != FORMAT_OK) {
			*where = word;
			return error;
		}
	}
	return f->count == 0 ? FORMAT_EMPTY : FORMAT_OK;
}

enum format_error format_add(struct format *f, enum field field)
{
	return add_column(f, field_name(field), field, COLUMN_LIMIT);
}

void format_take_derived(struct format *f)
{
	for (unsigned i = 0; i < f->count; i++) {
		enum field field = field_derived_by_name(format_column_name(f, i));
		if (f->column[i].field != FIELD_UNKNOWN || field == FIELD_UNKNOWN)
			continue;
		set_field(f, i, field);
		f->unknown--;
	}
}

bool format_equal(const struct format *a, const struct format *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (!slice_equal(format_column_name(a, i), format_column_name(b, i)))
			return false;
	return true;
}

static struct format every_field;

static void make_every_field(void)
{
	format_clear(&every_field);
	for (unsigned f = 0; f < FIELD_COUNT; f++)
		if (format_add(&every_field, f) != FORMAT_OK)
			return;
}

const struct format *format_every_field(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_every_field);
	return &every_field;
}

bool format_is_header(struct slice line)
{
	struct slice rest = line;
	struct slice word;
	unsigned words = 0;
	unsigned known = 0;
	/* Names first: nearly every record fails here, before anything is looked up. */
	while (next_word(&rest, &word))
		if (!is_name(word))
			return false;
	/* So many words tell enough; a line of thousands is not worth looking them all up. */
	while (words < COLUMN_LIMIT && next_word(&line, &word)) {
		words++;
		known += field_by_name(word) != FIELD_UNKNOWN;
	}
	return words > 0 && known * 2 >= words;
}
